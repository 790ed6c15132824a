/* One input record on its way from a source to the sink. */
#ifndef MR_IO_RECORD_H
#define MR_IO_RECORD_H

#include "core/error.h"
#include "core/str.h"

/* Owned by whoever holds it; mr_record_free when done. A record that could not be read still exists, with
 * status != OK and `error_text`, so that it gets its row. */
typedef struct mr_record {
    uint64_t ordinal;       /* position in the whole input, from 0, over all files in order */
    uint32_t source_index;  /* index into the source's file list (mr_source_name) */
    uint64_t source_record; /* 0-based line or member within that file */
    mr_status status;       /* OK, or BAD_RECORD */
    char *error_text;       /* NULL when OK */
    mr_str id;              /* never empty; well-formed UTF-8 */
    mr_str text;            /* well-formed UTF-8; empty when this record has no text */
    mr_str image;           /* encoded image bytes; empty when none */
    void *storage;          /* what the views above point into */
} mr_record;

void mr_record_free(mr_record *record); /* NULL is fine */
/* Bytes this record holds, for queue bounds. */
size_t mr_record_bytes(const mr_record *record);

#endif
