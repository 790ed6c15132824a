/* Starting and ending a job: what is opened, in which order, and how it is taken down again. */
#include "pipelines/job_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cores.h"
#include "core/duration.h"
#include "core/log.h"
#include "core/str.h"
#include "pipelines/embed_run.h"

#define STALL_TIMEOUT (1800 * MR_CLOCK_SECOND) /* slower than any batch or fsync of use; a hung file server takes minutes to come back */
#define WATCH_TICK (100 * MR_CLOCK_MILLISECOND)
#define JOIN_SECONDS 2 /* behind the writer's end the others have nothing left to do */

/* ---------------------------------------------------------------- opening */

static mr_status open_source(mr_job_run *run, mr_error *error)
{
    const mr_job *job = run->job;
    const mr_source_options options = { .paths = (const char *const *)job->paths.items, .path_count = job->paths.count,
                                        .text_field = job->text_field, .id_field = job->id_field, .limit = job->limit,
                                        .replace_invalid = job->invalid_utf8 == MR_INVALID_UTF8_REPLACE,
                                        .readers = run->plan->readers, .read_ahead_bytes = (size_t)run->plan->read_ahead_bytes };
    return mr_source_open(&options, &run->source, error);
}

static mr_status open_sink(mr_job_run *run, bool *finished, mr_error *error)
{
    const mr_job *job = run->job;
    size_t source_count = mr_source_count(run->source);
    MR_TRY(mr_embed_attributes_make(job, run->plan, run->source, &run->attributes, error));
    run->source_names = calloc(source_count, sizeof *run->source_names);
    if (!run->source_names) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < source_count; i++) run->source_names[i] = mr_source_name(run->source, i);
    if (run->plan->shard.count > 1)
        snprintf(run->lock_name, sizeof run->lock_name, "shard-%llu", (unsigned long long)run->plan->shard.index);
    const mr_sink_options options = { .path = job->output_path, .dimension = run->plan->dimension, .dtype = (mr_vector_dtype)job->output_dtype,
                                      .store_text = job->store_text == 1, .image_sizes = run->plan->modality == &mr_modality_image, .attributes = run->attributes.items,
                                      .attribute_count = run->attributes.count, .source_names = run->source_names, .source_count = source_count,
                                      .fingerprint = run->attributes.fingerprint, .job_text = run->attributes.identity,
                                      .overwrite = job->overwrite == 1, .retry_failed = job->retry_failed, .keep_parts = job->keep_parts == 1,
                                      .in_place_parts = job->in_place_parts == 1,
                                      .lock_name = run->plan->shard.count > 1 ? run->lock_name : NULL, .rows_per_part = job->part_rows, .clock = run->clock };
    return mr_sink_open(&options, &run->sink, finished, error);
}

static mr_status copy_committed(mr_job_run *run, mr_error *error)
{
    const mr_range *ranges = mr_sink_committed(run->sink, &run->committed_count);
    if (run->committed_count == 0) return MR_OK;
    run->committed = malloc(run->committed_count * sizeof *ranges);
    if (!run->committed) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    memcpy(run->committed, ranges, run->committed_count * sizeof *ranges);
    for (size_t i = 0; i < run->committed_count; i++) atomic_fetch_add(&run->resumed, mr_shard_count_own(&run->plan->shard, ranges[i]));
    return MR_OK;
}

static mr_status open_model(mr_job_run *run, mr_error *error)
{
    const mr_job_plan *plan = run->plan;
    bool pin = run->job->pin == MR_PIN_AUTO && plan->workers > 1 && plan->cores == mr_cores_allowed(NULL);
    MR_TRY(mr_runtime_create(run->job, pin, &run->runtime, error));
    MR_TRY(mr_governor_acquire(mr_runtime_governor(run->runtime), plan->prepare_bytes + plan->window_bytes + plan->sink_bytes, MR_MEM_RECORDS, &run->guard, NULL, error));
    const mr_registry_entry entry = { .key = plan->model_key, .path = plan->model_path, .vtable = plan->modality->model,
                                      .options = plan->model_options, .max_workers = plan->workers };
    MR_TRY(mr_runtime_model(run->runtime, &entry, sizeof plan->embed_options, &run->model, error));
    return mr_pool_pin(run->model, plan->workers, error);
}

static mr_status open_stages(mr_job_run *run, mr_error *error)
{
    const mr_job_plan *plan = run->plan;
    MR_TRY(mr_window_create(plan->window_records, plan->window_bytes - plan->read_ahead_bytes, run->clock, &run->window, error));
    MR_TRY(mr_queue_create(plan->window_records, 0, run->clock, &run->to_prepare, error));
    MR_TRY(mr_queue_create(plan->window_records, 0, run->clock, &run->to_batch, error));
    run->preparers = calloc(plan->prepare_threads, sizeof *run->preparers);
    return run->preparers ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
}

static mr_status start_thread(mr_job_run *run, pthread_t *thread, void *(*function)(void *), mr_error *error)
{
    int failed = pthread_create(thread, NULL, function, run);
    if (failed) return mr_error_errno(error, failed, "cannot start a thread");
    run->started++;
    return MR_OK;
}

