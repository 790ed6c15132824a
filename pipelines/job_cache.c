#include "pipelines/job_cache.h"

#include <stdlib.h>
#include <string.h>

#include "core/str.h"
#include "pipelines/build_facts.h"

#define DEFAULT_SIZE "1G"

mr_status mr_job_cache_open(const mr_job *job, mr_cache **out, mr_error *error)
{
    uint64_t size;
    if (!mr_str_parse_bytes(job->cache_size ? job->cache_size : DEFAULT_SIZE, &size))
        return mr_error_set(error, MR_CONFIG, "cache size \"%s\": expected a size such as 1G or 300M", job->cache_size);
    char *folder = job->cache ? mr_strdup(job->cache) : mr_cache_default_folder();
    const mr_build_facts *build = mr_build_facts_get();
    char *maker = mr_strf("millrace %s %s", build->version, build->commit);
    mr_status status = MR_OK;
    mr_cache *cache = NULL;
    if (!maker || (job->cache && !folder)) status = mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    else if (folder && strcmp(folder, "none") != 0) status = mr_cache_open(folder, size, maker, &cache, error);
    if (status == MR_OK) *out = cache;
    free(maker);
    free(folder);
    return status;
}
