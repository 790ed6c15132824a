/* Sources: files, directories and stdin -> a stream of records in input order, in O(1) memory.
 *
 * Which kind a path is decides its name (CLI contract: .jsonl .ndjson .txt, each also .gz .zst .xz .bz2; .tar .zip
 * and compressed tars; image files; a directory; "-" for stdin, read as JSONL or text lines by its first byte).
 * Nothing is ever extracted to disk. */
#ifndef MR_IO_SOURCE_H
#define MR_IO_SOURCE_H

#include "io/record.h"

typedef struct mr_source mr_source;

typedef struct mr_source_options {
    const char *const *paths;      /* [path_count], borrowed during open; globs are expanded, sorted by bytes */
    size_t path_count;
    const char *text_field;        /* NULL: text, content, body, document, the first present */
    const char *id_field;          /* NULL: id, _id, custom_id, the first present, else file#line */
    uint64_t skip;                 /* records to pass over cheaply at the start */
    uint64_t limit;                /* records to deliver at most; 0 = all */
    size_t max_record_bytes;       /* a longer line or member is a failed record; 0 = 64 MiB */
    uint64_t max_unpacked_bytes;   /* per compressed file, against bombs; 0 = 1 TiB */
} mr_source_options;

/* Expands directories and globs, checks that every path can be opened. NO_INPUT naming the path. */
mr_status mr_source_open(const mr_source_options *options, mr_source **out, mr_error *error);
void mr_source_close(mr_source *source);

/* The next record (caller owns it), END after the last. BAD_INPUT when an archive or stream breaks off: what was
 * readable has been delivered before; the error names the file. One caller at a time. */
mr_status mr_source_next(mr_source *source, mr_record **out, mr_error *error);

/* For progress: raw (compressed) bytes consumed and in total; total 0 = unknown (stdin). Callable from any thread. */
void mr_source_progress(const mr_source *source, uint64_t *consumed, uint64_t *total);

size_t mr_source_count(const mr_source *source);
const char *mr_source_name(const mr_source *source, size_t index);

/* SHA-256 (hex) over every input file's name, size and content, in order. For stdin "stdin". */
mr_status mr_source_digest(const mr_source *source, char hex[65], mr_error *error);

#endif
