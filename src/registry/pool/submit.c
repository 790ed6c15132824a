/* A request's way into a queue: admitted, given a worker, or kept waiting for room. */
#include <stdlib.h>

#include "registry/pool/maintenance.h"
#include "registry/pool/routing.h"
#include "registry/pool/spawn.h"

static bool all_busy(const mr_pool_model *model)
{
    for (size_t i = 0; i < model->worker_count; i++)
        if (mr_worker_serves(model->workers[i]) && mr_worker_pending(model->workers[i]) == 0) return false;
    return true;
}

/* Until some worker serves: *out. Starts the first ones; waits for them only with `wait`. Lock held on entry and on return. */
static mr_status await_worker(mr_pool_model *model, bool wait, int64_t deadline, mr_worker **out, mr_error *error)
{
    uint64_t failures = model->failures;
    int64_t ready_deadline = mr_clock_deadline(model->pools->clock, model->pools->settings.worker_ready_timeout);
    if (deadline < ready_deadline) ready_deadline = deadline;
    for (bool in_time = true;;) {
        if (mr_pool_shutting_down(model)) return mr_pool_refuse(model, error);
        if ((*out = mr_routing_choose(model))) return MR_OK;
        if (model->failures != failures) {
            if (error) *error = model->failure;
            return model->failure.status;
        }
        if (!in_time) return mr_error_set(error, MR_TIMEOUT, "%s: no worker became ready in time", model->spec.key);
        if (mr_pool_live(model) == 0 && !model->spawning) {
            MR_TRY(mr_spawn_cold(model, model->pools->settings.cold_start_workers, error));
            continue;
        }
        if (!wait) return mr_error_set(error, MR_QUEUE_FULL, "%s: no worker is ready yet", model->spec.key);
        in_time = mr_clock_wait(model->pools->clock, &model->changed, &model->lock, ready_deadline);
    }
}

/* Finds the job a queue, growing the model on the way. Lock held on entry and on return. */
static mr_status place(mr_pool_model *model, mr_job *job, bool wait, mr_error *error)
{
    for (bool in_time = true;;) {
        mr_worker *worker;
        MR_TRY(await_worker(model, wait, job->deadline_ns, &worker, error));
        if (all_busy(model)) mr_spawn_warm(model);
        worker = mr_routing_with_room(model, worker, job->call.lane);
        if (worker) {
            mr_routing_enqueue(worker, job);
            return MR_OK;
        }
        if (!wait) {
            model->metrics.rejected_full++;
            return mr_error_set(error, MR_QUEUE_FULL, "%s: the queues of all %zu workers are full", model->spec.key, mr_pool_live(model));
        }
        if (!in_time) {
            model->metrics.timeouts++;
            return mr_error_set(error, MR_TIMEOUT, "%s: no room in any queue within the request's time", model->spec.key);
        }
        in_time = mr_clock_wait(model->pools->clock, &model->changed, &model->lock, job->deadline_ns);
    }
}

/* Lock held on entry and on return. */
static mr_status admit(mr_pool_model *model, mr_job *job, bool wait, mr_error *error)
{
    int64_t now = mr_pool_now(model);
    if (mr_pool_shutting_down(model)) return mr_pool_refuse(model, error);
    if (!mr_breaker_admit(&model->breaker, now, &job->breaker_round)) {
        model->metrics.rejected_by_breaker++;
        return mr_pool_refuse_open(model, error);
    }
    model->last_request_ns = now;
    mr_status status = place(model, job, wait, error);
    if (status != MR_OK) {
        (void)mr_breaker_record(&model->breaker, mr_pool_now(model), job->breaker_round, MR_VERDICT_NONE);
        return status;
    }
    model->metrics.requests++;
    if (job->deadline_ns != MR_CLOCK_FOREVER) mr_maintenance_expect(model->pools->maintenance, job->deadline_ns);
    return MR_OK;
}

static mr_status submit(mr_pool_model *model, const mr_call *call, bool wait, mr_error *error)
{
    MR_TRY(mr_maintenance_start(model->pools->maintenance, error));
    mr_job *job = calloc(1, sizeof *job);
    if (!job) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a request", model->spec.key);
    int64_t timeout = call->timeout_ns ? call->timeout_ns : model->pools->settings.request_timeout;
    job->call = *call;
    job->submitted_ns = mr_pool_now(model);
    job->deadline_ns = mr_clock_deadline(model->pools->clock, timeout);
    pthread_mutex_lock(&model->lock);
    mr_status status = admit(model, job, wait, error);
    pthread_mutex_unlock(&model->lock);
    if (status != MR_OK) free(job);
    return status;
}

mr_status mr_pool_submit(mr_pool_model *model, const mr_call *call, mr_error *error) { return submit(model, call, true, error); }
mr_status mr_pool_try_submit(mr_pool_model *model, const mr_call *call, mr_error *error) { return submit(model, call, false, error); }
