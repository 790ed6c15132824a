/* The cache a job's settings name. */
#ifndef MR_PIPELINES_JOB_CACHE_H
#define MR_PIPELINES_JOB_CACHE_H

#include "core/cache.h"
#include "pipelines/job.h"

/* NULL in *out when the settings, or the lack of a home folder, say so. CONFIG for a size that is none. */
mr_status mr_job_cache_open(const mr_job *job, mr_cache **out, mr_error *error);

#endif
