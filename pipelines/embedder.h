/* Texts -> vectors on demand: the interactive way to a model, beside jobs. Behind it: the same registry and pool. */
#ifndef MR_PIPELINES_EMBEDDER_H
#define MR_PIPELINES_EMBEDDER_H

#include "core/str.h"
#include "io/embedding_file.h"
#include "pipelines/job.h"

typedef struct mr_embedder mr_embedder;

/* Zero-initialise: the model's own settings. Strings are borrowed during open. */
typedef struct mr_embedder_options {
    const char *model;       /* key or directory */
    const char *prompt_name; /* NULL: the model's default prompt */
    const char *prompt_text;
    bool is_query;           /* no prompt given: use the model's "query" prompt when there is one */
    const char *pooling;     /* "mean", ...; NULL: the model's */
    const char *normalize;   /* "true", "false"; NULL: the model's */
    const char *precision;   /* NULL: auto */
    size_t dim;              /* 0: all */
    size_t max_tokens;       /* 0: the model's */
    size_t threads;          /* 0: all cores */
} mr_embedder_options;

/* What the rows of a file were computed with, from its attributes (borrowed from it). */
mr_status mr_embedder_options_of_file(const mr_embedding_file *file, mr_embedder_options *out, mr_error *error);

mr_status mr_embedder_open(const mr_embedder_options *options, mr_embedder **out, mr_error *error);
void mr_embedder_close(mr_embedder *embedder); /* NULL is fine */
size_t mr_embedder_dimension(const mr_embedder *embedder);

/* vectors [count, dimension]. `statuses` [count] receives OK, BAD_RECORD or NON_FINITE per text; with NULL the first text
 * that fails fails the call. Thread-safe. */
mr_status mr_embedder_run(mr_embedder *embedder, const mr_str *texts, size_t count, float *vectors, mr_status *statuses, mr_error *error);

#endif
