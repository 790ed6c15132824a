#include "pipelines/embedder.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capability/text_embedding.h"
#include "pipelines/job_run.h"
#include "pipelines/runtime.h"

struct mr_embedder {
    mr_job job; /* the settings, in the form the plan takes them */
    mr_job_plan plan;
    mr_runtime *own_runtime; /* NULL: somebody else's */
    mr_runtime *runtime;
    mr_pool_model *model;
    mr_lane lane;
    bool no_wait;
};

/* "key: value" of a job_settings text; NULL when absent. malloc'ed. */
static char *setting_of(const char *lines, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = lines; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, key, length) == 0 && strncmp(line + length, ": ", 2) == 0) return mr_strndup(line + length + 2, strcspn(line + length + 2, "\n"));
    return NULL;
}

mr_status mr_embedder_options_of_file(const mr_embedding_file *file, mr_embedder_options *out, mr_error *error)
{
    const char *model = mr_embedding_file_attribute(file, "model");
    if (!model) return mr_error_set(error, MR_BAD_INPUT, "the file does not say which model its vectors come from; name it with -m");
    *out = (mr_embedder_options){ .model = model };
    const char *settings = mr_embedding_file_attribute(file, "job_settings");
    char *dim = setting_of(settings, "embedding.dim"), *pooling = setting_of(settings, "embedding.pooling");
    if (dim) out->dim = strtoul(dim, NULL, 10);
    if (pooling) out->pooling = mr_embedding_file_attribute(file, "pooling"); /* overridden by one mode: the attribute is that mode */
    free(dim);
    free(pooling);
    return MR_OK;
}

static mr_status set(mr_job *job, const char *key, const char *value, mr_error *error)
{
    if (!value) return MR_OK;
    char *assignment = mr_strf("%s=%s", key, value);
    mr_status status = assignment ? mr_job_set(job, assignment, error) : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    free(assignment);
    return status;
}

static mr_status set_count(mr_job *job, const char *key, size_t value, mr_error *error)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", value);
    return value ? set(job, key, text, error) : MR_OK;
}

static mr_status fill_job(mr_job *job, const mr_embedder_options *options, mr_modality_choice modality, mr_error *error)
{
    mr_job_init(job);
    job->kind = MR_JOB_EMBED;
    job->is_query = options->is_query;
    job->modality = (int)modality;
    MR_TRY(set(job, "model", options->model, error));
    MR_TRY(set(job, "embedding.prompt", options->prompt_name, error));
    MR_TRY(set(job, "embedding.prompt_text", options->prompt_text, error));
    MR_TRY(set(job, "embedding.pooling", options->pooling, error));
    MR_TRY(set(job, "embedding.normalize", options->normalize, error));
    MR_TRY(set(job, "precision", options->precision, error));
    MR_TRY(set(job, "resources.memory", options->runtime ? mr_runtime_memory(options->runtime) : NULL, error));
    MR_TRY(set_count(job, "embedding.dim", options->dim, error));
    MR_TRY(set_count(job, "embedding.max_tokens", options->max_tokens, error));
    return set_count(job, "resources.threads", options->threads, error);
}

static bool append_option(mr_buf *out, const char *name, const char *value)
{
    return !value || mr_buf_printf(out, "%c%s=%s", strchr(out->data, '?') ? '&' : '?', name, value);
}

static bool append_number(mr_buf *out, const char *name, size_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", value);
    return append_option(out, name, value ? text : NULL);
}

/* "org/name?dim=256": embedders that ask for the same of a model share it. */
static mr_status name_model(const mr_embedder_options *options, const mr_modality *modality, mr_buf *out, mr_error *error)
{
    bool of_texts = modality->model->capability == MR_CAPABILITY_TEXT_EMBEDDING; /* the usual needs no word */
    bool done = mr_buf_append_str(out, options->model) && append_option(out, "modality", of_texts ? NULL : modality->name) && append_option(out, "pooling", options->pooling) &&
                append_option(out, "normalize", options->normalize) && append_option(out, "precision", options->precision) &&
                append_number(out, "dim", options->dim) && append_number(out, "max_tokens", options->max_tokens) &&
                append_number(out, "threads", options->threads);
    return done ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
}

