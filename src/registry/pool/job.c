#include <stdlib.h>

#include "core/log.h"
#include "registry/pool/pool_internal.h"

void mr_job_list_push(mr_job_list *list, mr_job *job)
{
    job->next = NULL;
    if (list->tail) list->tail->next = job;
    else list->head = job;
    list->tail = job;
    list->count++;
}

mr_job *mr_job_list_pop(mr_job_list *list)
{
    mr_job *job = list->head;
    if (!job) return NULL;
    list->head = job->next;
    if (!list->head) list->tail = NULL;
    list->count--;
    return job;
}

void mr_job_list_append(mr_job_list *list, mr_job_list *from)
{
    if (!from->head) return;
    if (list->tail) list->tail->next = from->head;
    else list->head = from->head;
    list->tail = from->tail;
    list->count += from->count;
    *from = (mr_job_list){ 0 };
}

int64_t mr_job_list_expire(mr_job_list *list, int64_t now, mr_job_list *expired)
{
    int64_t earliest = MR_CLOCK_FOREVER;
    mr_job_list kept = { 0 };
    for (mr_job *job; (job = mr_job_list_pop(list));) {
        bool over = job->deadline_ns <= now;
        mr_job_list_push(over ? expired : &kept, job);
        if (!over && job->deadline_ns < earliest) earliest = job->deadline_ns;
    }
    *list = kept;
    return earliest;
}

static void count_latency(mr_model_metrics *metrics, double seconds)
{
    size_t bucket = 0;
    while (bucket < MR_LATENCY_BUCKETS && seconds > mr_latency_bound_seconds(bucket)) bucket++;
    metrics->latency[bucket]++;
    metrics->latency_seconds += seconds;
}

void mr_job_judge(mr_pool_model *model, const mr_job *job, mr_verdict verdict)
{
    if (mr_breaker_record(&model->breaker, mr_pool_now(model), job->breaker_round, verdict))
        mr_log(MR_LOG_WARN, MR_POOL_LOG, "%s: circuit breaker %s", model->spec.key, mr_breaker_state_text(model->breaker.state));
}

void mr_job_account(mr_pool_model *model, const mr_job *job, mr_status status, mr_verdict verdict)
{
    int64_t now = mr_pool_now(model);
    mr_model_metrics *metrics = &model->metrics;
    if ((unsigned)status < MR_STATUS_COUNT) metrics->finished[status]++;
    if (status == MR_TIMEOUT) metrics->timeouts++;
    count_latency(metrics, (double)(now - job->submitted_ns) / (double)MR_CLOCK_SECOND);
    if (mr_pool_shutting_down(model) && status != MR_SHUTTING_DOWN) atomic_fetch_add(&model->pools->drained, 1);
    mr_job_judge(model, job, verdict);
    pthread_cond_broadcast(&model->changed);
}

void mr_job_finish(mr_job *job, mr_status status, const mr_error *error)
{
    if (!job->answered) job->call.done(job->call.context, status, status == MR_OK ? NULL : error);
    if (job->call.released) job->call.released(job->call.context);
    free(job);
}

void mr_job_list_fail(mr_pool_model *model, mr_job_list *list, mr_status status, const mr_error *error)
{
    mr_job_list taken = *list;
    *list = (mr_job_list){ 0 };
    for (const mr_job *job = taken.head; job; job = job->next) mr_job_account(model, job, status, MR_VERDICT_NONE);
    pthread_mutex_unlock(&model->lock);
    for (mr_job *job; (job = mr_job_list_pop(&taken));) mr_job_finish(job, status, error);
    pthread_mutex_lock(&model->lock);
}
