#include "registry/pool/pool_model.h"

#include "core/log.h"

void mr_pools_each(mr_pools *pools, mr_pool_visitor *visit, void *context)
{
    for (int i = 0; i < MR_CAPABILITY_COUNT; i++) {
        pthread_mutex_lock(&pools->lock);
        mr_pool_model *first = pools->pool[i].models;
        pthread_mutex_unlock(&pools->lock);
        for (mr_pool_model *model = first; model; model = model->next) visit(model, context);
    }
}

size_t mr_pool_live(const mr_pool_model *model)
{
    size_t live = 0;
    for (size_t i = 0; i < model->worker_count; i++) live += mr_worker_serves(model->workers[i]) || mr_worker_comes(model->workers[i]);
    return live;
}

size_t mr_pool_pending(const mr_pool_model *model)
{
    size_t pending = model->orphans.count;
    for (size_t i = 0; i < model->worker_count; i++) pending += mr_worker_pending(model->workers[i]);
    return pending;
}

void mr_pool_explain(const mr_pool_model *model, mr_status status, mr_error *error)
{
    if (error->status != status) mr_error_set(error, status, "%s: %s", model->spec.key, mr_status_text(status));
}

void mr_pool_report_failure(mr_pool_model *model, const mr_error *cause)
{
    model->failures++;
    model->failure = *cause;
    pthread_cond_broadcast(&model->changed);
}

mr_status mr_pool_refuse(const mr_pool_model *model, mr_error *error)
{
    return mr_error_set(error, MR_SHUTTING_DOWN, "%s: shutting down, no new requests", model->spec.key);
}

mr_status mr_pool_refuse_open(const mr_pool_model *model, mr_error *error)
{
    return mr_error_set(error, MR_CIRCUIT_OPEN, "%s: refused after repeated failures (last: %.400s); try again later", model->spec.key,
                        model->failure.text);
}

/* ---------------------------------------------------------------- the books */

void mr_pool_judge(mr_pool_model *model, const mr_job *job, mr_verdict verdict)
{
    if (mr_breaker_record(&model->breaker, mr_pool_now(model), job->breaker_round, verdict))
        mr_log(MR_LOG_WARN, MR_POOL_LOG, "%s: circuit breaker %s", model->spec.key, mr_breaker_state_text(model->breaker.state));
}

void mr_pool_account(mr_pool_model *model, const mr_job *job, mr_status status, mr_verdict verdict)
{
    int64_t now = mr_pool_now(model);
    mr_model_metrics *metrics = &model->metrics;
    if ((unsigned)status < MR_STATUS_COUNT) metrics->finished[status]++;
    if (status == MR_TIMEOUT) metrics->timeouts++;
    mr_metrics_count_latency(metrics, (double)(now - job->submitted_ns) / (double)MR_CLOCK_SECOND);
    if (mr_pool_shutting_down(model) && status != MR_SHUTTING_DOWN) atomic_fetch_add(&model->pools->drained, 1);
    mr_pool_judge(model, job, verdict);
    pthread_cond_broadcast(&model->changed);
}

void mr_pool_fail_jobs(mr_pool_model *model, mr_job_list *list, mr_status status, const mr_error *error)
{
    mr_job_list taken = *list;
    *list = (mr_job_list){ 0 };
    for (const mr_job *job = taken.head; job; job = job->next) mr_pool_account(model, job, status, MR_VERDICT_NONE);
    pthread_mutex_unlock(&model->lock);
    for (mr_job *job; (job = mr_job_list_pop(&taken));) mr_job_finish(job, status, error);
    pthread_mutex_lock(&model->lock);
}
