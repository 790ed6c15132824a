#include "registry/pool/routing.h"

#include "registry/pool/balance.h"

mr_worker *mr_routing_choose(mr_pool_model *model)
{
    mr_candidate candidates[MR_WORKERS_MAX];
    mr_worker *workers[MR_WORKERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < model->worker_count; i++) {
        mr_worker *worker = model->workers[i];
        if (!mr_worker_serves(worker)) continue;
        workers[count] = worker;
        candidates[count++] = (mr_candidate){ mr_worker_pending(worker), worker->last_used_ns };
    }
    return count > 0 ? workers[mr_balance_pick(candidates, count, &model->random)] : NULL;
}

static bool has_room(const mr_worker *worker, mr_lane lane)
{
    const mr_pool *pool = worker->model->pool;
    switch (lane) {
    case MR_LANE_PRIORITY: return worker->priority.count < pool->queue_capacity;
    case MR_LANE_BATCH: return worker->queue.count < pool->batch_capacity;
    case MR_LANE_INTERACTIVE: break;
    }
    return worker->queue.count < pool->queue_capacity;
}

mr_worker *mr_routing_with_room(mr_pool_model *model, mr_worker *chosen, mr_lane lane)
{
    if (has_room(chosen, lane)) return chosen;
    for (size_t i = 0; i < model->worker_count; i++)
        if (mr_worker_serves(model->workers[i]) && has_room(model->workers[i], lane)) return model->workers[i];
    return NULL;
}

void mr_routing_wake_idle(mr_pool_model *model)
{
    for (size_t i = 0; i < model->worker_count; i++) {
        if (model->workers[i]->state != MR_WORKER_IDLE || mr_worker_pending(model->workers[i]) > 0) continue;
        pthread_cond_signal(&model->workers[i]->wake);
        return;
    }
}

void mr_routing_enqueue(mr_worker *worker, mr_job *job)
{
    mr_pool_model *model = worker->model;
    mr_job_list_push(job->call.lane == MR_LANE_PRIORITY ? &worker->priority : &worker->queue, job);
    pthread_cond_signal(&worker->wake);
    if (worker->state != MR_WORKER_IDLE) mr_routing_wake_idle(model); /* the chosen one is busy: somebody may steal it */
}

void mr_routing_rehome(mr_pool_model *model, mr_job_list *jobs)
{
    mr_job_list unlucky = { 0 };
    for (mr_job *job; (job = mr_job_list_pop(jobs));) {
        if (job->moved && !job->call.idempotent) {
            mr_job_list_push(&unlucky, job);
            continue;
        }
        job->moved = true;
        model->metrics.requests_moved++;
        mr_worker *sibling = mr_routing_choose(model);
        if (sibling) mr_routing_enqueue(sibling, job); /* over its capacity if need be: these were accepted already */
        else mr_job_list_push(&model->orphans, job);
    }
    if (unlucky.count == 0) return;
    mr_error error;
    mr_error_set(&error, MR_WORKER_DIED, "%s: two workers died holding this request", model->spec.key);
    mr_pool_fail_jobs(model, &unlucky, MR_WORKER_DIED, &error);
}

void mr_routing_fail_orphans(mr_pool_model *model, const mr_error *cause)
{
    if (model->orphans.count == 0 || mr_pool_live(model) > 0 || model->spawning) return;
    const mr_error own = *cause; /* it may be the model's, which changes while the lock is released */
    mr_pool_fail_jobs(model, &model->orphans, own.status, &own);
}
