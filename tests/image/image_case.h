/* Image files and what the reference makes of them (tests/data/images/cases.json: CRC-32 of its pixels). */
#ifndef MR_TESTS_IMAGE_CASE_H
#define MR_TESTS_IMAGE_CASE_H

#include <jansson.h>

#include "image/decode.h"

/* The whole document; json_decref it. Fails the running test when it cannot be read. */
json_t *image_cases_load(void);
/* A file of tests/data/images/files; free() it. */
char *image_file_load(const char *name, size_t *size);

uint32_t checksum_of(const void *data, size_t size);
/* Fails the test, naming `what`, unless the checksum is `hex`. */
void expect_checksum(const char *what, const void *data, size_t size, const char *hex);

#endif
