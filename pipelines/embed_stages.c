/* The stages of an embedding job in the order a record passes them: read, prepare, batch -> pool, write.
 *
 * A record enters the window when it is read and is delivered to it once, computed or failed; the writer takes records
 * out in order. Queues between the stages need no bound of their own: the window bounds them all. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/batcher.h"
#include "core/str.h"
#include "io/embedding_file.h"
#include "pipelines/embed_run.h"

#define BATCH_LINGER (20 * MR_CLOCK_MILLISECOND) /* a slow input (a pipe) must not leave records waiting for company */
#define WRITER_TICK (100 * MR_CLOCK_MILLISECOND) /* how soon the deadline of a graceful stop is noticed */

void mr_embed_item_free(mr_embed_item *item)
{
    if (!item) return;
    mr_record_free(item->record);
    mr_encoding_fini(&item->encoding);
    free(item->error_text);
    free(item->vector);
    free(item);
}

static void fail_item(mr_embed_item *item, const char *text)
{
    item->status = MR_ROW_FAILED;
    item->error_text = mr_strdup(text);
    free(item->vector);
    item->vector = NULL;
}

/* ---------------------------------------------------------------- read */

/* What an item takes beside its record: ids (about one per 3 bytes of text, 4 bytes each), vector, struct. */
static size_t item_bytes(const mr_job_run *run, const mr_record *record)
{
    return mr_record_bytes(record) + record->text.length * 4 / 3 + run->plan->dimension * sizeof(float) + sizeof(mr_embed_item);
}

/* END at the end of the input or of this stretch. */
static mr_status read_one(mr_job_run *run, uint64_t end, mr_error *error)
{
    if (mr_source_position(run->source) >= end) return MR_END;
    mr_record *record;
    MR_TRY(mr_source_next(run->source, &record, error));
    mr_embed_item *item = calloc(1, sizeof *item);
    if (!item) {
        mr_record_free(record);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory while reading");
    }
    item->record = record;
    item->window_bytes = item_bytes(run, record);
    mr_status status = mr_window_enter(run->window, item->window_bytes, &item->sequence);
    if (status == MR_OK) {
        atomic_fetch_add(&run->read, 1);
        status = mr_queue_push(run->to_prepare, item, 0, MR_CLOCK_FOREVER);
    }
    if (status != MR_OK) mr_embed_item_free(item); /* cancelled: nobody waits for it */
    return status;
}

static mr_status read_stretch(mr_job_run *run, uint64_t end, mr_error *error)
{
    mr_status status = MR_OK;
    while (status == MR_OK && !atomic_load(&run->stopping)) status = read_one(run, end, error);
    return status;
}

/* Only what no earlier run has committed. */
static mr_status read_missing(mr_job_run *run, mr_error *error)
{
    for (size_t i = 0; i < run->committed_count; i++) {
        mr_status status = read_stretch(run, run->committed[i].first, error);
        if (atomic_load(&run->stopping)) return status;
        if (status != MR_END || mr_source_position(run->source) < run->committed[i].first) return status;
        status = mr_source_skip_to(run->source, run->committed[i].end, error);
        if (status != MR_OK) return status;
    }
    return read_stretch(run, UINT64_MAX, error);
}

void *mr_embed_read(void *argument)
{
    mr_job_run *run = argument;
    mr_error error = { 0 };
    atomic_store(&run->started_ns, mr_clock_now(run->clock));
    mr_status status = read_missing(run, &error);
    /* A broken archive: what was readable is still computed and committed before the job fails. */
    if (status != MR_OK && status != MR_END && status != MR_CANCELLED) mr_embed_run_record_error(run, &error);
    atomic_store(&run->read_done, true);
    mr_window_close(run->window);
    mr_queue_close(run->to_prepare);
    return NULL;
}

/* ---------------------------------------------------------------- prepare */

static void prepare_item(mr_job_run *run, mr_tokenizer_scratch *scratch, mr_embed_item *item)
{
    mr_error error;
    bool truncated = false;
    if (item->record->status != MR_OK) {
        fail_item(item, item->record->error_text);
        return;
    }
    if (item->record->text.length == 0 && item->record->image.length > 0) {
        fail_item(item, "the record is an image without text; this model embeds text");
        return;
    }
    mr_status status = mr_text_preparer_run(run->preparer, scratch, item->record->text, &item->encoding, &item->prompt_tokens, &truncated, &error);
    if (status != MR_OK) {
        fail_item(item, error.text);
    } else if (truncated && !run->job->truncate) {
        char text[128];
        snprintf(text, sizeof text, "text has %zu tokens, more than the %zu allowed (--no-truncate)", item->encoding.full_count, run->plan->max_tokens);
        fail_item(item, text);
    } else {
        item->status = truncated ? MR_ROW_TRUNCATED : MR_ROW_OK;
        item->vector = malloc(run->plan->dimension * sizeof(float));
        if (!item->vector) fail_item(item, "out of memory");
    }
}

