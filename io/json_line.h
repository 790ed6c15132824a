/* One line of JSON -> the text and the id of a record. */
#ifndef MR_IO_JSON_LINE_H
#define MR_IO_JSON_LINE_H

#include <jansson.h>

#include "core/error.h"
#include "core/str.h"

/* Caller storage: zero-initialise, mr_json_line_fini when done (also after a failure). */
typedef struct mr_json_line {
    mr_str text, id; /* into `root` or `number`; id empty when the line has none. Valid until fini */
    bool has_text;
    json_t *root;
    char number[24];
} mr_json_line;

/* `text_field` and `id_field` as in mr_source_options. BAD_RECORD with a reason that names the field or the byte offset
 * (from 0) but not the file; `id` is set as far as it could be read. OUT_OF_MEMORY otherwise. */
mr_status mr_json_line_parse(const char *data, size_t length, const char *text_field, const char *id_field,
                             mr_json_line *out, mr_error *error);

/* The same without demanding a text: has_text false when there is none (a caption beside an image). */
mr_status mr_json_line_parse_optional(const char *data, size_t length, const char *text_field, const char *id_field,
                                      mr_json_line *out, mr_error *error);

void mr_json_line_fini(mr_json_line *line);

#endif
