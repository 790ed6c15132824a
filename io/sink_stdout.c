/* Rows as JSON lines to stdout, as they come. */
#include <stdlib.h>

#include "io/json_write.h"
#include "io/sink_kind.h"
#include "io/text_output.h"

typedef struct stdout_sink {
    mr_sink_options options;
    mr_text_output output;
    uint64_t rows, failed;
} stdout_sink;

static void close_sink(void *sink)
{
    stdout_sink *self = sink;
    mr_text_output_close(&self->output);
    free(self);
}

static mr_status open_sink(const mr_sink_options *options, void **out, bool *finished, mr_error *error)
{
    *finished = false;
    if (options->retry_failed) return mr_error_set(error, MR_INVALID_ARGUMENT, "failed rows are retried in a file, not on stdout");
    stdout_sink *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a sink", options->path);
    self->options = *options;
    mr_status status = mr_text_output_open(&self->output, options->path, options->overwrite, error);
    if (status == MR_OK) *out = self;
    else free(self);
    return status;
}

static const mr_range *committed_ranges(const void *sink, size_t *count)
{
    (void)sink;
    *count = 0;
    return NULL;
}

static mr_status put(void *sink, const mr_embedding_row *row, mr_error *error)
{
    stdout_sink *self = sink;
    if (row->ordinal != self->rows) return mr_error_set(error, MR_INTERNAL, "row %llu where row %llu was due",
                                                        (unsigned long long)row->ordinal, (unsigned long long)self->rows);
    mr_embedding_row kept = *row;
    if (!self->options.store_text) kept.text = (mr_str){ "", 0 };
    if (!mr_json_append_row(&self->output.held, &kept, row->vector, self->options.dimension))
        return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate row %llu", (unsigned long long)row->ordinal);
    self->rows++;
    self->failed += row->status == MR_ROW_FAILED;
    return mr_text_output_flush(&self->output, false, error);
}

static mr_status commit(void *sink, mr_error *error)
{
    stdout_sink *self = sink;
    return mr_text_output_flush(&self->output, true, error);
}

static mr_status finish(void *sink, uint64_t total, mr_error *error)
{
    stdout_sink *self = sink;
    if (self->rows != total)
        return mr_error_set(error, MR_INCOMPLETE, "%s: %llu rows of %llu", self->output.path, (unsigned long long)self->rows, (unsigned long long)total);
    return mr_text_output_finish(&self->output, error);
}

static uint64_t failed_rows(const void *sink)
{
    return ((const stdout_sink *)sink)->failed;
}

const mr_sink_kind mr_sink_stdout = { open_sink, committed_ranges, put, commit, finish, NULL, failed_rows, close_sink };
