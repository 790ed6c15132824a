/* Sizes every stage of a job before it starts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cores.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/str.h"
#include "embed/precision.h"
#include "io/source.h"
#include "models/vision_tower.h"
#include "pipelines/job_run.h"
#include "registry/model_store.h"
#include "registry/pool/governor.h"

/* Tokens per batch and thread of a worker: a lone thread computes 128 at a time anyway (embed/text_embedder.c), a team needs some row
 * panels for each of its members. The smaller, the nearer to each other the workers end a job. */
#define BATCH_TOKENS_PER_THREAD 512
#define MOST_DEFAULT_BATCH_TOKENS 2048
#define LEAST_BATCH_TOKENS 256
#define SHORT_INPUT_TOKENS 16         /* even texts that short fill a batch; the window has room for so many records */
#define MAX_BATCH_INPUTS 128
#define BATCHES_IN_FLIGHT 4          /* per worker, at least: one computed, one queued, one filling, one waiting for its turn to be written */
#define MOST_BATCHES_IN_FLIGHT 16
#define TOKENS_IN_FLIGHT 8192        /* per worker, between the two: a quick model's work while the disk syncs a commit */
#define READERS 4                    /* hides the time it takes to open a file on a disk or a network; reading itself is quick */
#define MAX_READERS 64
#define SINK_BYTES ((size_t)64 << 20) /* rows of the part being filled, chunk buffers and the HDF5 library's own */

static mr_status resolve_model(const mr_job *job, mr_job_plan *plan, mr_error *error)
{
    mr_model_store *store;
    MR_TRY(mr_model_store_open(&store, error));
    mr_status status = mr_model_store_resolve(store, job->model, &plan->model_path, error);
    const char *prompt = job->prompt_name ? mr_model_store_prompt(store, job->model, job->prompt_name) : NULL;
    if (prompt) plan->embed_options.prompt_fallback = plan->catalogue_prompt = mr_strdup(prompt);
    mr_model_store_close(store);
    MR_TRY(status);
    if (!mr_path_is_directory(plan->model_path))
        return mr_error_set(error, MR_MODEL_FILES_MISSING, "%s is a file; to embed, name a folder in Hugging Face layout or a key of `millrace models`", plan->model_path);
    plan->model_key = mr_strdup(job->model);
    return plan->model_key ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
}

static mr_status fill_options(const mr_job *job, mr_job_plan *plan, mr_error *error)
{
    mr_embed_options *embed = &plan->embed_options;
    const char *pooling = mr_job_choice(job, "embedding.pooling");
    embed->override_pooling = pooling != NULL;
    if (pooling && !mr_pooling_parse(pooling, &embed->pooling)) return mr_error_set(error, MR_INTERNAL, "pooling \"%s\" has no implementation", pooling);
    embed->normalize = job->normalize == MR_UNSET ? MR_CHOICE_MODEL : job->normalize ? MR_CHOICE_YES : MR_CHOICE_NO;
    embed->dimension = (size_t)job->dim;
    embed->max_tokens = (size_t)job->max_tokens;
    embed->prompt_name = job->prompt_name;
    embed->prompt_text = job->prompt_text;
    embed->is_query = job->is_query;
    plan->model_options.precision = job->precision == MR_PRECISION_AUTO ? mr_embed_auto_precision() : (mr_precision)job->precision;
    plan->model_options.capability_options = embed;
    return MR_OK;
}

/* A model with two towers reads where there is nothing but lines to read. */
static const mr_modality *choose_modality(const mr_job *job, const mr_job_plan *plan)
{
    if (job->modality == MR_MODALITY_TEXT) return &mr_modality_text;
    if (job->modality == MR_MODALITY_IMAGE) return &mr_modality_image;
    return plan->inputs_are_lines || !mr_vision_tower_is_known(plan->model_path) ? &mr_modality_text : &mr_modality_image;
}

static mr_status read_model_config(const mr_job *job, mr_job_plan *plan, mr_error *error)
{
    plan->modality = choose_modality(job, plan);
    MR_TRY(plan->modality->plan(job, plan, error));
    const char *weights = plan->preparer ? mr_text_preparer_config(plan->preparer)->backbone_directory : plan->model_path;
    plan->weights_path = mr_strdup(weights);
    return plan->weights_path ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
}

