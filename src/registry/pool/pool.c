#include "registry/pool/pool.h"

#include <assert.h>
#include <stdlib.h>

#include "core/cores.h"
#include "registry/pool/evict.h"
#include "registry/pool/maintenance.h"
#include "registry/pool/spawn.h"

/* ---------------------------------------------------------------- the pools */

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

mr_status mr_pools_create(const mr_pool_settings *settings, mr_governor *governor, mr_clock *clock, mr_pools **out, mr_error *error)
{
    MR_TRY(mr_pool_settings_check(settings, error));
    mr_pools *pools = calloc(1, sizeof *pools);
    if (!pools) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the pools");
    pools->settings = *settings;
    pools->governor = governor;
    pools->clock = clock ? clock : mr_clock_monotonic();
    mr_status status = mr_maintenance_create(pools, &pools->maintenance, error);
    if (status == MR_OK && (settings->pin_threads || settings->interleave_weights)) status = mr_affinity_create(&pools->affinity, error);
    if (status != MR_OK) {
        mr_maintenance_destroy(pools->maintenance);
        free(pools);
        return status;
    }
    pthread_mutex_init(&pools->lock, NULL);
    pthread_mutex_init(&pools->shutdown_lock, NULL);
    for (int i = 0; i < MR_CAPABILITY_COUNT; i++) {
        size_t capacity = settings->queue_capacity ? settings->queue_capacity : mr_capability_queue_capacity((mr_capability)i);
        pools->pool[i] = (mr_pool){ .capability = (mr_capability)i, .queue_capacity = capacity,
                                    .batch_capacity = smaller(capacity, settings->batch_queue_capacity) };
    }
    mr_governor_set_idle_source(governor, mr_evict_idle_workers, pools);
    *out = pools;
    return MR_OK;
}

static void destroy_model(mr_pool_model *model)
{
    pthread_cond_destroy(&model->changed);
    pthread_mutex_destroy(&model->lock);
    free((char *)model->spec.key);
    free((char *)model->spec.path);
    free(model);
}

void mr_pools_destroy(mr_pools *pools)
{
    if (!pools) return;
    mr_shutdown_report report;
    (void)mr_pools_shutdown(pools, &report);
    mr_governor_set_idle_source(pools->governor, NULL, NULL);
    if (report.stuck > 0) return; /* their threads still use all of it */
    for (int i = 0; i < MR_CAPABILITY_COUNT; i++) {
        for (mr_pool_model *model = pools->pool[i].models; model;) {
            mr_pool_model *next = model->next;
            destroy_model(model);
            model = next;
        }
    }
    mr_maintenance_destroy(pools->maintenance);
    mr_affinity_destroy(pools->affinity);
    pthread_mutex_destroy(&pools->shutdown_lock);
    pthread_mutex_destroy(&pools->lock);
    free(pools);
}

static size_t worker_cap(const mr_pools *pools, const mr_pool_model_spec *spec)
{
    size_t threads = spec->options.threads_per_worker ? spec->options.threads_per_worker : 1;
    size_t by_cores = mr_cores_allowed(NULL) / threads;
    size_t cap = spec->max_workers ? spec->max_workers : pools->settings.max_workers_per_model ? pools->settings.max_workers_per_model : by_cores;
    return cap < 1 ? 1 : smaller(cap, MR_WORKERS_MAX);
}

mr_status mr_pools_add_model(mr_pools *pools, const mr_pool_model_spec *spec, mr_pool_model **out, mr_error *error)
{
    mr_pool_model *model = calloc(1, sizeof *model);
    char *key = mr_strdup(spec->key), *path = mr_strdup(spec->path);
    if (!model || !key || !path) {
        free(model);
        free(key);
        free(path);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a model entry", spec->key);
    }
    mr_pool *pool = &pools->pool[spec->vtable->capability];
    model->pools = pools;
    model->pool = pool;
    model->spec = (mr_load_request){ .key = key, .path = path, .vtable = spec->vtable, .options = spec->options };
    model->loader = spec->loader.start ? spec->loader : (mr_loader){ mr_load_synchronously, NULL };
    model->max_workers = worker_cap(pools, spec);
    model->random = (uint64_t)(uintptr_t)model;
    model->metrics.key = key;
    model->metrics.capability = pool->capability;
    mr_breaker_init(&model->breaker, pools->settings.breaker_failures, pools->settings.breaker_probes, pools->settings.breaker_open);
    pthread_mutex_init(&model->lock, NULL);
    mr_clock_cond_init(&model->changed);
    pthread_mutex_lock(&pools->lock);
    model->next = pool->models;
    pool->models = model;
    pthread_mutex_unlock(&pools->lock);
    *out = model;
    return MR_OK;
}

/* ---------------------------------------------------------------- pins */

mr_status mr_pool_pin(mr_pool_model *model, size_t workers, mr_error *error)
{
    MR_TRY(mr_maintenance_start(model->pools->maintenance, error));
    mr_status status = MR_OK;
    pthread_mutex_lock(&model->lock);
    model->pinned += workers;
    size_t wanted = smaller(model->pinned, model->max_workers);
    while (model->spawning) mr_clock_wait(model->pools->clock, &model->changed, &model->lock, MR_CLOCK_FOREVER); /* ended by the spawner */
    if (mr_pool_shutting_down(model)) status = mr_pool_refuse(model, error);
    else if (mr_pool_live(model) < wanted) status = mr_spawn_cold(model, wanted - mr_pool_live(model), error);
    if (status == MR_MEMORY_EXHAUSTED && mr_pool_live(model) > 0) status = MR_OK; /* fewer than wished: slower, not wrong */
    if (status != MR_OK) model->pinned -= workers;
    pthread_mutex_unlock(&model->lock);
    return status;
}

void mr_pool_unpin(mr_pool_model *model, size_t workers)
{
    pthread_mutex_lock(&model->lock);
    assert(model->pinned >= workers);
    model->pinned -= workers;
    pthread_mutex_unlock(&model->lock);
}

mr_status mr_pools_start_maintenance(mr_pools *pools, mr_error *error) { return mr_maintenance_start(pools->maintenance, error); }
