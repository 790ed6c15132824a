#include "io/sink.h"

#include <stdlib.h>
#include <string.h>

#include "io/output_name.h"
#include "io/sink_kind.h"

struct mr_sink {
    const mr_sink_kind *kind;
    void *self;
    uint64_t next;   /* lowest ordinal still allowed */
    mr_error broken; /* status != OK: a commit may be lost, so nothing more is taken */
};

mr_status mr_sink_open(const mr_sink_options *options, mr_sink **out, bool *finished, mr_error *error)
{
    if (!options->path || !options->path[0]) return mr_error_set(error, MR_INVALID_ARGUMENT, "no output path given");
    MR_TRY(mr_output_name_check(options->path, error));
    if (options->dimension == 0) return mr_error_set(error, MR_INVALID_ARGUMENT, "%s: vectors of dimension 0", options->path);
    mr_sink *sink = calloc(1, sizeof *sink);
    if (!sink) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a sink", options->path);
    sink->kind = strcmp(options->path, "-") == 0 ? &mr_sink_stdout : &mr_sink_parts;
    if (options->in_place_parts && (sink->kind == &mr_sink_stdout || mr_output_name_is_json_lines(options->path))) {
        free(sink);
        return mr_error_set(error, MR_CONFIG, "JSON lines cannot refer to parts (--in-place-parts)");
    }
    if (options->lock_name && !sink->kind->finish_shard) {
        free(sink);
        return mr_error_set(error, MR_CONFIG, "shards share a file, not stdout");
    }
    bool done = false;
    mr_status status = sink->kind->open(options, &sink->self, &done, error);
    if (status != MR_OK || done) free(sink);
    if (status != MR_OK) return status;
    *finished = done;
    if (!done) *out = sink;
    return MR_OK;
}

const mr_range *mr_sink_committed(const mr_sink *sink, size_t *count)
{
    return sink->kind->committed(sink->self, count);
}

/* Forwards the first failure, and again ever after. */
static mr_status keep(mr_sink *sink, mr_status status, const mr_error *problem, mr_error *error)
{
    if (status != MR_OK && sink->broken.status == MR_OK) {
        sink->broken = *problem;
        sink->broken.status = status;
    }
    if (status != MR_OK && error) *error = sink->broken;
    return status;
}

mr_status mr_sink_put(mr_sink *sink, const mr_embedding_row *row, mr_error *error)
{
    mr_error problem = { 0 };
    if (sink->broken.status != MR_OK) return keep(sink, sink->broken.status, &sink->broken, error);
    if (row->ordinal < sink->next)
        return mr_error_set(error, MR_INTERNAL, "row %llu comes after row %llu", (unsigned long long)row->ordinal, (unsigned long long)sink->next - 1);
    sink->next = row->ordinal + 1;
    return keep(sink, sink->kind->put(sink->self, row, &problem), &problem, error);
}

mr_status mr_sink_commit(mr_sink *sink, mr_error *error)
{
    mr_error problem = { 0 };
    if (sink->broken.status != MR_OK) return keep(sink, sink->broken.status, &sink->broken, error);
    return keep(sink, sink->kind->commit(sink->self, &problem), &problem, error);
}

mr_status mr_sink_finish(mr_sink *sink, uint64_t total, mr_error *error)
{
    mr_error problem = { 0 };
    if (sink->broken.status != MR_OK) return keep(sink, sink->broken.status, &sink->broken, error);
    return keep(sink, sink->kind->finish(sink->self, total, &problem), &problem, error);
}

uint64_t mr_sink_failed_rows(const mr_sink *sink)
{
    return sink->kind->failed_rows(sink->self);
}

mr_status mr_sink_finish_shard(mr_sink *sink, uint64_t total, mr_error *error)
{
    mr_error problem = { 0 };
    if (sink->broken.status != MR_OK) return keep(sink, sink->broken.status, &sink->broken, error);
    return keep(sink, sink->kind->finish_shard(sink->self, total, &problem), &problem, error);
}

void mr_sink_close(mr_sink *sink)
{
    if (!sink) return;
    sink->kind->close(sink->self);
    free(sink);
}
