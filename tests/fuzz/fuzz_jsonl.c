/* A line of JSON: text and id are well-formed UTF-8, or there is a reason. */
#include <stdlib.h>

#include "io/json_line.h"

static void check(const mr_json_line *line, mr_str text)
{
    if (mr_utf8_check(text.data, text.length) != text.length) abort();
    if (mr_utf8_check(line->id.data, line->id.length) != line->id.length) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mr_json_line line;
    mr_error error = { 0 };
    const mr_str source = { (const char *)data, size };
    const mr_json_fields usual = { 0 }, chosen = { .text = "a.b.c", .id = "d", .text_optional = true };
    mr_status status = mr_json_line_parse(source, &usual, &line, &error);
    if (status != MR_OK && (status != MR_BAD_RECORD || !error.text[0])) abort();
    if (line.several && !mr_json_line_may_be_several(source, &usual)) abort();
    check(&line, line.text);
    for (size_t i = 0; i < line.several; i++) check(&line, mr_json_line_text(&line, i));
    mr_json_line_fini(&line);
    status = mr_json_line_parse(source, &chosen, &line, &error);
    if (status == MR_OK && !line.has_text && line.text.length) abort();
    mr_json_line_fini(&line);
    return 0;
}
