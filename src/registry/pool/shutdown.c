#include "core/log.h"
#include "registry/pool/maintenance.h"
#include "registry/pool/worker.h"

typedef struct phase {
    int64_t deadline;
    uint64_t dropped;
    size_t stuck;
} phase;

static void tell(mr_pool_model *model, void *context)
{
    (void)context;
    pthread_mutex_lock(&model->lock);
    pthread_cond_broadcast(&model->changed); /* submitters that wait for room or a worker give up */
    pthread_mutex_unlock(&model->lock);
}

void mr_pools_begin_shutdown(mr_pools *pools)
{
    if (atomic_exchange(&pools->shutting_down, true)) return;
    mr_pools_each(pools, tell, NULL);
}

static void drain(mr_pool_model *model, void *context)
{
    const phase *at = context;
    bool in_time = true;
    pthread_mutex_lock(&model->lock);
    while (mr_pool_pending(model) > 0 && in_time) in_time = mr_clock_wait(model->pools->clock, &model->changed, &model->lock, at->deadline);
    pthread_mutex_unlock(&model->lock);
}

/* What nobody has begun is answered; every worker is asked to leave. */
static void stop_model(mr_pool_model *model, void *context)
{
    phase *at = context;
    mr_job_list queued = { 0 };
    mr_error error;
    mr_error_set(&error, MR_SHUTTING_DOWN, "%s: dropped, the shutdown ran out of time", model->spec.key);
    pthread_mutex_lock(&model->lock);
    for (size_t i = 0; i < model->worker_count; i++) {
        mr_job_list_append(&queued, &model->workers[i]->priority);
        mr_job_list_append(&queued, &model->workers[i]->queue);
        mr_worker_evict(model->workers[i], "shutdown");
    }
    mr_job_list_append(&queued, &model->orphans);
    at->dropped += queued.count;
    model->metrics.requests_dropped += queued.count;
    if (queued.count > 0) mr_pool_fail_jobs(model, &queued, MR_SHUTTING_DOWN, &error);
    pthread_mutex_unlock(&model->lock);
}

static void await_threads(mr_pool_model *model, void *context)
{
    phase *at = context;
    bool in_time = true;
    pthread_mutex_lock(&model->lock);
    while (model->threads > 0 && in_time) in_time = mr_clock_wait(model->pools->clock, &model->changed, &model->lock, at->deadline);
    at->stuck += model->threads;
    bool join = model->threads == 0 && model->has_ended;
    pthread_t ended = model->ended;
    model->has_ended = model->has_ended && !join;
    pthread_mutex_unlock(&model->lock);
    if (join) pthread_join(ended, NULL); /* it has only its return left, and perhaps the join of another such one */
}

static void summarise(const mr_shutdown_report *report)
{
    unsigned long long drained = report->drained, dropped = report->dropped;
    if (dropped == 0 && report->stuck == 0)
        mr_log(MR_LOG_INFO, MR_POOL_LOG, "graceful shutdown complete (%.1fs, %llu requests drained)", report->seconds, drained);
    else
        mr_log(MR_LOG_WARN, MR_POOL_LOG, "shutdown ran out of time (%.1fs, %llu requests drained, %llu dropped, %zu workers still running)", report->seconds,
               drained, dropped, report->stuck);
}

static void run_sequence(mr_pools *pools)
{
    int64_t started = mr_clock_now(pools->clock);
    mr_pools_begin_shutdown(pools);
    phase at = { .deadline = mr_clock_deadline(pools->clock, pools->settings.shutdown_timeout) };
    mr_pools_each(pools, drain, &at);
    mr_pools_each(pools, stop_model, &at);
    at.deadline = mr_clock_deadline(pools->clock, pools->settings.stop_timeout);
    mr_pools_each(pools, await_threads, &at);
    mr_maintenance_stop(pools->maintenance);
    pools->report = (mr_shutdown_report){ .seconds = (double)(mr_clock_now(pools->clock) - started) / (double)MR_CLOCK_SECOND,
                                          .drained = atomic_load(&pools->drained), .dropped = at.dropped, .stuck = at.stuck };
    summarise(&pools->report);
    mr_maintenance_write_metrics(pools); /* the last word, whatever the interval */
}

mr_status mr_pools_shutdown(mr_pools *pools, mr_shutdown_report *report)
{
    pthread_mutex_lock(&pools->shutdown_lock);
    if (!pools->shut_down) run_sequence(pools);
    pools->shut_down = true;
    mr_shutdown_report result = pools->report;
    pthread_mutex_unlock(&pools->shutdown_lock);
    if (report) *report = result;
    return result.dropped == 0 && result.stuck == 0 ? MR_OK : MR_TIMEOUT;
}
