/* The bytes of one input file as stored, given to libarchive: the only place where input is read. */
#ifndef MR_IO_RAW_INPUT_H
#define MR_IO_RAW_INPUT_H

#include <archive.h>

#include "io/reader.h"

typedef enum mr_raw_format { MR_RAW_STREAM, MR_RAW_ARCHIVE } mr_raw_format;

typedef struct mr_raw_input mr_raw_input;

/* options->path "-" is stdin. STREAM gives one entry, the decompressed bytes; ARCHIVE the members of a tar or zip file.
 * Compression is recognised by content. `options` is borrowed until close. */
mr_status mr_raw_input_open(const mr_reader_options *options, mr_raw_format format, mr_raw_input **out, mr_error *error);
void mr_raw_input_close(mr_raw_input *input); /* NULL is fine */

/* Owned by the input. */
struct archive *mr_raw_input_archive(mr_raw_input *input);

/* The next member; its name is UTF-8 where the archive says what it is, else bytes as stored. END behind the last. */
mr_status mr_raw_input_next(mr_raw_input *input, struct archive_entry **entry, mr_error *error);

/* What libarchive's last failure was: IO with the reason of read(2), else BAD_INPUT "NAME: damaged or cut off: ...". */
mr_status mr_raw_input_error(mr_raw_input *input, mr_error *error);

/* BAD_INPUT for bombs: packed more than twice over, or unpacked to more than options->max_unpacked_bytes by now. Call
 * behind every block. */
mr_status mr_raw_input_check(mr_raw_input *input, mr_error *error);

/* The lines of a .jsonl member whose header was read last: a reader for mr_reader_jsonl's next and close. `options->name`
 * names the member. In reader_lines.c. */
mr_status mr_member_lines_open(mr_raw_input *input, const mr_reader_options *options, void **reader, mr_error *error);

#endif
