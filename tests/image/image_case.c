#include "image_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/json.h"

json_t *image_cases_load(void)
{
    json_t *document = NULL;
    mr_error error;
    if (mr_json_load(MR_TEST_DATA "/images/cases.json", 1 << 20, &document, &error) != MR_OK) fail_msg("%s", error.text);
    return document;
}

char *image_file_load(const char *name, size_t *size)
{
    char path[1024];
    char *data = NULL;
    mr_error error;
    snprintf(path, sizeof path, MR_TEST_DATA "/images/files/%s", name);
    if (mr_file_read(path, 1 << 20, &data, size, &error) != MR_OK) fail_msg("%s", error.text);
    return data;
}

uint32_t checksum_of(const void *data, size_t size)
{
    return (uint32_t)crc32(0, data, (uInt)size);
}

void expect_checksum(const char *what, const void *data, size_t size, const char *hex)
{
    const uint32_t got = checksum_of(data, size), expected = (uint32_t)strtoul(hex, NULL, 16);
    if (got != expected) fail_msg("%s: %08x instead of %08x", what, got, expected);
}