/* In this order, so that whatever was started has its consumers; join_threads knows it. */
static mr_status start_threads(mr_job_run *run, mr_error *error)
{
    atomic_store(&run->preparers_left, run->plan->prepare_threads);
    MR_TRY(start_thread(run, &run->writer, mr_embed_write, error));
    MR_TRY(start_thread(run, &run->batcher, mr_embed_batch, error));
    for (size_t i = 0; i < run->plan->prepare_threads; i++) MR_TRY(start_thread(run, &run->preparers[i], mr_embed_prepare, error));
    return start_thread(run, &run->reader, mr_embed_read, error);
}

/* Has every thread that read ahead come back? */
static bool is_reading_over(mr_job_run *run)
{
    const struct timespec tick = { .tv_nsec = WATCH_TICK };
    for (int64_t waited = 0; atomic_load(&run->watchdog.pulses[MR_STAGE_READ].busy) > 0; waited += WATCH_TICK) {
        if (waited >= JOIN_SECONDS * MR_CLOCK_SECOND) return false;
        nanosleep(&tick, NULL);
    }
    return true;
}

/* As pthread_clockjoin_np, which ThreadSanitizer does not know. */
static bool join_by(pthread_t thread, int64_t deadline)
{
    const struct timespec tick = { .tv_nsec = MR_CLOCK_MILLISECOND };
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        if (mr_clock_now(mr_clock_monotonic()) >= deadline) return false;
        nanosleep(&tick, NULL);
    }
    return true;
}

/* False when one of them does not come back: it still uses the run. */
static bool join_threads(mr_job_run *run)
{
    int64_t deadline = mr_clock_deadline(mr_clock_monotonic(), JOIN_SECONDS * MR_CLOCK_SECOND);
    size_t left = run->started;
    bool joined = true;
    if (left == run->plan->prepare_threads + 3) {
        joined = join_by(run->reader, deadline);
        left--;
    }
    while (left > 2) joined = join_by(run->preparers[--left - 2], deadline) && joined;
    if (left == 2) joined = join_by(run->batcher, deadline) && joined;
    if (left >= 1) joined = join_by(run->writer, deadline) && joined;
    return joined && is_reading_over(run);
}

/* ---------------------------------------------------------------- closing */

static void drain_queue(mr_queue *queue)
{
    void *item;
    if (!queue) return;
    mr_queue_close(queue);
    while (mr_queue_pop(queue, &item, MR_CLOCK_FOREVER) == MR_OK) mr_embed_item_free(item);
    mr_queue_destroy(queue);
}

/* After join_threads: requests still running answer or are dropped; then nothing refers to the run any more. False when
 * a worker is stuck and still uses it. */
static bool stop_model(mr_job_run *run)
{
    mr_shutdown_report report = { 0 };
    if (!run->runtime) return true;
    (void)mr_runtime_shutdown(run->runtime, &report);
    pthread_mutex_lock(&run->lock);
    bool quiet = run->in_flight == 0;
    pthread_mutex_unlock(&run->lock);
    if (!quiet || report.stuck > 0) {
        mr_log(MR_LOG_WARN, "job", "%zu workers did not stop in time; their memory stays with the process", report.stuck);
        return false;
    }
    return true;
}

/* False: somebody still uses it, so it stays with the process. */
static bool free_run(mr_job_run *run)
{
    if (!stop_model(run)) return false;
    drain_queue(run->to_prepare);
    drain_queue(run->to_batch);
    for (void *item = run->window ? mr_window_drain(run->window) : NULL; item; item = mr_window_drain(run->window)) mr_embed_item_free(item);
    mr_window_destroy(run->window);
    mr_sink_close(run->sink);
    mr_embed_attributes_fini(&run->attributes);
    free(run->source_names);
    mr_source_close(run->source);
    mr_guard_release(&run->guard);
    mr_runtime_close(run->runtime);
    free(run->committed);
    free(run->preparers);
    pthread_cond_destroy(&run->end);
    pthread_mutex_destroy(&run->lock);
    free(run);
    return true;
}

/* ---------------------------------------------------------------- the four calls */

mr_status mr_job_run_start(const mr_job *job, const mr_job_plan *plan, mr_job_run **out, bool *finished, mr_error *error)
{
    mr_job_run *run = calloc(1, sizeof *run);
    if (!run) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    run->job = job;
    run->plan = plan;
    run->clock = mr_clock_monotonic();
    atomic_store(&run->stop_deadline, MR_CLOCK_FOREVER);
    pthread_mutex_init(&run->lock, NULL);
    mr_clock_cond_init(&run->end);
    run->give_up = MR_CLOCK_FOREVER;
    mr_watchdog_init(&run->watchdog, job->stall_timeout ? job->stall_timeout : STALL_TIMEOUT, mr_clock_now(run->clock));

    mr_status status;
    bool complete = false;
    MR_TRY_OR(status, open_source(run, error), fail);
    MR_TRY_OR(status, open_sink(run, &complete, error), fail);
    if (complete) {
        *finished = true;
        free_run(run);
        return MR_OK;
    }
    MR_TRY_OR(status, copy_committed(run, error), fail);
    MR_TRY_OR(status, open_stages(run, error), fail);
    MR_TRY_OR(status, open_model(run, error), fail);
    status = start_threads(run, error);
    if (status != MR_OK) {
        mr_embed_run_cancel(run);
        if (!join_threads(run)) return status;
        goto fail;
    }
    *finished = false;
    *out = run;
    return MR_OK;
fail:
    free_run(run);
    return status;
}

