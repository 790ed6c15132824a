#include "pipelines/embed_attributes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/file.h"
#include "core/str.h"
#include "kernels/kernels.h"
#include "pipelines/build_facts.h"
#include "pipelines/job_cache.h"
#include "weights/checkpoint.h"

static mr_status hash_weights(const char *directory, const mr_cache *cache, char hex[65], mr_error *error)
{
    mr_checkpoint *checkpoint;
    MR_TRY(mr_checkpoint_open(directory, &checkpoint, error));
    mr_status status = mr_checkpoint_sha256(checkpoint, cache, hex, error);
    mr_checkpoint_close(checkpoint);
    return status;
}

/* What the result depends on, beside the settings the user gave. */
static mr_status make_identity(const mr_job *job, const mr_job_plan *plan, const mr_source *source, const mr_cache *cache, const char *weights, mr_buf *out, mr_error *error)
{
    char digest[65];
    MR_TRY(mr_source_digest(source, cache, digest, error));
    char *settings = mr_job_identity_text(job);
    bool done = settings && mr_buf_append_str(out, settings) &&
                mr_buf_printf(out, "model_sha256: %s\ninput_sha256: %s\nprecision_used: %s\nvector_dimension: %zu\ntoken_limit: %zu\n", weights, digest,
                              mr_precision_text(plan->model_options.precision), plan->dimension, plan->max_tokens);
    free(settings);
    return done ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
}

void mr_embed_attributes_add(mr_embed_attributes *attributes, const char *name, char *value)
{
    assert(attributes->count < MR_EMBED_ATTRIBUTES_MAX);
    if (value) attributes->items[attributes->count++] = (mr_attribute){ name, value };
}

static char *utc_now(void)
{
    char text[32];
    struct tm parts;
    time_t now = time(NULL);
    gmtime_r(&now, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return mr_strdup(text);
}

/* As sha256sum writes it, and checks it: sha256sum -c. */
static mr_status input_lines(const mr_source *source, const mr_cache *cache, char **out, mr_error *error)
{
    mr_buf text = { 0 };
    for (size_t i = 0; i < mr_source_count(source); i++) {
        char digest[65];
        mr_status status = mr_source_input_digest(source, i, cache, digest, error);
        if (status != MR_OK) {
            mr_buf_fini(&text);
            return status;
        }
        mr_buf_printf(&text, "%s  %s\n", digest, mr_source_name(source, i));
    }
    *out = mr_buf_detach(&text);
    return MR_OK;
}

mr_status mr_embed_attributes_make(const mr_job *job, const mr_job_plan *plan, const mr_source *source, mr_embed_attributes *out, mr_error *error)
{
    char weights[65];
    mr_buf identity = { 0 };
    char *inputs = NULL;
    mr_cache *cache = NULL;
    mr_status status;
    *out = (mr_embed_attributes){ 0 };
    MR_TRY_OR(status, mr_job_cache_open(job, &cache, error), done);
    MR_TRY_OR(status, hash_weights(plan->weights_path, cache, weights, error), done);
    MR_TRY_OR(status, make_identity(job, plan, source, cache, weights, &identity, error), done);
    MR_TRY_OR(status, input_lines(source, cache, &inputs, error), done);
    out->identity = mr_buf_detach(&identity);
    mr_sha256_bytes(out->identity, strlen(out->identity), out->fingerprint);

    const mr_build_facts *build = mr_build_facts_get();
    mr_embed_attributes_add(out, "created_utc", utc_now());
    mr_embed_attributes_add(out, "tool", mr_strf("millrace %s", build->version));
    mr_embed_attributes_add(out, "build", mr_strf("%s, %s, %s", build->commit, build->compiler, build->build_type));
    mr_embed_attributes_add(out, "job_settings", mr_job_text(job));
    mr_embed_attributes_add(out, "model", mr_strdup(plan->model_key));
    mr_embed_attributes_add(out, "model_path", mr_strdup(plan->model_path));
    mr_embed_attributes_add(out, "model_sha256", mr_strdup(weights));
    mr_embed_attributes_add(out, "inputs", inputs);
    inputs = NULL;
    mr_embed_attributes_add(out, "precision", mr_strdup(mr_precision_text(plan->model_options.precision)));
    mr_embed_attributes_add(out, "isa", mr_strdup(mr_kernels_isa_name()));
    plan->modality->describe(plan, out);
    mr_embed_attributes_add(out, "shard", mr_strf("%llu/%llu", (unsigned long long)plan->shard.index, (unsigned long long)plan->shard.count));
done:
    free(inputs);
    mr_cache_close(cache);
    mr_buf_fini(&identity);
    if (status != MR_OK) mr_embed_attributes_fini(out);
    return status;
}

void mr_embed_attributes_fini(mr_embed_attributes *attributes)
{
    for (size_t i = 0; i < attributes->count; i++) free((char *)(uintptr_t)attributes->items[i].value);
    free(attributes->identity);
    *attributes = (mr_embed_attributes){ 0 };
}
