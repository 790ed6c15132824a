/* Jobs through the public header. */
#include <stdatomic.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/error.h"
#include "kernels/kernels.h"
#include "pipelines/job_run.h"

#define POLL_NS (50 * MR_CLOCK_MILLISECOND) /* how soon a stop is noticed */

struct mr_batch_job {
    mr_job job;
    atomic_bool stop;
};

mr_status mr_use_isa(const char *isa, mr_error *error)
{
    return mr_kernels_init(isa, error);
}

mr_status mr_batch_job_open(const char *path, mr_batch_job **out, mr_error *error)
{
    mr_batch_job *job = calloc(1, sizeof *job);
    if (!job) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    mr_job_init(&job->job);
    mr_status status = MR_OK;
    if (path) status = mr_job_load(&job->job, path, error);
    else job->job.kind = MR_JOB_EMBED;
    if (status != MR_OK) {
        mr_batch_job_close(job);
        return status;
    }
    *out = job;
    return MR_OK;
}

mr_status mr_batch_job_set(mr_batch_job *job, const char *assignment, mr_error *error)
{
    return mr_job_set(&job->job, assignment, error);
}

void mr_batch_job_stop(mr_batch_job *job)
{
    atomic_store(&job->stop, true);
}

static mr_status run_planned(mr_batch_job *job, const mr_job_plan *plan, mr_job_progress *last, mr_error *error)
{
    mr_job_run *run;
    bool finished;
    MR_TRY(mr_job_run_start(&job->job, plan, &run, &finished, error));
    if (finished) return MR_OK;
    while (!mr_job_run_wait(run, POLL_NS))
        if (atomic_load(&job->stop)) mr_job_run_stop(run);
    return mr_job_run_finish(run, last, error);
}

mr_status mr_batch_job_run(mr_batch_job *job, mr_batch_job_counts *counts, mr_error *error)
{
    mr_job_plan plan;
    mr_job_progress last = { 0 };
    MR_TRY(mr_job_check(&job->job, error));
    MR_TRY(mr_job_plan_make(&job->job, &plan, error));
    mr_status status = run_planned(job, &plan, &last, error);
    mr_job_plan_fini(&plan);
    if (counts) *counts = (mr_batch_job_counts){ .ok = last.ok, .truncated = last.truncated, .failed = last.failed, .resumed = last.resumed, .tokens = last.tokens };
    return status;
}

void mr_batch_job_close(mr_batch_job *job)
{
    if (!job) return;
    mr_job_fini(&job->job);
    free(job);
}
