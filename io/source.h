/* Sources: files, directories and stdin -> a stream of records in input order, in O(1) memory.
 *
 * Which kind a path is decides its name (CLI contract: .jsonl .ndjson .txt, each also .gz .zst .xz .bz2; .tar .zip
 * and compressed tars; image files; a directory; "-" for stdin, read as JSONL when its first character is "{", else
 * as text lines; a pipe or device like stdin). Compression is recognised by content, whatever the name says.
 * Nothing is ever extracted to disk.
 *
 *   jsonl       one object a line. Blank lines are no records, but count as lines. A byte order mark is passed over.
 *               A chat is rendered as text and kept as it is (chat_messages.h). An array of texts in an OpenAI batch line
 *               is a record for each, with the ids custom_id/0, custom_id/1, ...
 *   txt         every line is a record, also an empty one
 *   tar, zip    consecutive members of one stem (directory + name up to its first dot) are one record: an image,
 *               a .txt and a .json with text or id; other members and names starting with a dot are passed over
 *   directory   each image or .txt file below it, in byte order of their paths; names starting with a dot are not
 */
#ifndef MR_IO_SOURCE_H
#define MR_IO_SOURCE_H

#include "core/cache.h"
#include "io/record.h"

typedef struct mr_source mr_source;

typedef struct mr_source_options {
    const char *const *paths;      /* [path_count], borrowed during open; globs are expanded, sorted by bytes */
    size_t path_count;
    const char *text_field;        /* NULL: text, content, body, document, messages, the first present; body.input or
                                      body.messages of an OpenAI batch line. "a.b" looks into objects. Borrowed until close */
    const char *id_field;          /* NULL: id, _id, custom_id, the first present, else file#line. Borrowed until close */
    bool replace_invalid;          /* ill-formed UTF-8, and half a surrogate pair in JSON, become U+FFFD; false: the record fails */
    uint64_t limit;                /* the input ends before this ordinal; 0 = no limit */
    size_t max_record_bytes;       /* a longer line or member is a failed record; 0 = 64 MiB */
    uint64_t max_unpacked_bytes;   /* per input file, against bombs; 0 = 1 TiB */
    size_t readers;                /* files read at once, when there are many; 0 and 1: the caller of next reads */
    size_t read_ahead_bytes;       /* records that several readers hold, and one more each; 0 = 8 MiB */
} mr_source_options;

/* Expands directories and globs, checks that every path can be opened. NO_INPUT naming the path; BAD_INPUT for a
 * kind of file that nothing here reads. */
mr_status mr_source_open(const mr_source_options *options, mr_source **out, mr_error *error);
void mr_source_close(mr_source *source); /* NULL is fine */

/* The next record (caller owns it), END after the last. BAD_INPUT when an archive or stream breaks off: what was
 * readable has been delivered before; or when a file was changed while it was read. The error names the file, and every later call returns it again. One caller at a time. */
mr_status mr_source_next(mr_source *source, mr_record **out, mr_error *error);

/* Passes over records until the next one has this ordinal: no parsing, no images read. Numbering is that of a full
 * read. END when the input ends earlier. For the ranges mr_sink_committed reports. */
mr_status mr_source_skip_to(mr_source *source, uint64_t ordinal, mr_error *error);

/* Ordinal of the record mr_source_next would give; after END the number of records. */
uint64_t mr_source_position(const mr_source *source);

/* From any thread: a read that waits for a pipe gives up, and from then on mr_source_next may return CANCELLED. */
void mr_source_stop(mr_source *source);

/* For progress: raw (compressed) bytes consumed and in total; total 0 = unknown (stdin). Callable from any thread. */
void mr_source_progress(const mr_source *source, uint64_t *consumed, uint64_t *total);

/* Files to read, as the source was opened: those below a directory count each, an archive or stdin is one. */
uint64_t mr_source_file_count(const mr_source *source);

/* Every input is JSON lines or lines of text: no image among them. stdin counts as such. */
bool mr_source_is_lines(const mr_source *source);

/* The inputs after globs were expanded; a directory is one. Names as given, ill-formed UTF-8 escaped. */
size_t mr_source_count(const mr_source *source);
const char *mr_source_name(const mr_source *source, size_t index);

/* `path` is one of the inputs, by whatever name: not to be written. Files below a directory are not looked at. */
bool mr_source_has_file(const mr_source *source, const char *path);

/* SHA-256 (hex) of one input: a file's content; for a directory path, size and content of each file in it; for stdin
 * and pipes "stdin". Read once, then kept; one caller at a time. `cache`, which may be NULL, spares another process to
 * read a large file that has not changed since. */
mr_status mr_source_input_digest(const mr_source *source, size_t index, const mr_cache *cache, char hex[65], mr_error *error);
/* Over every input's name, size and digest, in order. "stdin" when stdin or a pipe is among them. */
mr_status mr_source_digest(const mr_source *source, const mr_cache *cache, char hex[65], mr_error *error);

#endif