static mr_status measure_input(const mr_job *job, mr_job_plan *plan, mr_error *error)
{
    mr_source *source;
    uint64_t consumed;
    const mr_source_options options = { .paths = (const char *const *)job->paths.items, .path_count = job->paths.count };
    MR_TRY(mr_source_open(&options, &source, error));
    mr_source_progress(source, &consumed, &plan->input_bytes);
    plan->input_files = (size_t)mr_source_file_count(source);
    plan->inputs_are_lines = mr_source_is_lines(source);
    plan->readers = job->readers ? (size_t)job->readers : READERS;
    if (plan->readers > MAX_READERS) plan->readers = MAX_READERS;
    if (plan->readers > plan->input_files) plan->readers = plan->input_files;
    bool both = job->output_path && mr_source_has_file(source, job->output_path);
    mr_source_close(source);
    return both ? mr_error_set(error, MR_CANNOT_CREATE, "%s is an input of this job; choose another output", job->output_path) : MR_OK;
}

static mr_status read_memory_limit(const mr_job *job, mr_job_plan *plan, mr_error *error)
{
    mr_governor *governor;
    const mr_governor_settings settings = { .limit = job->memory, .reserve = job->memory_reserve };
    MR_TRY(mr_governor_create(&settings, &governor, error));
    plan->memory_limit = mr_governor_limit(governor);
    plan->memory_effective = mr_governor_limits(governor)->effective;
    plan->memory_source = mr_governor_limits(governor)->source;
    mr_governor_destroy(governor);
    return MR_OK;
}

/* A model that names no limit takes texts as long as a batch. */
static size_t default_batch_tokens(const mr_job_plan *plan)
{
    bool longest = plan->modality == &mr_modality_text && plan->max_tokens == 0;
    size_t tokens = plan->model_options.threads_per_worker * BATCH_TOKENS_PER_THREAD;
    return tokens < MOST_DEFAULT_BATCH_TOKENS && !longest ? tokens : MOST_DEFAULT_BATCH_TOKENS;
}

static size_t batches_in_flight(size_t batch_tokens)
{
    size_t batches = TOKENS_IN_FLIGHT / batch_tokens;
    return batches < BATCHES_IN_FLIGHT ? BATCHES_IN_FLIGHT : batches < MOST_BATCHES_IN_FLIGHT ? batches : MOST_BATCHES_IN_FLIGHT;
}

/* Fills the memory numbers for the plan's present workers, threads and batch size. */
static mr_status add_up(mr_job_plan *plan, mr_error *error)
{
    mr_memory_estimate estimate;
    size_t inputs = plan->model_options.max_batch_tokens / (plan->input_tokens > SHORT_INPUT_TOKENS ? plan->input_tokens : SHORT_INPUT_TOKENS);
    plan->model_options.max_batch_inputs = inputs == 0 ? 1 : inputs < MAX_BATCH_INPUTS ? inputs : MAX_BATCH_INPUTS;
    MR_TRY(plan->modality->model->estimate(plan->model_path, &plan->model_options, &estimate, error));
    plan->shared_bytes = estimate.shared_bytes;
    plan->worker_bytes = estimate.worker_bytes;
    plan->flops_per_token = mr_work_linear_flops(&estimate.work);
    plan->window_records = (plan->workers + 1) * batches_in_flight(plan->model_options.max_batch_tokens) * plan->model_options.max_batch_inputs;
    if (plan->window_records < plan->least_window_records) plan->window_records = plan->least_window_records;
    plan->window_bytes = plan->window_records * plan->record_bytes;
    plan->read_ahead_bytes = plan->readers > 1 ? plan->window_bytes / 2 : 0;
    plan->sink_bytes = SINK_BYTES;
    plan->total_bytes = plan->base_bytes + plan->shared_bytes + plan->workers * plan->worker_bytes + plan->prepare_bytes + plan->window_bytes + plan->sink_bytes;
    return MR_OK;
}

