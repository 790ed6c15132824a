#include "registry/pool/spawn.h"

#include <stdlib.h>

#include "core/checked.h"
#include "core/log.h"
#include "registry/pool/evict.h"
#include "registry/pool/routing.h"
#include "registry/pool/weights.h"
#include "registry/pool/worker.h"

/* ---------------------------------------------------------------- a worker's thread */

/* Out of the list of workers. Lock held. */
static void unlist(mr_worker *self)
{
    mr_pool_model *model = self->model;
    for (size_t i = 0; i < model->worker_count; i++) {
        if (model->workers[i] != self) continue;
        model->workers[i] = model->workers[--model->worker_count];
        return;
    }
}

static void take_jobs(mr_worker *self, mr_job_list *out)
{
    *out = (mr_job_list){ 0 };
    mr_job_list_append(out, &self->priority);
    mr_job_list_append(out, &self->queue);
}

/* Whatever it held is given back; what it had queued goes to siblings. Lock held on entry and on return. */
static void wind_up(mr_worker *self)
{
    mr_pool_model *model = self->model;
    bool failed_load = self->state == MR_WORKER_FAILED && !self->instance; /* it would fail again: no replacement */
    if (self->state != MR_WORKER_FAILED) mr_worker_enter(self, MR_WORKER_EVICTING);
    mr_job_list jobs;
    take_jobs(self, &jobs);
    mr_routing_rehome(model, &jobs);
    pthread_mutex_unlock(&model->lock);
    model->spec.vtable->worker_destroy(self->instance);
    mr_guard_release(&self->guard);
    pthread_mutex_lock(&model->lock);
    if (failed_load) mr_routing_fail_orphans(model, &model->failure);
    else if (!self->lost) mr_spawn_replacement(model, false); /* before the weights go: it can share them */
    mr_weights_release(model, self->weights);
    unlist(self);
    mr_worker_enter(self, MR_WORKER_DEAD);
}

static void *worker_main(void *argument)
{
    mr_worker *self = argument;
    mr_pool_model *model = self->model;
    mr_affinity *affinity = model->pools->affinity;
    mr_error error = { 0 };
    mr_core_set cores = { 0 };
    pthread_setname_np(pthread_self(), "millrace-worker");
    if (model->pools->settings.pin_threads) cores = mr_affinity_bind(affinity, model->spec.options.threads_per_worker);
    pthread_mutex_lock(&model->lock);
    mr_worker_enter(self, MR_WORKER_LOADING);
    pthread_mutex_unlock(&model->lock);
    mr_status status = mr_worker_bring_up(self, &error);
    pthread_mutex_lock(&model->lock);
    if (status == MR_OK) {
        mr_worker_enter(self, MR_WORKER_READY);
        mr_worker_serve(self);
    } else if (!self->leave) {
        mr_pool_explain(model, status, &error);
        mr_worker_fail(self, &error);
        if (self->brought_weights) mr_breaker_record(&model->breaker, mr_pool_now(model), model->breaker.round, MR_VERDICT_FAILURE);
    }
    wind_up(self);
    if (cores.count > 0) mr_affinity_release(affinity, cores);
    /* Each ending thread joins the one that ended before it, so that one at most is left for the shutdown. */
    bool join = model->has_ended;
    pthread_t before = model->ended;
    model->has_ended = true;
    model->ended = pthread_self();
    model->threads--;
    pthread_cond_destroy(&self->wake);
    free(self);
    pthread_cond_broadcast(&model->changed);
    pthread_mutex_unlock(&model->lock); /* from here on the model may be gone */
    if (join) pthread_join(before, NULL);
    return NULL;
}

/* A worker that holds `guard` (taken over on MR_OK) and a new reference of model->weights. Lock held. */
static mr_status start_thread(mr_pool_model *model, mr_guard *guard, mr_error *error)
{
    mr_worker *worker = calloc(1, sizeof *worker);
    if (!worker) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a worker", model->spec.key);
    worker->model = model;
    worker->id = ++model->next_id;
    worker->weights = model->weights;
    worker->guard = *guard;
    mr_clock_cond_init(&worker->wake);
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, worker_main, worker);
    if (failed) {
        pthread_cond_destroy(&worker->wake);
        free(worker);
        return mr_error_errno(error, failed, "%s: cannot start a worker thread", model->spec.key);
    }
    *guard = (mr_guard){ 0 };
    model->weights->references++;
    model->threads++;
    model->workers[model->worker_count++] = worker;
    model->metrics.workers_spawned++;
    mr_log(MR_LOG_INFO, MR_POOL_LOG, "%s: worker %llu spawned", model->spec.key, (unsigned long long)worker->id);
    return MR_OK;
}

