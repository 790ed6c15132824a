/* What a kind of sink implements. Private to io/. */
#ifndef MR_IO_SINK_KIND_H
#define MR_IO_SINK_KIND_H

#include "io/sink.h"

typedef struct mr_sink_kind {
    mr_status (*open)(const mr_sink_options *options, void **sink, bool *finished, mr_error *error);
    const mr_range *(*committed)(const void *sink, size_t *count);
    mr_status (*put)(void *sink, const mr_embedding_row *row, mr_error *error);
    mr_status (*commit)(void *sink, mr_error *error);
    mr_status (*finish)(void *sink, uint64_t total, mr_error *error);
    mr_status (*finish_shard)(void *sink, uint64_t total, mr_error *error); /* NULL: cannot be filled by several runs */
    uint64_t (*failed_rows)(const void *sink);
    void (*close)(void *sink);
} mr_sink_kind;

extern const mr_sink_kind mr_sink_parts; /* files: HDF5 parts, joined at the end */
extern const mr_sink_kind mr_sink_stdout;

#endif
