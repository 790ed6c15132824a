#include "registry/pool/evict.h"

#include <stdlib.h>

#include "registry/pool/weights.h"
#include "registry/pool/worker.h"

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

size_t mr_evict_idle_workers(void *context, mr_idle_worker *out, size_t capacity)
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

void mr_evict_all(mr_pools *pools, const mr_eviction *plan, const char *reason)
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

bool mr_evict_one(mr_pools *pools, const char *reason)
{
    mr_idle_worker idle[MR_WORKERS_MAX];
    size_t count = mr_evict_idle_workers(pools, idle, MR_WORKERS_MAX);
    if (count == 0) return false;
    qsort(idle, count, sizeof *idle, by_last_use);
    evict_if_idle(&idle[0], reason);
    return true;
}

void mr_evict_cool_down(mr_pool_model *model, int64_t now)
{
    mr_idle_worker idle[MR_WORKERS_MAX];
    pthread_mutex_lock(&model->lock);
    bool all_idle = !model->spawning && now - model->last_request_ns >= model->pools->settings.idle_before_evict;
    for (size_t i = 0; i < model->worker_count; i++)
        all_idle = all_idle && model->workers[i]->state == MR_WORKER_IDLE && mr_worker_pending(model->workers[i]) == 0;
    if (all_idle && list_idle(model, idle) > 0) mr_worker_evict(find_worker(model, idle[0].id), "idle");
    pthread_mutex_unlock(&model->lock);
}
