/* A line of JSON: text and id are well-formed UTF-8, or there is a reason. */
#include <stdlib.h>

#include "io/json_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mr_json_line line;
    mr_error error = { 0 };
    mr_status status = mr_json_line_parse((const char *)data, size, NULL, NULL, &line, &error);
    if (status != MR_OK && (status != MR_BAD_RECORD || !error.text[0])) abort();
    if (mr_utf8_check(line.text.data, line.text.length) != line.text.length) abort();
    if (mr_utf8_check(line.id.data, line.id.length) != line.id.length) abort();
    mr_json_line_fini(&line);
    status = mr_json_line_parse_optional((const char *)data, size, "a.b.c", "d", &line, &error);
    if (status == MR_OK && !line.has_text && line.text.length) abort();
    mr_json_line_fini(&line);
    return 0;
}