void mr_spawn_give_up(mr_worker *worker)
{
    mr_pool_model *model = worker->model;
    worker->lost = true;
    unlist(worker);
    model->metrics.workers_failed++;
    mr_job_list jobs;
    take_jobs(worker, &jobs);
    mr_routing_rehome(model, &jobs);
    pthread_cond_broadcast(&model->changed);
}

/* ---------------------------------------------------------------- memory for new workers */

/* Bytes of `count` workers, the weights included when nobody has them. Lock held. */
static bool bytes_of(const mr_pool_model *model, size_t count, size_t *out)
{
    return mr_checked_mul(count, model->estimate.worker_bytes, out) && (model->weights || mr_checked_add(*out, model->estimate.shared_bytes, out));
}

/* Memory for as many of `wanted` workers as there is, none evicted. Lock held. */
static size_t acquire_most(mr_pool_model *model, size_t wanted, mr_guard *guard)
{
    for (size_t count = wanted, bytes; count > 0; count--)
        if (bytes_of(model, count, &bytes) && mr_governor_acquire(model->pools->governor, bytes, MR_MEM_SCRATCH, guard, NULL, NULL) == MR_OK) return count;
    return 0;
}

/* Waits until workers of this model that are going have given their memory back. Lock held on entry and on return. */
static void await_leaving(mr_pool_model *model)
{
    int64_t deadline = mr_clock_deadline(model->pools->clock, model->pools->settings.evict_timeout);
    for (bool in_time = true; in_time && model->worker_count > mr_pool_live(model);)
        in_time = mr_clock_wait(model->pools->clock, &model->changed, &model->lock, deadline);
}

/* Memory for at least one worker, at the price of idle workers of any model. Lock held on entry and on return, released in
 * between; the caller has set `spawning`. */
static mr_status acquire_some(mr_pool_model *model, size_t wanted, size_t *count, mr_guard *guard, mr_error *error)
{
    if ((*count = acquire_most(model, wanted, guard)) > 0) return MR_OK;
    await_leaving(model);
    if ((*count = acquire_most(model, wanted, guard)) > 0) return MR_OK;
    mr_eviction plan = { .count = 0 };
    size_t bytes;
    if (!bytes_of(model, 1, &bytes)) return mr_error_set(error, MR_MEMORY_EXHAUSTED, "%s: the estimate overflows", model->spec.key);
    pthread_mutex_unlock(&model->lock);
    mr_status status = mr_governor_acquire(model->pools->governor, bytes, MR_MEM_SCRATCH, guard, &plan, error);
    if (status != MR_OK && plan.count > 0) {
        mr_evict_all(model->pools, &plan, "memory needed by another model");
        status = mr_governor_acquire(model->pools->governor, bytes, MR_MEM_SCRATCH, guard, NULL, error);
    }
    pthread_mutex_lock(&model->lock);
    *count = status == MR_OK;
    return status == MR_OK ? MR_OK : mr_error_prefix(error, status, "%s: no memory for a worker", model->spec.key);
}

/* ---------------------------------------------------------------- starting workers */

/* From the files, once. Lock held on entry and on return, released in between. */
static mr_status know_estimate(mr_pool_model *model, mr_error *error)
{
    if (model->estimated) return MR_OK;
    mr_memory_estimate estimate;
    pthread_mutex_unlock(&model->lock);
    mr_status status = model->spec.vtable->estimate(model->spec.path, &model->spec.options, &estimate, error);
    pthread_mutex_lock(&model->lock);
    if (status != MR_OK) return status;
    model->estimate = estimate;
    model->estimated = true;
    return MR_OK;
}

/* `count` workers out of one guard that holds the bytes of all of them. Lock held on entry and on return. */
static mr_status start_workers(mr_pool_model *model, size_t count, mr_guard *guard, mr_error *error)
{
    if (!model->weights) {
        mr_guard share;
        mr_guard_split(guard, model->estimate.shared_bytes, MR_MEM_WEIGHTS, &share);
        model->weights = mr_weights_create(&share);
        mr_guard_release(&share);
        if (!model->weights) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate the entry of its weights", model->spec.key);
    }
    mr_weights *weights = model->weights;
    weights->references++; /* ours, while there may be no worker yet */
    mr_status status = MR_OK;
    size_t started = 0;
    for (; started < count && status == MR_OK; started++) {
        mr_guard own;
        mr_guard_split(guard, model->estimate.worker_bytes, MR_MEM_SCRATCH, &own);
        status = start_thread(model, &own, error);
        mr_guard_release(&own);
    }
    mr_weights_release(model, weights);
    return status != MR_OK && started > 1 ? MR_OK : status; /* the first one started */
}

