/* Which part of a job this process does, when several share it.
 *
 * The input is cut into units of MR_SHARD_UNIT_RECORDS records by ordinal; shard i of n does the units whose number is i modulo n.
 * Units do not depend on n, so the number of shards may change between runs, and a unit done twice is harmless. */
#ifndef MR_PIPELINES_SHARD_H
#define MR_PIPELINES_SHARD_H

#include "io/sink.h"

/* Small enough that shards end at about the same time, large enough that a part file is worth opening. */
#define MR_SHARD_UNIT_RECORDS 4096

typedef struct mr_shard {
    uint64_t index; /* 0-based */
    uint64_t count; /* 1: everything */
} mr_shard;

/* "i/n" with 0 <= i < n, or "auto": from the environment of a Slurm array (SLURM_ARRAY_TASK_ID, _COUNT, _MIN, _STEP), an AWS Batch
 * array (AWS_BATCH_JOB_ARRAY_INDEX, _SIZE) or a Kubernetes Indexed Job (JOB_COMPLETION_INDEX, and JOB_COMPLETIONS, which the
 * manifest must set). NULL: everything. CONFIG says what is wrong or missing. */
mr_status mr_shard_parse(const char *text, mr_shard *out, mr_error *error);

/* The first stretch of ordinals at or after `from` that this shard has to do and no run has committed; `committed` is ascending and
 * merged. Its end may lie beyond the end of the input. */
mr_range mr_shard_next_stretch(const mr_shard *shard, const mr_range *committed, size_t count, uint64_t from);

/* How many of the ordinals in `range` are this shard's to do. */
uint64_t mr_shard_count_own(const mr_shard *shard, mr_range range);

#endif
