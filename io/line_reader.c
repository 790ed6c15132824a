#include "io/line_reader.h"

#include <stdlib.h>
#include <string.h>

#include "io/raw_input.h"

struct mr_line_reader {
    mr_raw_input *input;
    bool owns_input;
    const mr_reader_options *options;
    mr_str block; /* the input's until the next read */
    size_t block_at;
    uint64_t line_number;
    mr_buf line; /* a line that began in an earlier block */
    bool started;
};

static mr_status read_block(mr_line_reader *reader, mr_error *error)
{
    mr_status status = mr_raw_input_read(reader->input, &reader->block, error);
    reader->block_at = 0;
    if (status != MR_OK) reader->block = (mr_str){ "", 0 };
    /* An archive member that cannot be read: nobody knows how many lines it has. */
    return status == MR_BAD_RECORD ? mr_error_prefix(error, MR_BAD_INPUT, "%s", reader->options->name) : status;
}

/* Drops a byte order mark. It may lie across blocks only when a block has less than three bytes: then it stays. */
static void drop_mark(mr_line_reader *reader)
{
    if (reader->block.length >= 3 && memcmp(reader->block.data, "\xEF\xBB\xBF", 3) == 0) reader->block_at = 3;
}

mr_status mr_line_reader_open(const mr_reader_options *options, mr_line_reader **out, mr_error *error)
{
    mr_line_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", options->name);
    reader->options = options;
    reader->owns_input = true;
    mr_status status = mr_raw_input_open(options, MR_RAW_STREAM, &reader->input, error);
    if (status == MR_OK) *out = reader;
    else mr_line_reader_close(reader);
    return status;
}

mr_status mr_line_reader_attach(mr_raw_input *input, const mr_reader_options *options, mr_line_reader **out, mr_error *error)
{
    mr_line_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", options->name);
    reader->options = options;
    reader->input = input;
    *out = reader;
    return MR_OK;
}

void mr_line_reader_close(mr_line_reader *reader)
{
    if (!reader) return;
    if (reader->owns_input) mr_raw_input_close(reader->input);
    mr_buf_fini(&reader->line);
    free(reader);
}

static mr_status fill(mr_line_reader *reader, mr_error *error)
{
    if (reader->block_at < reader->block.length) return MR_OK;
    MR_TRY(read_block(reader, error));
    if (!reader->started) drop_mark(reader);
    reader->started = true;
    return MR_OK;
}

mr_status mr_line_reader_peek(mr_line_reader *reader, char *first, mr_error *error)
{
    *first = 0;
    mr_status status = fill(reader, error);
    if (status != MR_OK) return status == MR_END ? MR_OK : status;
    for (size_t at = reader->block_at; at < reader->block.length; at++) {
        if (strchr(" \t\r\n", reader->block.data[at])) continue;
        *first = reader->block.data[at];
        break;
    }
    return MR_OK;
}

static void finish_line(const mr_line_reader *reader, mr_str bytes, uint64_t length, mr_line *out)
{
    if (length == bytes.length && length && bytes.data[length - 1] == '\r') {
        bytes.length--;
        length--;
    }
    bool too_long = length > reader->options->max_record_bytes;
    *out = (mr_line){ .bytes = too_long ? (mr_str){ "", 0 } : bytes, .length = length, .number = reader->line_number, .too_long = too_long };
}

mr_status mr_line_reader_next(mr_line_reader *reader, mr_line *out, mr_error *error)
{
    uint64_t length = 0;
    reader->line.length = 0;
    for (;;) {
        mr_status status = fill(reader, error);
        if (status == MR_END && length > 0) break;
        if (status != MR_OK) return status;
        const char *start = reader->block.data + reader->block_at;
        size_t rest = reader->block.length - reader->block_at;
        const char *end = memchr(start, '\n', rest);
        size_t piece = end ? (size_t)(end - start) : rest;
        reader->block_at += piece + (end != NULL);
        if (end && length == 0) { /* the common case: the whole line lies in this block */
            reader->line_number++;
            finish_line(reader, (mr_str){ start, piece }, piece, out);
            return MR_OK;
        }
        length += piece;
        /* One byte more than allowed: a \r that will be dropped. */
        if (length <= (uint64_t)reader->options->max_record_bytes + 1 && !mr_buf_append(&reader->line, start, piece))
            return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate line %llu", reader->options->name, (unsigned long long)reader->line_number + 1);
        if (end) break;
    }
    reader->line_number++;
    finish_line(reader, (mr_str){ reader->line.data ? reader->line.data : "", reader->line.length }, length, out);
    return MR_OK;
}
