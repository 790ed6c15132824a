/* One submitted call, from queue to answer. Private to pool/. */
#ifndef MR_POOL_JOB_H
#define MR_POOL_JOB_H

#include "registry/pool/pool.h"

typedef struct mr_job {
    struct mr_job *next;
    mr_call call;
    int64_t submitted_ns;
    int64_t deadline_ns;
    uint64_t breaker_round;
    bool moved;      /* lost one worker already: the next loss fails it, unless it is idempotent */
    bool rerun;      /* idempotent, and lost the worker that was running it */
    bool answered;   /* done was called, or is being called, ahead of the end of the run */
    bool answering;  /* the maintenance thread is inside done */
    bool ended;      /* the run ended while it was */
} mr_job;

typedef struct mr_job_list {
    mr_job *head;
    mr_job *tail;
    size_t count;
} mr_job_list;

void mr_job_list_push(mr_job_list *list, mr_job *job);
mr_job *mr_job_list_pop(mr_job_list *list); /* NULL when empty */
void mr_job_list_append(mr_job_list *list, mr_job_list *from); /* empties `from` */
/* Moves the jobs whose deadline has passed to *expired; returns the earliest deadline left. */
int64_t mr_job_list_expire(mr_job_list *list, int64_t now, mr_job_list *expired);

/* done, released, free. No lock held. */
void mr_job_finish(mr_job *job, mr_status status, const mr_error *error);

#endif
