#include "registry/pool/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/cores.h"
#include "core/log.h"
#include "registry/pool/balance.h"
#include "registry/pool/pool_internal.h"

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
    if (status == MR_OK && settings->pin_threads) status = mr_affinity_create(&pools->affinity, error);
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
    mr_governor_set_idle_source(governor, mr_spawn_idle_workers, pools);
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

void mr_pools_each(mr_pools *pools, mr_pool_visitor *visit, void *context)
{
    for (int i = 0; i < MR_CAPABILITY_COUNT; i++) {
        pthread_mutex_lock(&pools->lock);
        mr_pool_model *first = pools->pool[i].models;
        pthread_mutex_unlock(&pools->lock);
        for (mr_pool_model *model = first; model; model = model->next) visit(model, context);
    }
}

/* ---------------------------------------------------------------- what a model has */

size_t mr_pool_live(const mr_pool_model *model)
{
    size_t live = 0;
    for (size_t i = 0; i < model->worker_count; i++) live += mr_worker_serves(model->workers[i]) || mr_worker_comes(model->workers[i]);
    return live;
}

size_t mr_pool_pending(const mr_pool_model *model)
{
    size_t pending = model->orphans.count;
    for (size_t i = 0; i < model->worker_count; i++) pending += mr_worker_pending(model->workers[i]);
    return pending;
}

void mr_pool_explain(const mr_pool_model *model, mr_status status, mr_error *error)
{
    if (error->status != status) mr_error_set(error, status, "%s: %s", model->spec.key, mr_status_text(status));
}

void mr_pool_report_failure(mr_pool_model *model, const mr_error *cause)
{
    model->failures++;
    model->failure = *cause;
    pthread_cond_broadcast(&model->changed);
}

/* ---------------------------------------------------------------- routing */

/* Power of two choices among those that serve; NULL when none does. Lock held. */
static mr_worker *choose(mr_pool_model *model)
{
    mr_candidate candidates[MR_WORKERS_MAX];
    mr_worker *workers[MR_WORKERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < model->worker_count; i++) {
        mr_worker *worker = model->workers[i];
        if (!mr_worker_serves(worker)) continue;
        workers[count] = worker;
        candidates[count++] = (mr_candidate){ mr_worker_pending(worker), worker->last_used_ns };
    }
    return count > 0 ? workers[mr_balance_pick(candidates, count, &model->random)] : NULL;
}

static bool has_room(const mr_worker *worker, mr_lane lane)
{
    const mr_pool *pool = worker->model->pool;
    switch (lane) {
    case MR_LANE_PRIORITY: return worker->priority.count < pool->queue_capacity;
    case MR_LANE_BATCH: return worker->queue.count < pool->batch_capacity;
    case MR_LANE_INTERACTIVE: break;
    }
    return worker->queue.count < pool->queue_capacity;
}

/* The chosen worker, or when its queue is full any other with room. NULL: all are full. */
static mr_worker *with_room(mr_pool_model *model, mr_worker *chosen, mr_lane lane)
{
    if (has_room(chosen, lane)) return chosen;
    for (size_t i = 0; i < model->worker_count; i++)
        if (mr_worker_serves(model->workers[i]) && has_room(model->workers[i], lane)) return model->workers[i];
    return NULL;
}

void mr_pool_wake_idle(mr_pool_model *model)
{
    for (size_t i = 0; i < model->worker_count; i++) {
        if (model->workers[i]->state != MR_WORKER_IDLE || mr_worker_pending(model->workers[i]) > 0) continue;
        pthread_cond_signal(&model->workers[i]->wake);
        return;
    }
}

static void enqueue(mr_worker *worker, mr_job *job)
{
    mr_pool_model *model = worker->model;
    mr_job_list_push(job->call.lane == MR_LANE_PRIORITY ? &worker->priority : &worker->queue, job);
    pthread_cond_signal(&worker->wake);
    if (worker->state != MR_WORKER_IDLE) mr_pool_wake_idle(model); /* the chosen one is busy: somebody may steal it */
}

void mr_pool_rehome(mr_pool_model *model, mr_job_list *jobs)
{
    mr_job_list unlucky = { 0 };
    for (mr_job *job; (job = mr_job_list_pop(jobs));) {
        if (job->moved) {
            mr_job_list_push(&unlucky, job);
            continue;
        }
        job->moved = true;
        model->metrics.requests_moved++;
        mr_worker *sibling = choose(model);
        if (sibling) enqueue(sibling, job); /* over its capacity if need be: these were accepted already */
        else mr_job_list_push(&model->orphans, job);
    }
    if (unlucky.count == 0) return;
    mr_error error;
    mr_error_set(&error, MR_WORKER_DIED, "%s: two workers died holding this request", model->spec.key);
    mr_job_list_fail(model, &unlucky, MR_WORKER_DIED, &error);
}