/* The decision and the start, with `spawning` set. Lock held on entry and on return, released in between. */
static mr_status decide(mr_pool_model *model, size_t wanted, mr_error *error)
{
    MR_TRY(know_estimate(model, error));
    if (model->worker_count == MR_WORKERS_MAX) await_leaving(model);
    size_t live = mr_pool_live(model), places = MR_WORKERS_MAX - model->worker_count, count;
    size_t room = model->max_workers > live ? model->max_workers - live : 0;
    if (room > places) room = places;
    if (room == 0 && live == 0) return mr_error_set(error, MR_TIMEOUT, "%s: %d workers are leaving and none has gone", model->spec.key, MR_WORKERS_MAX);
    if (wanted > room) wanted = room;
    if (wanted == 0) return MR_OK;
    mr_guard guard = { 0 };
    bool had_weights = model->weights != NULL;
    mr_status status = acquire_some(model, wanted, &count, &guard, error);
    if (status == MR_OK && mr_pool_shutting_down(model)) status = mr_error_set(error, MR_SHUTTING_DOWN, "%s: shutting down, no new workers", model->spec.key);
    if (status == MR_OK && had_weights && !model->weights) { /* they went while we waited: ask again, for them too */
        mr_guard_release(&guard);
        status = acquire_some(model, wanted, &count, &guard, error);
    }
    if (status == MR_OK) status = start_workers(model, count, &guard, error);
    mr_guard_release(&guard);
    return status;
}

mr_status mr_spawn_cold(mr_pool_model *model, size_t wanted, mr_error *error)
{
    mr_error cause = { 0 };
    model->spawning = true;
    mr_status status = decide(model, wanted, &cause);
    model->spawning = false;
    if (status != MR_OK) {
        mr_pool_explain(model, status, &cause);
        mr_pool_report_failure(model, &cause);
        mr_routing_fail_orphans(model, &cause);
        if (error) *error = cause;
    }
    pthread_cond_broadcast(&model->changed);
    return status;
}

/* One more out of memory that is free, sharing the weights that are there. Lock held throughout. */
static mr_status start_one(mr_pool_model *model, const char *why, mr_error *error)
{
    mr_guard guard = { 0 };
    if (model->worker_count == MR_WORKERS_MAX || !model->weights)
        return mr_error_set(error, MR_WORKER_DIED, "%s: no place for a further worker", model->spec.key);
    mr_status status = mr_governor_acquire(model->pools->governor, model->estimate.worker_bytes, MR_MEM_SCRATCH, &guard, NULL, error);
    if (status == MR_OK) status = start_thread(model, &guard, error);
    mr_guard_release(&guard);
    if (status != MR_OK) mr_log(MR_LOG_DEBUG, MR_POOL_LOG, "%s: no further worker (%s): %s", model->spec.key, why, error->text);
    return status;
}

void mr_spawn_warm(mr_pool_model *model)
{
    mr_error error;
    if (model->spawning || mr_pool_live(model) >= model->max_workers || mr_pool_shutting_down(model)) return;
    if (mr_governor_pressure(model->pools->governor) >= MR_PRESSURE_HIGH) return;
    for (size_t i = 0; i < model->worker_count; i++)
        if (mr_worker_comes(model->workers[i])) return; /* never two at once */
    (void)start_one(model, "all are busy", &error);
}

void mr_spawn_replacement(mr_pool_model *model, bool always)
{
    size_t live = mr_pool_live(model);
    bool needed = always || live < model->pinned || (live == 0 && model->orphans.count > 0);
    if (!needed || live >= model->max_workers || model->spawning) return;
    mr_error error = { 0 };
    mr_status status;
    if (mr_pool_shutting_down(model)) status = mr_pool_refuse(model, &error);
    else if (mr_breaker_state_at(&model->breaker, mr_pool_now(model)) == MR_BREAKER_OPEN) status = mr_pool_refuse_open(model, &error);
    else status = start_one(model, "one was lost", &error);
    if (status != MR_OK) mr_routing_fail_orphans(model, &error);
}
