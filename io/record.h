/* One input record on its way from a source to the sink. */
#ifndef MR_IO_RECORD_H
#define MR_IO_RECORD_H

#include "core/error.h"
#include "core/str.h"

/* Owned by whoever holds it; mr_record_free when done. A record that could not be read still exists, with
 * status != OK and `error_text`, so that it gets its row. The struct and all it points to are one block. */
typedef struct mr_record {
    uint64_t ordinal;       /* position in the whole input, from 0, over all files in order */
    uint32_t source_index;  /* index into the source's file list (mr_source_name) */
    uint64_t source_record; /* 0-based position within that file, over its records */
    mr_status status;       /* OK, or BAD_RECORD */
    const char *error_text; /* NULL when OK; well-formed UTF-8 */
    mr_str id;              /* never empty; well-formed UTF-8 */
    mr_str text;            /* well-formed UTF-8; empty when this record has no text */
    mr_str image;           /* encoded image bytes; empty when none */
    mr_str messages;        /* a chat as its JSON array, which `text` renders; empty when the record is none */
    size_t bytes;           /* what this block holds, for queue bounds */
    struct mr_record *link; /* for lists of whoever holds it */
} mr_record;

void mr_record_free(mr_record *record); /* NULL is fine */
size_t mr_record_bytes(const mr_record *record);
/* The image is not needed any more: its memory is given back, and *record is another block. Without memory for that nothing happens. */
void mr_record_drop_image(mr_record **record);

/* What a reader has found; views with length 0 may be NULL. */
typedef struct mr_record_content {
    mr_str id, text, image, messages;
    const char *error_text; /* NULL: an OK record, else a BAD_RECORD one of nothing but its id */
} mr_record_content;

/* For readers. Copies everything. Ill-formed UTF-8 in `error_text` or `id` becomes "\xNN" text. Ordinal and source are
 * left 0. OUT_OF_MEMORY only. */
mr_status mr_record_create(const mr_record_content *content, mr_record **out, mr_error *error);

/* Well-formed UTF-8 from any bytes: each ill-formed byte becomes the four characters \xNN. malloc'ed; NULL when out of memory. */
char *mr_utf8_escape(const char *data, size_t length);

#endif
