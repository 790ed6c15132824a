/* What a kind of input implements. Private to io/. */
#ifndef MR_IO_READER_H
#define MR_IO_READER_H

#include <stdatomic.h>

#include "io/record.h"

/* Borrowed until the reader is closed. */
typedef struct mr_reader_options {
    const char *path;            /* to open; "-" is stdin */
    const char *name;            /* as given, well-formed UTF-8 unless it lies below a directory: for ids and errors */
    const char *id;              /* of a whole file's record */
    const char *text_field;      /* NULL: the usual ones */
    const char *id_field;
    bool replace_invalid;        /* as in mr_source_options */
    size_t max_record_bytes;
    uint64_t max_unpacked_bytes;
    _Atomic uint64_t *position;  /* raw bytes consumed so far */
    const _Atomic bool *stop;    /* set by mr_source_stop: a wait for more input ends */
} mr_reader_options;

typedef struct mr_reader_kind {
    mr_status (*open)(const mr_reader_options *options, void **reader, mr_error *error);
    /* One record further; END behind the last. `out` NULL passes over it without parsing or reading its bytes, and
     * is otherwise the same walk. Sets id, text, image, status; the source sets the rest. */
    mr_status (*next)(void *reader, mr_record **out, mr_error *error);
    void (*close)(void *reader);
} mr_reader_kind;

extern const mr_reader_kind mr_reader_jsonl;
extern const mr_reader_kind mr_reader_text;
extern const mr_reader_kind mr_reader_sniffed; /* jsonl or text, by the first character */
extern const mr_reader_kind mr_reader_archive;
extern const mr_reader_kind mr_reader_whole_file; /* an image or text file as one record */

#endif