/* A smaller batch takes less memory only while it, and not the longest text, is what a worker's scratch is made for. */
static bool shrink(mr_job_plan *plan)
{
    size_t batch = plan->model_options.max_batch_tokens;
    if (batch > LEAST_BATCH_TOKENS && batch > plan->max_tokens) {
        plan->model_options.max_batch_tokens /= 2;
        return true;
    }
    if (plan->workers > 1) { /* the same cores, in fewer and larger teams */
        plan->workers = (plan->workers + 1) / 2;
        plan->model_options.threads_per_worker = plan->cores / plan->workers;
        return true;
    }
    return false;
}

/* " or --max-tokens N": a limit under which it would fit; "" when none would help. Spoils the plan. */
static mr_status suggest_max_tokens(mr_job_plan *plan, char text[48], mr_error *error)
{
    text[0] = '\0';
    for (size_t limit = plan->max_tokens / 2; limit >= plan->model_options.max_batch_tokens; limit /= 2) {
        plan->embed_options.max_tokens = limit;
        MR_TRY(add_up(plan, error));
        if (plan->total_bytes > plan->memory_limit) continue;
        snprintf(text, 48, ", --max-tokens %zu", limit);
        break;
    }
    return MR_OK;
}

static mr_status fit_memory(const mr_job *job, mr_job_plan *plan, mr_error *error)
{
    size_t most = job->pool.max_workers_per_model;
    plan->workers = most > 0 && most < plan->cores ? most : plan->cores;
    plan->model_options.threads_per_worker = plan->cores / plan->workers;
    plan->model_options.max_batch_tokens = job->batch_tokens ? (size_t)job->batch_tokens : default_batch_tokens(plan);
    MR_TRY(add_up(plan, error));
    while (plan->total_bytes > plan->memory_limit && shrink(plan)) MR_TRY(add_up(plan, error));
    if (plan->total_bytes <= plan->memory_limit) return MR_OK;
    char needed[16], limit[16], weights[16], effective[16], longest[64] = "", shorter[48], more[96];
    const uint64_t enough = plan->total_bytes * 11 / 10;
    if (enough < plan->memory_effective) snprintf(more, sizeof more, "Use --memory-limit %lluM or more", (unsigned long long)(enough >> 20) + 1);
    else snprintf(more, sizeof more, "Take more than the %s of %s", mr_str_bytes(effective, plan->memory_effective), plan->memory_source);
    if (plan->max_tokens > plan->model_options.max_batch_tokens) snprintf(longest, sizeof longest, ", texts of up to %zu", plan->max_tokens);
    mr_str_bytes(needed, plan->total_bytes);
    mr_str_bytes(weights, plan->shared_bytes);
    MR_TRY(suggest_max_tokens(plan, shorter, error));
    return mr_error_set(error, MR_MEMORY_EXHAUSTED, "%s does not fit: the smallest plan (1 worker, batches of %zu tokens%s) needs %s, of which weights %s; "
                        "the limit is %s. %s%s, or a smaller model", plan->model_key, plan->model_options.max_batch_tokens,
                        longest, needed, weights, mr_str_bytes(limit, plan->memory_limit), more, shorter);
}

mr_status mr_job_plan_make(const mr_job *job, mr_job_plan *out, mr_error *error)
{
    mr_status status;
    *out = (mr_job_plan){ 0 };
    MR_TRY_OR(status, resolve_model(job, out, error), fail);
    MR_TRY_OR(status, fill_options(job, out, error), fail);
    if (job->paths.count > 0) MR_TRY_OR(status, measure_input(job, out, error), fail);
    MR_TRY_OR(status, mr_shard_parse(job->shard, &out->shard, error), fail);
    MR_TRY_OR(status, read_memory_limit(job, out, error), fail);
    out->cores = job->threads ? (size_t)job->threads : mr_cores_allowed(NULL);
    MR_TRY_OR(status, read_model_config(job, out, error), fail);
    out->base_bytes = mr_mem_rss();
    MR_TRY_OR(status, fit_memory(job, out, error), fail);
    return MR_OK;
fail:
    mr_job_plan_fini(out);
    return status;
}

void mr_job_plan_fini(mr_job_plan *plan)
{
    mr_text_preparer_destroy(plan->preparer);
    free(plan->weights_path);
    free(plan->model_path);
    free(plan->model_key);
    free(plan->catalogue_prompt);
    *plan = (mr_job_plan){ 0 };
}
