#include <stdlib.h>

#include "core/checked.h"
#include "core/log.h"
#include "registry/pool/pool_internal.h"

/* ---------------------------------------------------------------- idle workers */

static int by_last_use(const void *a, const void *b)
{
    const mr_idle_worker *left = a, *right = b;
    return (left->last_used_ns > right->last_used_ns) - (left->last_used_ns < right->last_used_ns);
}

/* The workers of one model that may leave, least recently used first; with the last one go the weights. Lock held. */
static size_t list_idle(mr_pool_model *model, mr_idle_worker out[MR_WORKERS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < model->worker_count; i++) {
        const mr_worker *worker = model->workers[i];
        if (worker->state != MR_WORKER_IDLE || worker->leave || mr_worker_pending(worker) > 0) continue;
        out[count++] = (mr_idle_worker){ model, worker->id, worker->guard.bytes, worker->last_used_ns };
    }
    qsort(out, count, sizeof *out, by_last_use);
    size_t live = mr_pool_live(model), spare = live > model->pinned ? live - model->pinned : 0;
    if (count < spare) spare = count;
    if (spare > 0 && spare == model->worker_count) out[spare - 1].bytes += model->weights->guard.bytes;
    return spare;
}

typedef struct idle_list {
    mr_idle_worker *out;
    size_t capacity;
    size_t count;
} idle_list;

static void add_idle(mr_pool_model *model, void *context)
{
    idle_list *list = context;
    mr_idle_worker idle[MR_WORKERS_MAX];
    pthread_mutex_lock(&model->lock);
    size_t count = list_idle(model, idle);
    pthread_mutex_unlock(&model->lock);
    for (size_t i = 0; i < count && list->count < list->capacity; i++) list->out[list->count++] = idle[i];
}

size_t mr_spawn_idle_workers(void *context, mr_idle_worker *out, size_t capacity)
{
    idle_list list = { out, capacity, 0 };
    mr_pools_each(context, add_idle, &list);
    return list.count;
}

static mr_worker *find_worker(mr_pool_model *model, uint64_t id)
{
    for (size_t i = 0; i < model->worker_count; i++)
        if (model->workers[i]->id == id) return model->workers[i];
    return NULL;
}

/* It may have been used or pinned since it was listed: then it stays. No lock held. */
static void evict_if_idle(const mr_idle_worker *idle, const char *reason)
{
    mr_pool_model *model = idle->owner;
    pthread_mutex_lock(&model->lock);
    mr_worker *worker = find_worker(model, idle->id);
    if (worker && worker->state == MR_WORKER_IDLE && mr_worker_pending(worker) == 0 && mr_pool_live(model) > model->pinned)
        mr_worker_evict(worker, reason);
    pthread_mutex_unlock(&model->lock);
}

/* No lock held. Waits at most evict_timeout. */
static void evict_all(mr_pools *pools, const mr_eviction *plan, const char *reason)
{
    int64_t deadline = mr_clock_deadline(pools->clock, pools->settings.evict_timeout);
    for (size_t i = 0; i < plan->count; i++) evict_if_idle(&plan->workers[i], reason);
    for (size_t i = 0; i < plan->count; i++) {
        mr_pool_model *model = plan->workers[i].owner;
        bool in_time = true;
        pthread_mutex_lock(&model->lock);
        for (mr_worker *worker; in_time && (worker = find_worker(model, plan->workers[i].id)) && worker->leave;)
            in_time = mr_clock_wait(pools->clock, &model->changed, &model->lock, deadline);
        pthread_mutex_unlock(&model->lock);
    }
}

bool mr_spawn_evict_one(mr_pools *pools, const char *reason)
{
    mr_idle_worker idle[MR_WORKERS_MAX];
    size_t count = mr_spawn_idle_workers(pools, idle, MR_WORKERS_MAX);
    if (count == 0) return false;
    qsort(idle, count, sizeof *idle, by_last_use);
    evict_if_idle(&idle[0], reason);
    return true;
}

void mr_spawn_cool_down(mr_pool_model *model, int64_t now)
{
    mr_idle_worker idle[MR_WORKERS_MAX];
    pthread_mutex_lock(&model->lock);
    bool all_idle = !model->spawning && now - model->last_request_ns >= model->pools->settings.idle_before_evict;
    for (size_t i = 0; i < model->worker_count; i++)
        all_idle = all_idle && model->workers[i]->state == MR_WORKER_IDLE && mr_worker_pending(model->workers[i]) == 0;
    if (all_idle && list_idle(model, idle) > 0) mr_worker_evict(find_worker(model, idle[0].id), "idle");
    pthread_mutex_unlock(&model->lock);
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
        evict_all(model->pools, &plan, "memory needed by another model");
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
        status = mr_worker_start(model, &own, error);
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
        mr_pool_fail_orphans(model, &cause);
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
    if (status == MR_OK) status = mr_worker_start(model, &guard, error);
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
    if (status != MR_OK) mr_pool_fail_orphans(model, &error);
}