void *mr_embed_prepare(void *argument)
{
    mr_job_run *run = argument;
    mr_error error;
    mr_tokenizer_scratch *scratch = NULL;
    void *taken;
    if (mr_tokenizer_scratch_create(&scratch, &error) != MR_OK) mr_embed_run_fail(run, &error);
    while (scratch && mr_queue_pop(run->to_prepare, &taken, MR_CLOCK_FOREVER) == MR_OK) {
        mr_embed_item *item = taken;
        prepare_item(run, scratch, item);
        atomic_fetch_add(&run->prepared, 1);
        if (item->status == MR_ROW_FAILED) {
            mr_window_deliver(run->window, item->sequence, item);
            continue;
        }
        atomic_fetch_add(&run->prepared_tokens, item->encoding.count);
        if (mr_queue_push(run->to_batch, item, 0, MR_CLOCK_FOREVER) != MR_OK) mr_embed_item_free(item);
    }
    mr_tokenizer_scratch_destroy(scratch);
    if (atomic_fetch_sub(&run->preparers_left, 1) == 1) mr_queue_close(run->to_batch);
    return NULL;
}

/* ---------------------------------------------------------------- batch */

/* A request to the pool, one block with all its arrays. */
typedef struct batch {
    mr_job_run *run;
    mr_text_embedding_request request;
    mr_text_embedding_response response;
    mr_batch_fill fill;
    mr_embed_item **items;           /* [max_batch_inputs] */
    mr_text_embedding_input *inputs; /* [max_batch_inputs] */
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
    b->inputs = calloc(capacity, sizeof *b->inputs);
    b->response = (mr_text_embedding_response){ .vectors = calloc(capacity, run->plan->dimension * sizeof(float)),
                                                .dimension = run->plan->dimension,
                                                .statuses = calloc(capacity, sizeof(mr_status)) };
    if (b->items && b->inputs && b->response.vectors && b->response.statuses) return b;
    batch_free(b);
    return NULL;
}

static void batch_take(batch *b, const mr_batch_budget *budget, mr_embed_item *item)
{
    size_t at = b->fill.inputs;
    b->items[at] = item;
    b->inputs[at] = (mr_text_embedding_input){ .ids = item->encoding.ids, .count = item->encoding.count, .prompt_tokens = item->prompt_tokens };
    mr_batch_add(budget, &b->fill, item->encoding.count);
}

static void finish_item(mr_job_run *run, const batch *b, size_t index)
{
    mr_embed_item *item = b->items[index];
    mr_status status = b->response.statuses[index];
    if (status == MR_OK) {
        memcpy(item->vector, b->response.vectors + index * run->plan->dimension, run->plan->dimension * sizeof(float));
    } else {
        char text[160];
        snprintf(text, sizeof text, "%s: %s", mr_status_name(status), mr_status_text(status));
        fail_item(item, text);
    }
    atomic_fetch_add(&run->tokens, item->encoding.count);
    atomic_fetch_add(&run->computed, 1);
    mr_window_deliver(run->window, item->sequence, item);
}

/* Called by the pool, in a worker's thread. */
static void batch_done(void *context, mr_status status, const mr_error *error)
{
    batch *b = context;
    mr_job_run *run = b->run;
    for (size_t i = 0; i < b->fill.inputs; i++) {
        if (status == MR_OK) finish_item(run, b, i);
        else mr_embed_item_free(b->items[i]);
    }
    if (status != MR_OK) mr_embed_run_fail(run, error);
    batch_free(b);
    pthread_mutex_lock(&run->lock);
    if (--run->in_flight == 0) pthread_cond_broadcast(&run->idle);
    pthread_mutex_unlock(&run->lock);
}

static void batch_submit(batch *b, uint64_t number)
{
    mr_job_run *run = b->run;
    mr_error error;
    b->request = (mr_text_embedding_request){ .inputs = b->inputs, .count = b->fill.inputs };
    pthread_mutex_lock(&run->lock);
    run->in_flight++;
    pthread_mutex_unlock(&run->lock);
    const mr_call call = { .request = &b->request, .response = &b->response, .lane = MR_LANE_BATCH, .timeout_ns = MR_CLOCK_FOREVER,
                           .stage = "embed", .id = number, .done = batch_done, .context = b };
    mr_status status = mr_pool_submit(run->model, &call, &error);
    if (status != MR_OK) batch_done(b, status, &error);
}