/* ---------------------------------------------------------------- submitting */

static bool all_busy(const mr_pool_model *model)
{
    for (size_t i = 0; i < model->worker_count; i++)
        if (mr_worker_serves(model->workers[i]) && mr_worker_pending(model->workers[i]) == 0) return false;
    return true;
}

static mr_status shutting_down(const mr_pool_model *model, mr_error *error)
{
    return mr_error_set(error, MR_SHUTTING_DOWN, "%s: shutting down, no new requests", model->spec.key);
}

/* Until some worker serves. Starts workers only with `start`. Lock held on entry and on return. */
static mr_status await_worker(mr_pool_model *model, bool start, bool wait, int64_t deadline, mr_worker **out, mr_error *error)
{
    uint64_t failures = model->failures;
    int64_t ready_deadline = mr_clock_deadline(model->pools->clock, model->pools->settings.worker_ready_timeout);
    if (deadline < ready_deadline) ready_deadline = deadline;
    for (bool in_time = true;;) {
        if (mr_pool_shutting_down(model)) return shutting_down(model, error);
        if ((*out = choose(model))) return MR_OK;
        if (model->failures != failures) {
            if (error) *error = model->failure;
            return model->failure.status;
        }
        if (!in_time) return mr_error_set(error, MR_TIMEOUT, "%s: no worker became ready in time", model->spec.key);
        if (mr_pool_live(model) == 0 && !model->spawning) {
            if (!start) return mr_error_set(error, MR_WORKER_DIED, "%s: no worker is there or on its way (last failure: %.400s)", model->spec.key, model->failure.text);
            MR_TRY(mr_spawn_cold(model, model->pools->settings.cold_start_workers, error));
            continue;
        }
        if (!wait) return mr_error_set(error, MR_QUEUE_FULL, "%s: no worker is ready yet", model->spec.key);
        in_time = mr_clock_wait(model->pools->clock, &model->changed, &model->lock, ready_deadline);
    }
}

/* Finds the job a queue, growing the model on the way. Lock held on entry and on return. */
static mr_status place(mr_pool_model *model, mr_job *job, bool wait, mr_error *error)
{
    for (bool in_time = true;;) {
        mr_worker *worker;
        MR_TRY(await_worker(model, true, wait, job->deadline_ns, &worker, error));
        if (all_busy(model)) mr_spawn_warm(model);
        worker = with_room(model, worker, job->call.lane);
        if (worker) {
            enqueue(worker, job);
            return MR_OK;
        }
        if (!wait) {
            model->metrics.rejected_full++;
            return mr_error_set(error, MR_QUEUE_FULL, "%s: the queues of all %zu workers are full", model->spec.key, mr_pool_live(model));
        }
        if (!in_time) {
            model->metrics.timeouts++;
            return mr_error_set(error, MR_TIMEOUT, "%s: no room in any queue within the request's time", model->spec.key);
        }
        in_time = mr_clock_wait(model->pools->clock, &model->changed, &model->lock, job->deadline_ns);
    }
}

/* Lock held on entry and on return. */
static mr_status admit(mr_pool_model *model, mr_job *job, bool wait, mr_error *error)
{
    int64_t now = mr_pool_now(model);
    if (mr_pool_shutting_down(model)) return shutting_down(model, error);
    if (!mr_breaker_admit(&model->breaker, now, &job->breaker_round)) {
        model->metrics.rejected_by_breaker++;
        return mr_error_set(error, MR_CIRCUIT_OPEN, "%s: refused after repeated failures (last: %.400s); try again later", model->spec.key,
                            model->failure.text);
    }
    model->last_request_ns = now;
    mr_status status = place(model, job, wait, error);
    if (status != MR_OK) {
        (void)mr_breaker_record(&model->breaker, mr_pool_now(model), job->breaker_round, MR_VERDICT_NONE);
        return status;
    }
    model->metrics.requests++;
    if (job->deadline_ns != MR_CLOCK_FOREVER) mr_maintenance_expect(model->pools->maintenance, job->deadline_ns);
    return MR_OK;
}

