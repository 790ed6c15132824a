/* Third stage: batches by cost, submitted to the pool; the pool's workers deliver the results to the window. */
#include "pipelines/embed_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/batcher.h"

#define BATCH_LINGER (20 * MR_CLOCK_MILLISECOND) /* a slow input (a pipe) must not leave records waiting for company */

/* A request to the pool, one block with all its arrays. */
typedef struct batch {
    mr_job_run *run;
    mr_modality_request request;
    mr_embedding_response response;
    mr_batch_fill fill;
    mr_embed_item **items; /* [max_batch_inputs] */
    char *inputs;          /* [max_batch_inputs] of the modality's inputs */
} batch;

static void batch_free(batch *b)
{
    if (!b) return;
    free(b->items);
    free(b->inputs);
    free(b->response.vectors);
    free(b->response.statuses);
    free(b);
}

static batch *batch_create(mr_job_run *run)
{
    size_t capacity = run->plan->model_options.max_batch_inputs;
    batch *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->run = run;
    b->items = calloc(capacity, sizeof *b->items);
    b->inputs = calloc(capacity, run->plan->modality->input_bytes);
    b->response = (mr_embedding_response){ .vectors = calloc(capacity, run->plan->dimension * sizeof(float)),
                                                .dimension = run->plan->dimension,
                                                .statuses = calloc(capacity, sizeof(mr_status)) };
    if (b->items && b->inputs && b->response.vectors && b->response.statuses) return b;
    batch_free(b);
    return NULL;
}

static void batch_take(batch *b, const mr_batch_budget *budget, mr_embed_item *item)
{
    size_t at = b->fill.inputs, bytes = b->run->plan->modality->input_bytes;
    b->items[at] = item;
    memcpy(b->inputs + at * bytes, &item->prepared.input, bytes);
    mr_batch_add(budget, &b->fill, item->prepared.tokens);
}

/* `reason` is why its status is not OK. */
static void finish_item(mr_job_run *run, const batch *b, size_t index, mr_status status, const char *reason)
{
    mr_embed_item *item = b->items[index];
    if (status == MR_OK) {
        memcpy(item->vector, b->response.vectors + index * run->plan->dimension, run->plan->dimension * sizeof(float));
    } else {
        char text[320];
        snprintf(text, sizeof text, "%s: %s", mr_status_name(status), reason);
        mr_embed_item_fail(item, text);
    }
    atomic_fetch_add(&run->tokens, item->prepared.tokens);
    atomic_fetch_add(&run->computed, 1);
    mr_window_deliver(run->window, item->sequence, item);
}

/* Two workers have died of it, or it had its time: that concerns these records. Anything else concerns the job. */
static bool costs_its_records_only(mr_status status)
{
    return status == MR_WORKER_DIED || status == MR_INTERNAL || status == MR_TIMEOUT;
}

/* Called by the pool, in a worker's thread. */
static void batch_done(void *context, mr_status status, const mr_error *error)
{
    batch *b = context;
    mr_job_run *run = b->run;
    bool fatal = status != MR_OK && !costs_its_records_only(status);
    for (size_t i = 0; i < b->fill.inputs; i++) {
        if (fatal) mr_embed_item_free(b->items[i]);
        else if (status != MR_OK) finish_item(run, b, i, status, error->text);
        else finish_item(run, b, i, b->response.statuses[i], mr_status_text(b->response.statuses[i]));
    }
    if (fatal) mr_embed_run_fail(run, error);
    batch_free(b);
    mr_pulse_end(&run->watchdog.pulses[MR_STAGE_EMBED]);
    pthread_mutex_lock(&run->lock);
    run->in_flight--;
    pthread_mutex_unlock(&run->lock);
}

static void batch_submit(batch *b, uint64_t number)
{
    mr_job_run *run = b->run;
    mr_error error;
    run->plan->modality->make_request(b->inputs, b->fill.inputs, &b->request);
    pthread_mutex_lock(&run->lock);
    run->in_flight++;
    pthread_mutex_unlock(&run->lock);
    mr_pulse_begin(&run->watchdog.pulses[MR_STAGE_EMBED]);
    const mr_call call = { .request = &b->request, .response = &b->response, .lane = MR_LANE_BATCH, .idempotent = true,
                            .stage = "embed", .id = number, .done = batch_done, .context = b };
    int64_t begin = mr_trace_begin();
    size_t tokens = b->fill.tokens;
    mr_status status = mr_pool_submit(run->model, &call, &error); /* b may be gone after it */
    mr_trace_end(begin, "submit, or wait for room", "tokens", tokens);
    if (status != MR_OK) batch_done(b, status, &error);
}

/* Company for the records of a batch is on its way: it is the preparing that takes long (photographs), not the input. */
static bool is_preparing(mr_job_run *run)
{
    return atomic_load(&run->read) > atomic_load(&run->prepared);
}

void *mr_embed_batch(void *argument)
{
    mr_job_run *run = argument;
    mr_batch_budget budget = { .max_tokens = run->plan->model_options.max_batch_tokens, .max_inputs = run->plan->model_options.max_batch_inputs,
                                     .attention_length = run->plan->attention_length };
    batch *filling = NULL;
    mr_trace_name_thread("batch");
    uint64_t number = 0;
    for (;;) {
        void *taken;
        mr_status status = mr_queue_pop(run->to_batch, &taken, filling ? mr_clock_deadline(run->clock, BATCH_LINGER) : MR_CLOCK_FOREVER);
        mr_embed_item *item = status == MR_OK ? taken : NULL;
        if (status == MR_TIMEOUT && is_preparing(run)) continue;
        if (filling && (!item || !mr_batch_fits(&budget, &filling->fill, item->prepared.tokens))) {
            batch_submit(filling, number++);
            filling = NULL;
        }
        if (status == MR_END) return NULL;
        if (!item) continue;
        if (!filling) {
            budget.max_tokens = mr_governor_batch_budget(mr_runtime_governor(run->runtime), run->plan->model_options.max_batch_tokens); /* less under pressure */
            filling = batch_create(run);
        }
        if (!filling) {
            mr_error error;
            mr_error_set(&error, MR_OUT_OF_MEMORY, "out of memory while batching");
            mr_embed_item_free(item);
            mr_embed_run_fail(run, &error);
            continue;
        }
        batch_take(filling, &budget, item);
    }
}