void *mr_embed_batch(void *argument)
{
    mr_job_run *run = argument;
    const mr_batch_budget budget = { .max_tokens = run->plan->model_options.max_batch_tokens, .max_inputs = run->plan->model_options.max_batch_inputs,
                                     .attention_length = run->plan->attention_length };
    batch *filling = NULL;
    uint64_t number = 0;
    for (;;) {
        void *taken;
        mr_status status = mr_queue_pop(run->to_batch, &taken, filling ? mr_clock_deadline(run->clock, BATCH_LINGER) : MR_CLOCK_FOREVER);
        mr_embed_item *item = status == MR_OK ? taken : NULL;
        if (filling && (!item || !mr_batch_fits(&budget, &filling->fill, item->encoding.count))) {
            batch_submit(filling, number++);
            filling = NULL;
        }
        if (status == MR_END) return NULL;
        if (!item) continue;
        if (!filling) filling = batch_create(run);
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

/* ---------------------------------------------------------------- write */

/* Has "max_failed" been passed? Percentages are of the records written so far, at least 100 of them, so that one early
 * failure does not end a job that allows 1 %. */
static bool too_many_failed(const mr_job_run *run)
{
    if (!run->job->max_failed) return false;
    char *end;
    double allowed = strtod(run->job->max_failed, &end);
    double failed = (double)atomic_load(&run->failed), written = (double)atomic_load(&run->written);
    if (*end != '%') return failed > allowed;
    return failed > allowed / 100.0 * fmax(written, 100.0);
}

static mr_status check_policy(const mr_job_run *run, const mr_embed_item *item, mr_error *error)
{
    if (item->status != MR_ROW_FAILED) return MR_OK;
    if (run->job->on_error == MR_ON_ERROR_FAIL)
        return mr_error_set(error, MR_BAD_RECORD, "record %.*s: %s (--on-error fail)", (int)item->record->id.length, item->record->id.data, item->error_text);
    if (too_many_failed(run))
        return mr_error_set(error, MR_BAD_INPUT, "more than %s of the records have failed; the last: record %.*s: %s", run->job->max_failed,
                            (int)item->record->id.length, item->record->id.data, item->error_text);
    return MR_OK;
}

static mr_status write_item(mr_job_run *run, const mr_embed_item *item, mr_error *error)
{
    const mr_record *record = item->record;
    const mr_embedding_row row = { .ordinal = record->ordinal, .status = item->status, .id = record->id, .error = mr_str_of(item->error_text), .text = record->text,
                                   .vector = item->vector, .tokens = (uint32_t)item->encoding.count, .source_index = record->source_index,
                                   .source_record = record->source_record };
    MR_TRY(mr_sink_put(run->sink, &row, error));
    atomic_fetch_add(&run->written, 1);
    atomic_fetch_add(item->status == MR_ROW_FAILED ? &run->failed : item->status == MR_ROW_TRUNCATED ? &run->truncated : &run->ok, 1);
    return check_policy(run, item, error);
}

/* Until the window is empty, the stop deadline has passed, or something failed. */
static mr_status write_all(mr_job_run *run, mr_error *error)
{
    for (;;) {
        void *taken;
        mr_status status = mr_window_next(run->window, &taken, mr_clock_deadline(run->clock, WRITER_TICK));
        if (mr_clock_now(run->clock) >= atomic_load(&run->stop_deadline)) {
            if (status == MR_OK) mr_embed_item_free(taken);
            return MR_CANCELLED;
        }
        if (status == MR_TIMEOUT) continue;
        if (status != MR_OK) return status;
        mr_embed_item *item = taken;
        status = write_item(run, item, error);
        mr_window_leave(run->window, item->window_bytes);
        mr_embed_item_free(item);
        MR_TRY(status);
    }
}

static bool has_error(mr_job_run *run)
{
    pthread_mutex_lock(&run->lock);
    bool failed = run->error.status != MR_OK;
    pthread_mutex_unlock(&run->lock);
    return failed;
}

/* Failed rows that earlier runs had committed count for how this one ends. */
static mr_status count_resumed_failures(mr_job_run *run, mr_error *error)
{
    mr_embedding_file *file;
    if (run->committed_count == 0) return MR_OK;
    MR_TRY(mr_embedding_file_open(run->job->output_path, &file, error));
    const char *failed = mr_embedding_file_attribute(file, "rows_failed");
    if (failed && strtoull(failed, NULL, 10) > 0) run->outcome = MR_RECORDS_FAILED;
    mr_embedding_file_close(file);
    return MR_OK;
}

void *mr_embed_write(void *argument)
{
    mr_job_run *run = argument;
    mr_error error = { 0 };
    mr_status status = write_all(run, &error);
    if (status == MR_END && !has_error(run) && !atomic_load(&run->stopping)) {
        atomic_store(&run->finishing, true);
        atomic_store(&run->ended_ns, mr_clock_now(run->clock));
        status = mr_sink_finish(run->sink, mr_source_position(run->source), &error);
        run->outcome = MR_OK;
        if (status == MR_OK) status = count_resumed_failures(run, &error);
    } else {
        /* Stopped, or something failed elsewhere: what came through in order is kept. */
        mr_error commit_error = { 0 };
        mr_status committed = mr_sink_commit(run->sink, &commit_error);
        if (status == MR_END || status == MR_CANCELLED) {
            status = committed;
            error = commit_error;
        }
        run->outcome = MR_INCOMPLETE;
    }
    if (status != MR_OK) mr_embed_run_fail(run, &error);
    mr_window_cancel(run->window); /* whoever still wants to enter is too late */
    atomic_store(&run->ended, true);
    return NULL;
}