static mr_status open_model(mr_embedder *embedder, const mr_embedder_options *options, mr_error *error)
{
    const mr_job_plan *plan = &embedder->plan;
    if (!embedder->runtime) {
        MR_TRY(mr_runtime_create(&embedder->job, false, &embedder->own_runtime, error));
        embedder->runtime = embedder->own_runtime;
    }
    mr_embed_options embed = plan->embed_options;
    embed.prompt_name = embed.prompt_text = embed.prompt_fallback = NULL; /* the preparer's business, and somebody else's memory */
    mr_buf name = { 0 };
    mr_status status = name_model(options, plan->modality, &name, error);
    mr_registry_entry entry = { .key = name.data, .path = plan->model_path, .vtable = plan->modality->model, .options = plan->model_options };
    entry.options.threads_per_worker = plan->cores;
    entry.options.capability_options = &embed;
    if (status == MR_OK) status = mr_runtime_model(embedder->runtime, &entry, sizeof embed, &embedder->model, error);
    mr_buf_fini(&name);
    return status;
}

static mr_status open_embedder(const mr_embedder_options *options, mr_modality_choice modality, mr_embedder **out, mr_error *error)
{
    mr_embedder *embedder = calloc(1, sizeof *embedder);
    if (!embedder) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    embedder->runtime = options->runtime;
    embedder->lane = options->urgent ? MR_LANE_PRIORITY : MR_LANE_INTERACTIVE;
    embedder->no_wait = options->no_wait;
    mr_status status;
    MR_TRY_OR(status, fill_job(&embedder->job, options, modality, error), fail);
    MR_TRY_OR(status, mr_job_check_model(&embedder->job, error), fail);
    MR_TRY_OR(status, mr_job_plan_make(&embedder->job, &embedder->plan, error), fail);
    MR_TRY_OR(status, open_model(embedder, options, error), fail);
    *out = embedder;
    return MR_OK;
fail:
    mr_embedder_close(embedder);
    return status;
}

mr_status mr_embedder_open(const mr_embedder_options *options, mr_embedder **out, mr_error *error)
{
    return open_embedder(options, MR_MODALITY_TEXT, out, error);
}

mr_status mr_embedder_open_images(const mr_embedder_options *options, mr_embedder **out, mr_error *error)
{
    return open_embedder(options, MR_MODALITY_IMAGE, out, error);
}

void mr_embedder_close(mr_embedder *embedder)
{
    if (!embedder) return;
    mr_runtime_close(embedder->own_runtime);
    mr_job_plan_fini(&embedder->plan);
    mr_job_fini(&embedder->job);
    free(embedder);
}

size_t mr_embedder_dimension(const mr_embedder *embedder)
{
    return embedder->plan.dimension;
}

/* Texts of one call, and the pool's request for some of them. The pool owns it too while one runs: a request out of time is
 * answered before its run ends. */
typedef struct text_batch {
    atomic_int owners;
    size_t count;
    mr_encoding *encodings;          /* [count] */
    mr_text_embedding_input *inputs; /* [count], those that can be run */
    size_t *places;                  /* [count], index of an input's text */
    mr_status *run_statuses;         /* [count] */
    float *vectors;                  /* [count, dimension] */
    size_t runnable;
    mr_text_embedding_request request;
    mr_text_embedding_response response;
} text_batch;

static void disown(void *context)
{
    text_batch *p = context;
    if (atomic_fetch_sub(&p->owners, 1) > 1) return;
    for (size_t i = 0; p->encodings && i < p->count; i++) mr_encoding_fini(&p->encodings[i]);
    free(p->encodings);
    free(p->inputs);
    free(p->places);
    free(p->run_statuses);
    free(p->vectors);
    free(p);
}

static text_batch *text_batch_create(size_t count, size_t dimension)
{
    text_batch *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    *p = (text_batch){ .owners = 1, .count = count, .encodings = calloc(count + 1, sizeof *p->encodings), .inputs = calloc(count + 1, sizeof *p->inputs),
                       .places = calloc(count + 1, sizeof *p->places), .run_statuses = calloc(count + 1, sizeof *p->run_statuses),
                       .vectors = calloc(count + 1, dimension * sizeof *p->vectors) };
    if (p->encodings && p->inputs && p->places && p->run_statuses && p->vectors) return p;
    disown(p);
    return NULL;
}

