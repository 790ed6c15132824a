/* The bytes of one input file, unpacked, or the members of an archive: the only place where input is read. */
#ifndef MR_IO_RAW_INPUT_H
#define MR_IO_RAW_INPUT_H

#include "core/str.h"
#include "io/reader.h"

typedef enum mr_raw_format { MR_RAW_STREAM, MR_RAW_ARCHIVE } mr_raw_format;

typedef struct mr_raw_input mr_raw_input;

/* options->path "-" is stdin. STREAM gives unpacked bytes; ARCHIVE the members of a tar or zip file. Compression is
 * recognised by content, twice over at most. `options` is borrowed until close. */
mr_status mr_raw_input_open(const mr_reader_options *options, mr_raw_format format, mr_raw_input **out, mr_error *error);
void mr_raw_input_close(mr_raw_input *input); /* NULL is fine */

/* The next bytes of the stream, or of the archive's member whose header was read last: never none, valid until the next
 * call. END behind the last. Of a damaged or cut-off file everything readable comes before BAD_INPUT "NAME: damaged or
 * cut off ..."; BAD_INPUT also for what unpacks to more than options->max_unpacked_bytes; IO with the reason of read(2).
 * BAD_RECORD: this member alone cannot be read (archives). */
mr_status mr_raw_input_read(mr_raw_input *input, mr_str *piece, mr_error *error);

/* ARCHIVE: the next member; its name is UTF-8 where the archive says what it is, else bytes as stored. END behind the last. */
struct archive_entry;
mr_status mr_raw_input_next(mr_raw_input *input, struct archive_entry **entry, mr_error *error);

/* The lines of a .jsonl member whose header was read last: a reader for mr_reader_jsonl's next and close. `options->name`
 * names the member. In reader_lines.c. */
mr_status mr_member_lines_open(mr_raw_input *input, const mr_reader_options *options, void **reader, mr_error *error);

#endif
