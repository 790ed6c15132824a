/* Root attributes of an embedding file, and the fingerprint that says which job it belongs to. */
#ifndef MR_PIPELINES_EMBED_ATTRIBUTES_H
#define MR_PIPELINES_EMBED_ATTRIBUTES_H

#include "io/sink.h"
#include "io/source.h"
#include "pipelines/job_run.h"

#define MR_EMBED_ATTRIBUTES_MAX 24

typedef struct mr_embed_attributes {
    mr_attribute items[MR_EMBED_ATTRIBUTES_MAX]; /* values owned */
    size_t count;
    char *identity;       /* "key: value" lines: what the result depends on, weights and inputs by digest; owned */
    char fingerprint[65]; /* SHA-256 of it */
} mr_embed_attributes;

/* `value` is malloc'ed and becomes theirs; NULL is left out. */
void mr_embed_attributes_add(mr_embed_attributes *attributes, const char *name, char *value);

/* Hashes the weights and the inputs: seconds for tens of gigabytes. */
mr_status mr_embed_attributes_make(const mr_job *job, const mr_job_plan *plan, const mr_source *source, mr_embed_attributes *out, mr_error *error);
void mr_embed_attributes_fini(mr_embed_attributes *attributes);

#endif
