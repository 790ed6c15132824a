/* One line of JSON -> the text and the id of a record. */
#ifndef MR_IO_JSON_LINE_H
#define MR_IO_JSON_LINE_H

#include <jansson.h>

#include "core/error.h"
#include "core/str.h"

typedef struct mr_json_fields {
    const char *text, *id; /* as text_field and id_field in mr_source_options */
    bool text_optional;    /* no text is fine: a caption beside an image */
    bool replace_invalid;  /* as in mr_source_options */
} mr_json_fields;

/* Caller storage: zero-initialise, mr_json_line_fini when done (also after a failure). Views are valid until fini. */
typedef struct mr_json_line {
    mr_str id;       /* empty when the line has none */
    mr_str text;     /* of the line's only record */
    mr_str messages; /* the JSON of a chat, whose rendering is `text`; else empty */
    bool has_text;
    size_t several;  /* 0; n: an OpenAI batch line with an array of n texts, a record each */
    json_t *root;
    const json_t *array;
    mr_buf rendered, repaired;
    char *dumped;
    char number[24];
} mr_json_line;

/* BAD_RECORD with a reason that names the field or the byte offset (from 0) but not the file; `id` is set as far as it
 * could be read. OUT_OF_MEMORY otherwise. */
mr_status mr_json_line_parse(mr_str line, const mr_json_fields *fields, mr_json_line *out, mr_error *error);

/* Text i of `several`. */
mr_str mr_json_line_text(const mr_json_line *line, size_t i);

/* Could it be `several`? Told by the bytes, so that lines that are passed over need no parsing; parsing asks it too. */
bool mr_json_line_may_be_several(mr_str line, const mr_json_fields *fields);

void mr_json_line_fini(mr_json_line *line);

#endif
