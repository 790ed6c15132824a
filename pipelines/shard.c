#include "pipelines/shard.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool parse_number(const char *text, char end, uint64_t *out, const char **rest)
{
    char *stop;
    if (!isdigit((unsigned char)*text)) return false;
    errno = 0;
    unsigned long long value = strtoull(text, &stop, 10);
    if (errno || *stop != end) return false;
    *out = value;
    *rest = stop;
    return true;
}

/* A variable that must hold a number; absent gives `fallback`, UINT64_MAX = it must be there. */
static mr_status read_variable(const char *name, uint64_t fallback, uint64_t *out, mr_error *error)
{
    const char *text = getenv(name), *rest;
    if (!text && fallback != UINT64_MAX) {
        *out = fallback;
        return MR_OK;
    }
    if (!text) return mr_error_set(error, MR_CONFIG, "--shard auto: %s is not set", name);
    if (!parse_number(text, '\0', out, &rest)) return mr_error_set(error, MR_CONFIG, "--shard auto: %s=\"%s\" is not a number", name, text);
    return MR_OK;
}

static mr_status check(mr_shard shard, const char *text, mr_shard *out, mr_error *error)
{
    if (shard.count == 0 || shard.index >= shard.count)
        return mr_error_set(error, MR_CONFIG, "shard %s: index %llu of %llu; indices go from 0 to n-1", text, (unsigned long long)shard.index, (unsigned long long)shard.count);
    *out = shard;
    return MR_OK;
}

static mr_status from_slurm(mr_shard *out, mr_error *error)
{
    uint64_t id, first, step;
    mr_shard shard;
    MR_TRY(read_variable("SLURM_ARRAY_TASK_ID", UINT64_MAX, &id, error));
    MR_TRY(read_variable("SLURM_ARRAY_TASK_COUNT", UINT64_MAX, &shard.count, error));
    MR_TRY(read_variable("SLURM_ARRAY_TASK_MIN", 0, &first, error));
    MR_TRY(read_variable("SLURM_ARRAY_TASK_STEP", 1, &step, error));
    if (id < first || step == 0 || (id - first) % step != 0) return mr_error_set(error, MR_CONFIG, "--shard auto: the SLURM_ARRAY_TASK_* variables contradict each other");
    shard.index = (id - first) / step;
    return check(shard, "auto (Slurm)", out, error);
}

mr_status mr_shard_parse(const char *text, mr_shard *out, mr_error *error)
{
    mr_shard shard = { .count = 1 };
    const char *rest;
    if (!text) return check(shard, "", out, error);
    if (strcmp(text, "auto") != 0) {
        if (!parse_number(text, '/', &shard.index, &rest) || !parse_number(rest + 1, '\0', &shard.count, &rest))
            return mr_error_set(error, MR_CONFIG, "--shard \"%s\": expected i/n, such as 0/4, or auto", text);
        return check(shard, text, out, error);
    }
    if (getenv("SLURM_ARRAY_TASK_ID")) return from_slurm(out, error);
    if (getenv("AWS_BATCH_JOB_ARRAY_INDEX")) {
        MR_TRY(read_variable("AWS_BATCH_JOB_ARRAY_INDEX", UINT64_MAX, &shard.index, error));
        MR_TRY(read_variable("AWS_BATCH_JOB_ARRAY_SIZE", UINT64_MAX, &shard.count, error));
        return check(shard, "auto (AWS Batch)", out, error);
    }
    if (!getenv("JOB_COMPLETION_INDEX"))
        return mr_error_set(error, MR_CONFIG, "--shard auto: this is no task of a Slurm array (SLURM_ARRAY_TASK_ID is not set), an AWS Batch array "
                            "(AWS_BATCH_JOB_ARRAY_INDEX) or a Kubernetes Indexed Job (JOB_COMPLETION_INDEX)");
    MR_TRY(read_variable("JOB_COMPLETION_INDEX", UINT64_MAX, &shard.index, error));
    MR_TRY(read_variable("JOB_COMPLETIONS", UINT64_MAX, &shard.count, error));
    return check(shard, "auto (Kubernetes)", out, error);
}

mr_range mr_shard_next_stretch(const mr_shard *shard, const mr_range *committed, size_t count, uint64_t from)
{
    uint64_t end = UINT64_MAX;
    for (size_t i = 0;;) {
        if (shard->count > 1) {
            uint64_t unit = from / MR_SHARD_UNIT_RECORDS;
            uint64_t behind = (shard->index + shard->count - unit % shard->count) % shard->count; /* units to the next own one */
            if (behind > 0) from = (unit + behind) * MR_SHARD_UNIT_RECORDS;
            end = (from / MR_SHARD_UNIT_RECORDS + 1) * MR_SHARD_UNIT_RECORDS;
        }
        while (i < count && committed[i].end <= from) i++;
        if (i == count || committed[i].first >= end) return (mr_range){ from, end };
        if (committed[i].first > from) return (mr_range){ from, committed[i].first };
        from = committed[i].end; /* inside a committed range: go on behind it */
    }
}

/* Own ordinals below `end`. */
static uint64_t own_below(const mr_shard *shard, uint64_t end)
{
    const uint64_t round = shard->count * MR_SHARD_UNIT_RECORDS, before = shard->index * MR_SHARD_UNIT_RECORDS;
    uint64_t rest = end % round > before ? end % round - before : 0;
    return end / round * MR_SHARD_UNIT_RECORDS + (rest < MR_SHARD_UNIT_RECORDS ? rest : MR_SHARD_UNIT_RECORDS);
}

uint64_t mr_shard_count_own(const mr_shard *shard, mr_range range)
{
    return own_below(shard, range.end) - own_below(shard, range.first);
}
