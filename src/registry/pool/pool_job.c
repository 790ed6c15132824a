#include "registry/pool/pool_job.h"

#include <stdlib.h>

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

void mr_job_finish(mr_job *job, mr_status status, const mr_error *error)
{
    if (!job->answered) job->call.done(job->call.context, status, status == MR_OK ? NULL : error);
    if (job->call.released) job->call.released(job->call.context);
    free(job);
}
