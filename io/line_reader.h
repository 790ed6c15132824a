/* Lines of a possibly compressed file, in constant memory whatever their length. */
#ifndef MR_IO_LINE_READER_H
#define MR_IO_LINE_READER_H

#include "core/str.h"
#include "io/reader.h"

typedef struct mr_line {
    mr_str bytes;    /* without its end (\n or \r\n); empty when too long. Borrowed until the next call */
    uint64_t length; /* its true length */
    uint64_t number; /* from 1 */
    bool too_long;
} mr_line;

struct mr_raw_input;
typedef struct mr_line_reader mr_line_reader;

/* `options` is borrowed until close. */
mr_status mr_line_reader_open(const mr_reader_options *options, mr_line_reader **out, mr_error *error);
/* Lines of the archive member whose header was read last. `input` is borrowed until close, and must not move before. */
mr_status mr_line_reader_attach(struct mr_raw_input *input, const mr_reader_options *options, mr_line_reader **out, mr_error *error);
void mr_line_reader_close(mr_line_reader *reader); /* NULL is fine */

/* END behind the last line. A last line without its newline counts; one cut off by damage does not. A UTF-8 byte
 * order mark at the start is dropped. BAD_INPUT for damage or more than max_unpacked_bytes. */
mr_status mr_line_reader_next(mr_line_reader *reader, mr_line *out, mr_error *error);

/* First byte that is not white space, or 0 for none within the first block; nothing is consumed. */
mr_status mr_line_reader_peek(mr_line_reader *reader, char *first, mr_error *error);

#endif
