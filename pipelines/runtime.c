#include "pipelines/runtime.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "pipelines/job_cache.h"
#include "registry/pool/metrics_server.h"

/* Capability options, which a model's workers refer to as long as the runtime lives. */
typedef struct kept_options {
    struct kept_options *next;
    max_align_t bytes[];
} kept_options;

struct mr_runtime {
    mr_job *own_job; /* of mr_runtime_open; NULL: somebody else's */
    const mr_job *job;
    mr_governor *governor;
    mr_registry *registry;
    mr_cache *cache; /* NULL: none */
    mr_metrics_server *metrics_server; /* NULL: not asked for */
    pthread_mutex_t lock;              /* asking the registry and adding to it in one; before the registry's own */
    kept_options *options;
};

static mr_status publish_metrics(mr_runtime *runtime, mr_error *error)
{
    mr_pools *pools = mr_registry_pools(runtime->registry);
    const char *file = runtime->job->metrics, *address = runtime->job->metrics_listen;
    /* Once now, so that a file that cannot be written is known before the work; the pools rewrite it from time to time. */
    if (file && mr_pools_write_metrics(pools, file, error) != MR_OK) return mr_error_prefix(error, MR_CANNOT_CREATE, "--metrics");
    if (!address) return MR_OK;
    MR_TRY(mr_metrics_server_start(pools, address, &runtime->metrics_server, error));
    mr_log(MR_LOG_INFO, "metrics", "served at port %u, /metrics", mr_metrics_server_port(runtime->metrics_server)); /* chosen by the system when 0 was asked for */
    return MR_OK;
}

mr_status mr_runtime_create(const mr_job *job, bool pin_threads, mr_runtime **out, mr_error *error)
{
    const mr_governor_settings memory = { .limit = job->memory, .reserve = job->memory_reserve };
    mr_pool_settings pool = job->pool;
    pool.metrics_path = job->metrics;
    pool.pin_threads = pin_threads;
    pool.interleave_weights = job->numa == MR_NUMA_INTERLEAVE;
    mr_runtime *runtime = calloc(1, sizeof *runtime);
    if (!runtime) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    runtime->job = job;
    pthread_mutex_init(&runtime->lock, NULL);
    mr_status status;
    MR_TRY_OR(status, mr_job_cache_open(job, &runtime->cache, error), fail);
    MR_TRY_OR(status, mr_governor_create(&memory, &runtime->governor, error), fail);
    MR_TRY_OR(status, mr_registry_create(&pool, runtime->governor, mr_clock_monotonic(), &runtime->registry, error), fail);
    MR_TRY_OR(status, publish_metrics(runtime, error), fail);
    *out = runtime;
    return MR_OK;
fail:
    mr_runtime_close(runtime);
    return status;
}

/* Of the settings of a job file those that a runtime has a use for. */
static bool is_ours(const char *assignment)
{
    static const char *const keys[] = { "pool.", "resources.memory=", "resources.memory_reserve=", "resources.cache=", "resources.cache_size=",
                                        "resources.metrics=", "resources.metrics_listen=", "resources.numa=" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strncmp(assignment, keys[i], strlen(keys[i])) == 0) return true;
    return false;
}

static mr_status read_settings(mr_job *job, const char *const *settings, size_t count, mr_error *error)
{
    mr_job_init(job);
    job->pool = mr_pool_settings_default(); /* somebody waits for each answer */
    for (size_t i = 0; i < count; i++) {
        if (!is_ours(settings[i]))
            return mr_error_set(error, MR_CONFIG, "%s: a runtime takes pool.NAME, resources.memory, .memory_reserve, .cache, .cache_size, .metrics, .metrics_listen and .numa",
                                settings[i]);
        MR_TRY(mr_job_set(job, settings[i], error));
    }
    return MR_OK;
}

mr_status mr_runtime_open(const char *const *settings, size_t count, mr_runtime **out, mr_error *error)
{
    mr_job *job = malloc(sizeof *job);
    if (!job) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    mr_runtime *runtime;
    mr_status status = read_settings(job, settings, count, error);
    if (status == MR_OK) status = mr_runtime_create(job, false, &runtime, error);
    if (status != MR_OK) {
        mr_job_fini(job);
        free(job);
        return status;
    }
    runtime->own_job = job;
    *out = runtime;
    return MR_OK;
}

void mr_runtime_close(mr_runtime *runtime)
{
    if (!runtime) return;
    mr_shutdown_report report = { 0 };
    if (runtime->registry) (void)mr_pools_shutdown(mr_registry_pools(runtime->registry), &report);
    mr_metrics_server_stop(runtime->metrics_server);
    if (report.stuck > 0) return; /* their threads still use all of it */
    mr_registry_destroy(runtime->registry);
    mr_governor_destroy(runtime->governor);
    mr_cache_close(runtime->cache);
    for (kept_options *kept = runtime->options, *next; kept; kept = next) {
        next = kept->next;
        free(kept);
    }
    if (runtime->own_job) mr_job_fini(runtime->own_job);
    free(runtime->own_job);
    pthread_mutex_destroy(&runtime->lock);
    free(runtime);
}

mr_governor *mr_runtime_governor(mr_runtime *runtime) { return runtime->governor; }
const char *mr_runtime_memory(const mr_runtime *runtime) { return runtime->job->memory; }

/* Lock held. */
static mr_status add(mr_runtime *runtime, const mr_registry_entry *entry, size_t options_bytes, mr_error *error)
{
    mr_registry_entry own = *entry;
    kept_options *kept = malloc(sizeof *kept + options_bytes);
    if (!kept) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    own.options.cache = runtime->cache;
    own.options.capability_options = memcpy(kept->bytes, entry->options.capability_options, options_bytes);
    kept->next = runtime->options;
    runtime->options = kept;
    return mr_registry_add(runtime->registry, &own, error);
}

mr_status mr_runtime_model(mr_runtime *runtime, const mr_registry_entry *entry, size_t options_bytes, mr_pool_model **out, mr_error *error)
{
    mr_status status = MR_OK;
    pthread_mutex_lock(&runtime->lock);
    if (!mr_registry_has(runtime->registry, entry->key)) status = add(runtime, entry, options_bytes, error);
    if (status == MR_OK) status = mr_registry_find(runtime->registry, entry->key, entry->vtable->capability, out, error);
    pthread_mutex_unlock(&runtime->lock);
    return status;
}

mr_status mr_runtime_metrics(mr_runtime *runtime, char **out, mr_error *error)
{
    mr_buf text = { 0 };
    mr_status status = mr_pools_format_metrics(mr_registry_pools(runtime->registry), &text, error);
    char *detached = status == MR_OK ? mr_buf_detach(&text) : NULL;
    mr_buf_fini(&text);
    if (detached) *out = detached;
    else if (status == MR_OK) status = mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    return status;
}

void mr_runtime_begin_shutdown(mr_runtime *runtime) { mr_pools_begin_shutdown(mr_registry_pools(runtime->registry)); }

mr_status mr_runtime_shutdown(mr_runtime *runtime, mr_shutdown_report *report)
{
    return mr_pools_shutdown(mr_registry_pools(runtime->registry), report);
}