static mr_status submit(mr_pool_model *model, const mr_call *call, bool wait, mr_error *error)
{
    MR_TRY(mr_pools_start_maintenance(model->pools, error));
    mr_job *job = calloc(1, sizeof *job);
    if (!job) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a request", model->spec.key);
    int64_t timeout = call->timeout_ns ? call->timeout_ns : model->pools->settings.request_timeout;
    job->call = *call;
    job->submitted_ns = mr_pool_now(model);
    job->deadline_ns = mr_clock_deadline(model->pools->clock, timeout);
    pthread_mutex_lock(&model->lock);
    mr_status status = admit(model, job, wait, error);
    pthread_mutex_unlock(&model->lock);
    if (status != MR_OK) free(job);
    return status;
}

mr_status mr_pool_submit(mr_pool_model *model, const mr_call *call, mr_error *error) { return submit(model, call, true, error); }
mr_status mr_pool_try_submit(mr_pool_model *model, const mr_call *call, mr_error *error) { return submit(model, call, false, error); }

/* ---------------------------------------------------------------- the blocking call */

/* Outlives the caller when the call is answered ahead of the end of its run. */
typedef struct blocking {
    pthread_mutex_t lock; /* leaf */
    pthread_cond_t answered_condition;
    bool answered;
    int owners; /* the caller, and the pool until its last callback */
    mr_status status;
    mr_error error;
    void (*released)(void *context);
    void *context;
} blocking;

static void disown(blocking *call)
{
    bool last = --call->owners == 0;
    pthread_mutex_unlock(&call->lock);
    if (!last) return;
    pthread_cond_destroy(&call->answered_condition);
    pthread_mutex_destroy(&call->lock);
    free(call);
}

static void on_done(void *context, mr_status status, const mr_error *error)
{
    blocking *call = context;
    pthread_mutex_lock(&call->lock);
    call->status = status;
    if (error) call->error = *error;
    call->answered = true;
    pthread_cond_signal(&call->answered_condition);
    if (call->released) pthread_mutex_unlock(&call->lock);
    else disown(call);
}

static void on_released(void *context)
{
    blocking *call = context;
    call->released(call->context);
    pthread_mutex_lock(&call->lock);
    disown(call);
}

mr_status mr_pool_call(mr_pool_model *model, const mr_call *call, mr_error *error)
{
    blocking *own = calloc(1, sizeof *own);
    if (!own) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a request", model->spec.key);
    pthread_mutex_init(&own->lock, NULL);
    mr_clock_cond_init(&own->answered_condition);
    own->owners = 2;
    own->released = call->released;
    own->context = call->context;
    mr_call inner = *call;
    inner.done = on_done;
    inner.released = call->released ? on_released : NULL;
    inner.context = own;
    mr_status status = mr_pool_submit(model, &inner, error);
    pthread_mutex_lock(&own->lock);
    if (status != MR_OK) {
        own->owners = 1;
        disown(own);
        return status;
    }
    while (!own->answered) mr_clock_wait(model->pools->clock, &own->answered_condition, &own->lock, MR_CLOCK_FOREVER); /* ended by the pool */
    status = own->status;
    if (status != MR_OK && error) *error = own->error;
    disown(own);
    return status;
}

/* ---------------------------------------------------------------- pins */

mr_status mr_pool_pin(mr_pool_model *model, size_t workers, mr_error *error)
{
    MR_TRY(mr_pools_start_maintenance(model->pools, error));
    mr_status status = MR_OK;
    pthread_mutex_lock(&model->lock);
    model->pinned += workers;
    size_t wanted = smaller(model->pinned, model->max_workers);
    while (model->spawning) mr_clock_wait(model->pools->clock, &model->changed, &model->lock, MR_CLOCK_FOREVER); /* ended by the spawner */
    if (mr_pool_shutting_down(model)) status = shutting_down(model, error);
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

mr_status mr_pool_wait_ready(mr_pool_model *model, mr_error *error)
{
    mr_worker *worker;
    pthread_mutex_lock(&model->lock);
    mr_status status = await_worker(model, false, true, MR_CLOCK_FOREVER, &worker, error);
    pthread_mutex_unlock(&model->lock);
    return status;
}

mr_status mr_pool_estimate(mr_pool_model *model, mr_memory_estimate *out, mr_error *error)
{
    pthread_mutex_lock(&model->lock);
    bool known = model->estimated;
    if (known) *out = model->estimate;
    pthread_mutex_unlock(&model->lock);
    return known ? MR_OK : model->spec.vtable->estimate(model->spec.path, &model->spec.options, out, error);
}

mr_status mr_pools_start_maintenance(mr_pools *pools, mr_error *error) { return mr_maintenance_start(pools->maintenance, error); }