void mr_job_run_stop(mr_job_run *run)
{
    if (atomic_exchange(&run->stopping, true)) return;
    mr_source_stop(run->source);
    atomic_store(&run->stop_deadline, mr_clock_deadline(run->clock, run->job->pool.shutdown_timeout)); /* then records in flight are dropped */
}

static size_t count_ready_workers(mr_job_run *run)
{
    mr_model_metrics metrics;
    mr_pool_model_metrics(run->model, &metrics);
    return metrics.workers[MR_WORKER_READY] + metrics.workers[MR_WORKER_PROCESSING] + metrics.workers[MR_WORKER_IDLE];
}

/* A stage that hangs ends the job; the writer, if it can, still commits what came through. Nobody waits for ever then, nor
 * behind a stop. */
static bool is_given_up(mr_job_run *run)
{
    int64_t now = mr_clock_now(run->clock), stop = atomic_load(&run->stop_deadline);
    if (run->give_up == MR_CLOCK_FOREVER && stop != MR_CLOCK_FOREVER) run->give_up = stop + run->job->pool.shutdown_timeout;
    mr_stage hanging = mr_watchdog_look(&run->watchdog, count_ready_workers(run) ? MR_STAGE_COUNT : MR_STAGE_EMBED, now);
    if (hanging != MR_STAGE_COUNT && !run->hangs) {
        mr_error error;
        char limit[MR_DURATION_TEXT_MAX];
        mr_error_set(&error, MR_TIMEOUT, "%s: no sign of life for %s while %s (%llu records read, %llu written). What was committed is intact; "
                     "run the same command again to go on, with a longer --stall-timeout if that is no fault", run->job->output_path,
                     mr_duration_text(run->watchdog.limit_ns, limit), mr_stage_text(hanging), atomic_load(&run->read), atomic_load(&run->written));
        mr_embed_run_fail(run, &error);
        run->hangs = true;
        run->give_up = mr_clock_deadline(run->clock, run->job->pool.shutdown_timeout);
    }
    return now >= run->give_up;
}

bool mr_job_run_wait(mr_job_run *run, int64_t timeout_ns)
{
    int64_t deadline = mr_clock_deadline(run->clock, timeout_ns);
    pthread_mutex_lock(&run->lock);
    while (!run->ended && mr_clock_wait(run->clock, &run->end, &run->lock, deadline)) continue;
    bool ended = run->ended;
    pthread_mutex_unlock(&run->lock);
    return ended || is_given_up(run);
}

void mr_job_run_progress(mr_job_run *run, mr_job_progress *out)
{
    int64_t started = atomic_load(&run->started_ns), ended = atomic_load(&run->ended_ns);
    *out = (mr_job_progress){ .read_done = atomic_load(&run->read_done), .resumed = atomic_load(&run->resumed),
                              .resumed_failed = atomic_load(&run->resumed_failed), .read = atomic_load(&run->read), .prepared = atomic_load(&run->prepared), .prepared_tokens = atomic_load(&run->prepared_tokens),
                              .computed = atomic_load(&run->computed), .written = atomic_load(&run->written), .ok = atomic_load(&run->ok),
                              .truncated = atomic_load(&run->truncated), .failed = atomic_load(&run->failed), .tokens = atomic_load(&run->tokens),
                              .finishing = atomic_load(&run->finishing) };
    if (started) out->elapsed_ns = (ended ? ended : mr_clock_now(run->clock)) - started;
    mr_source_progress(run->source, &out->input_consumed, &out->input_total);
    out->workers_ready = count_ready_workers(run);
}

mr_status mr_job_run_finish(mr_job_run *run, mr_job_progress *last, mr_error *error)
{
    while (!mr_job_run_wait(run, WATCH_TICK)) continue;
    bool joined = join_threads(run) && !run->hangs; /* a hanging worker is no thread of ours */
    if (!atomic_load(&run->ended_ns)) atomic_store(&run->ended_ns, mr_clock_now(run->clock));
    mr_job_run_progress(run, last);
    if (joined) memcpy(last->first_failure, run->first_failure, sizeof last->first_failure);
    mr_pool_unpin(run->model, run->plan->workers);
    pthread_mutex_lock(&run->lock);
    mr_status status = run->error.status;
    if (status != MR_OK && error) *error = run->error;
    pthread_mutex_unlock(&run->lock);
    if (status == MR_OK) status = run->outcome;
    if (status == MR_OK && last->failed > 0) status = MR_RECORDS_FAILED;
    if (status == MR_OK && !joined) status = MR_INCOMPLETE;
    last->abandoned = !joined || !free_run(run);
    return status;
}