static mr_status prepare_all(const mr_embedder *embedder, const mr_str *texts, size_t count, text_batch *p, mr_status *statuses, mr_error *error)
{
    mr_tokenizer_scratch *scratch;
    MR_TRY(mr_tokenizer_scratch_create(&scratch, error));
    mr_status status = MR_OK;
    for (size_t i = 0; i < count && status == MR_OK; i++) {
        mr_text_embedding_input *input = &p->inputs[p->runnable];
        bool truncated;
        mr_status one = mr_text_preparer_run(embedder->plan.preparer, scratch, texts[i], &p->encodings[i], &input->prompt_tokens, &truncated, error);
        if (statuses) statuses[i] = one;
        else status = one;
        if (one != MR_OK) continue;
        input->ids = p->encodings[i].ids;
        input->count = p->encodings[i].count;
        p->places[p->runnable++] = i;
    }
    mr_tokenizer_scratch_destroy(scratch);
    return status;
}

/* In pool requests of at most max_batch_inputs texts and, but for a single longer one, max_batch_tokens tokens. */
static mr_status run_all(mr_embedder *embedder, text_batch *p, mr_error *error)
{
    const mr_model_options *options = &embedder->plan.model_options;
    size_t dimension = embedder->plan.dimension;
    for (size_t first = 0; first < p->runnable;) {
        size_t count = 0, tokens = 0;
        while (first + count < p->runnable && count < options->max_batch_inputs &&
               (count == 0 || tokens + p->inputs[first + count].count <= options->max_batch_tokens)) tokens += p->inputs[first + count++].count;
        p->request = (mr_text_embedding_request){ .inputs = &p->inputs[first], .count = count };
        p->response = (mr_text_embedding_response){ .vectors = p->vectors + first * dimension, .dimension = dimension, .statuses = &p->run_statuses[first] };
        const mr_call call = { .request = &p->request, .response = &p->response, .lane = embedder->lane, .no_wait = embedder->no_wait, .stage = "embedder",
                               .idempotent = true, .released = disown, .context = p };
        atomic_fetch_add(&p->owners, 1);
        MR_TRY(mr_pool_call(embedder->model, &call, error));
        first += count;
    }
    return MR_OK;
}

mr_status mr_embedder_run(mr_embedder *embedder, const mr_str *texts, size_t count, float *vectors, mr_status *statuses, mr_error *error)
{
    size_t dimension = embedder->plan.dimension;
    text_batch *p = text_batch_create(count, dimension);
    if (!p) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    mr_status status = prepare_all(embedder, texts, count, p, statuses, error);
    if (status == MR_OK) status = run_all(embedder, p, error);
    for (size_t i = 0; status == MR_OK && i < p->runnable; i++) {
        size_t place = p->places[i];
        memcpy(vectors + place * dimension, p->vectors + i * dimension, dimension * sizeof *vectors);
        if (statuses) statuses[place] = p->run_statuses[i];
        else if (p->run_statuses[i] != MR_OK) status = mr_error_set(error, p->run_statuses[i], "text %zu: %s", place, mr_status_text(p->run_statuses[i]));
    }
    disown(p);
    return status;
}

static mr_status run_prepared(mr_embedder *embedder, const mr_prepared *prepared, float *vector, mr_error *error)
{
    mr_modality_request request;
    mr_status status = MR_OK;
    mr_embedding_response response = { .vectors = vector, .dimension = embedder->plan.dimension, .statuses = &status };
    embedder->plan.modality->make_request(&prepared->input, 1, &request);
    const mr_call call = { .request = &request, .response = &response, .lane = embedder->lane, .no_wait = embedder->no_wait, .stage = "embedder", .idempotent = true };
    MR_TRY(mr_pool_call(embedder->model, &call, error));
    return status == MR_OK ? MR_OK : mr_error_set(error, status, "%s", mr_status_text(status));
}

mr_status mr_embedder_run_image(mr_embedder *embedder, mr_str file, float *vector, mr_error *error)
{
    const mr_record record = { .image = file };
    mr_prepared prepared = { 0 };
    mr_status status = embedder->plan.modality->prepare(&embedder->job, &embedder->plan, NULL, &record, &prepared, error);
    if (status == MR_OK) status = run_prepared(embedder, &prepared, vector, error);
    mr_prepared_fini(&prepared);
    return status;
}
