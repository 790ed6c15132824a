#include <assert.h>
#include <stdlib.h>

#include "capability/outcome.h"
#include "core/log.h"
#include "registry/pool/pool_internal.h"

/* Which states may follow which; anything else is our own mistake. */
#define TO(state) (1u << MR_WORKER_##state)
static const unsigned followers[MR_WORKER_STATE_COUNT] = {
    [MR_WORKER_SPAWNING] = TO(LOADING) | TO(EVICTING) | TO(FAILED),
    [MR_WORKER_LOADING] = TO(READY) | TO(EVICTING) | TO(FAILED),
    [MR_WORKER_READY] = TO(PROCESSING) | TO(IDLE) | TO(EVICTING),
    [MR_WORKER_PROCESSING] = TO(READY) | TO(EVICTING) | TO(FAILED),
    [MR_WORKER_IDLE] = TO(PROCESSING) | TO(EVICTING),
    [MR_WORKER_EVICTING] = TO(DEAD),
    [MR_WORKER_FAILED] = TO(DEAD),
};

bool mr_worker_state_follows(mr_worker_state from, mr_worker_state to) { return followers[from] & (1u << to); }

/* Lock held. */
static void enter(mr_worker *self, mr_worker_state state)
{
    assert(mr_worker_state_follows(self->state, state));
    self->state = state;
    pthread_cond_broadcast(&self->model->changed);
}

/* A load that failed ends every wait for a worker; a run that did concerns its request. Lock held. */
static void fail(mr_worker *self, const mr_error *cause)
{
    mr_pool_model *model = self->model;
    enter(self, MR_WORKER_FAILED);
    model->metrics.workers_failed++;
    mr_log(MR_LOG_ERROR, MR_POOL_LOG, "%s: worker %llu failed: %s", model->spec.key, (unsigned long long)self->id, cause->text);
    if (!self->instance) mr_pool_report_failure(model, cause);
}

/* ---------------------------------------------------------------- one request */

static mr_verdict verdict_of(mr_status status, const mr_outcome *outcome)
{
    switch (status) {
    case MR_OK: return outcome->inputs > 0 && outcome->non_finite == outcome->inputs ? MR_VERDICT_FAILURE : MR_VERDICT_SUCCESS;
    case MR_BAD_RECORD:
    case MR_BAD_INPUT:
    case MR_INVALID_ARGUMENT:
    case MR_CANCELLED: return MR_VERDICT_NONE; /* the caller's doing */
    default: return MR_VERDICT_FAILURE;
    }
}

/* What a breaker that opens will name. Lock held. */
static void note_failure(mr_pool_model *model, mr_status status, const mr_error *error)
{
    if (status == MR_OK) mr_error_set(&model->failure, MR_NON_FINITE, "%s: no output of the request was finite", model->spec.key);
    else model->failure = *error;
}

/* Its worker has died: back into the queue that wind_up gives to siblings. Lock held. */
static bool moves_on(mr_worker *self, mr_job *job)
{
    if (self->state != MR_WORKER_FAILED || !job->call.idempotent || job->rerun || job->deadline_ns <= self->last_used_ns) return false;
    job->rerun = true;
    mr_job_judge(self->model, job, MR_VERDICT_FAILURE);
    mr_job_list jobs = { 0 };
    mr_job_list_push(&jobs, job); /* ahead of those that never ran */
    mr_job_list_append(&jobs, &self->queue);
    self->queue = jobs;
    return true;
}

/* The model function itself, without the lock; then the books. *over = false when the request goes to a sibling. Lock held on
 * entry and on return. */
static mr_status run_current(mr_worker *self, bool *over, mr_error *error)
{
    mr_pool_model *model = self->model;
    mr_job *job = self->current;
    const mr_model_vtable *vtable = model->spec.vtable;
    enter(self, MR_WORKER_PROCESSING);
    self->busy_since_ns = mr_pool_now(model);
    self->stall_reported = false;
    pthread_mutex_unlock(&model->lock);
    mr_status status = vtable->run_batch(self->instance, job->call.request, job->call.response, error);
    mr_outcome outcome = { 0 };
    if (status == MR_OK) outcome = mr_outcome_of(vtable->capability, job->call.request, job->call.response);
    else mr_pool_explain(model, status, error);
    pthread_mutex_lock(&model->lock);

    self->last_used_ns = model->last_request_ns = mr_pool_now(model);
    self->current = NULL;
    self->batches++;
    model->metrics.inputs += outcome.inputs;
    model->metrics.inputs_failed += outcome.failed;
    model->metrics.inputs_non_finite += outcome.non_finite;
    if (status == MR_WORKER_DIED || status == MR_INTERNAL) fail(self, error);
    else enter(self, MR_WORKER_READY);
    mr_verdict verdict = verdict_of(status, &outcome);
    if (verdict == MR_VERDICT_FAILURE) note_failure(model, status, error);
    if (job->answered) return status; /* counted when it was */
    *over = !moves_on(self, job);
    if (!*over) return status;
    if (job->deadline_ns <= self->last_used_ns) status = mr_error_set(error, MR_TIMEOUT, "%s: the request ran past its time", model->spec.key);
    mr_job_account(model, job, status, verdict);
    return status;
}

/* Compares the account with what is really held. */
static void correct_account(mr_guard *guard, size_t measured, size_t *estimate, const char *key, const char *what)
{
    size_t held = guard->bytes, difference = measured > held ? measured - held : held - measured;
    if (difference <= held / 10) return; /* within 10 %: the estimate was good enough */
    char estimated_text[16], measured_text[16], short_text[16];
    mr_log(MR_LOG_WARN, MR_POOL_LOG, "%s: %s take %s, estimated %s; account corrected", key, what, mr_str_bytes(measured_text, measured),
           mr_str_bytes(estimated_text, held));
    *estimate = measured;
    size_t missing = mr_guard_correct(guard, measured);
    if (missing > 0)
        mr_log(MR_LOG_WARN, MR_POOL_LOG, "%s: %s of its %s are beyond the memory limit", key, mr_str_bytes(short_text, missing), what);
}

/* Lock held on entry and on return; the measuring itself runs without. */
static void measure(mr_worker *self)
{
    mr_pool_model *model = self->model;
    const mr_model_vtable *vtable = model->spec.vtable;
    pthread_mutex_unlock(&model->lock);
    size_t shared = vtable->model_bytes(self->weights->loaded_model), own = vtable->worker_bytes(self->instance);
    pthread_mutex_lock(&model->lock);
    correct_account(&self->weights->guard, shared, &model->estimate.shared_bytes, model->spec.key, "weights");
    correct_account(&self->guard, own, &model->estimate.worker_bytes, model->spec.key, "worker bytes");
}

static void process(mr_worker *self, mr_job *job)
{
    mr_pool_model *model = self->model;
    mr_error error = { 0 };
    mr_status status;
    bool over = true;
    if (job->deadline_ns <= mr_pool_now(model)) {
        status = mr_error_set(&error, MR_TIMEOUT, "%s: the request waited past its time", model->spec.key);
        mr_job_account(model, job, status, MR_VERDICT_NONE);
    } else if (mr_breaker_state_at(&model->breaker, mr_pool_now(model)) == MR_BREAKER_OPEN) { /* it opened while this one waited */
        model->metrics.rejected_by_breaker++;
        status = mr_pool_refuse_open(model, &error);
        mr_job_account(model, job, status, MR_VERDICT_NONE);
    } else {
        self->current = job;
        status = run_current(self, &over, &error);
    }
    if (!over) return;
    bool with_maintenance = job->answering; /* it is inside done: released and free are then its business */
    job->ended = true;
    pthread_mutex_unlock(&model->lock);
    if (!with_maintenance) mr_job_finish(job, status, &error);
    pthread_mutex_lock(&model->lock);
    if (self->state == MR_WORKER_READY && (self->batches == 1 || self->batches == model->pools->settings.measured_batches)) measure(self);
}

/* ---------------------------------------------------------------- where the next one comes from */

static mr_job *steal(mr_worker *self)
{
    mr_pool_model *model = self->model;
    mr_worker *longest = NULL;
    for (size_t i = 0; i < model->worker_count; i++) {
        mr_worker *sibling = model->workers[i];
        if (sibling->state == MR_WORKER_IDLE) continue; /* it has been woken for what it holds */
        if (mr_worker_queued(sibling) > 0 && (!longest || mr_worker_queued(sibling) > mr_worker_queued(longest))) longest = sibling;
    }
    if (!longest) return NULL;
    model->metrics.requests_stolen++;
    mr_job *job = mr_job_list_pop(&longest->priority);
    return job ? job : mr_job_list_pop(&longest->queue);
}

static mr_job *next_job(mr_worker *self)
{
    mr_job *job = mr_job_list_pop(&self->priority);
    if (!job) job = mr_job_list_pop(&self->model->orphans); /* older than what was queued here */
    if (!job) job = mr_job_list_pop(&self->queue);
    if (!job) job = steal(self);
    if (!job) return NULL;
    pthread_cond_broadcast(&self->model->changed); /* room */
    if (mr_worker_queued(self) > 0) mr_pool_wake_idle(self->model); /* what stays behind this one */
    return job;
}

/* Lock held on entry and on return. Ends when asked to leave, given up, or failed. */
static void serve(mr_worker *self)
{
    mr_pool_model *model = self->model;
    while (!self->leave && !self->lost && self->state != MR_WORKER_FAILED) {
        self->pinged_ns = 0; /* being here is the answer */
        mr_job *job = next_job(self);
        if (job) {
            process(self, job);
            continue;
        }
        if (self->state == MR_WORKER_READY) enter(self, MR_WORKER_IDLE);
        mr_clock_wait(model->pools->clock, &self->wake, &model->lock, MR_CLOCK_FOREVER); /* ended by a request, a ping, an eviction */
    }
}

/* ---------------------------------------------------------------- its life */

/* No lock held. */
static mr_status bring_up(mr_worker *self, mr_error *error)
{
    mr_pool_model *model = self->model;
    int64_t started = mr_pool_now(model);
    void *loaded_model;
    MR_TRY(mr_weights_load(self, &loaded_model, error));
    MR_TRY(model->spec.vtable->worker_create(loaded_model, &model->spec.options, &self->instance, error));
    pthread_mutex_lock(&model->lock);
    measure(self);
    self->last_used_ns = mr_pool_now(model);
    mr_log(MR_LOG_INFO, MR_POOL_LOG, "%s: worker %llu ready in %.3f s", model->spec.key, (unsigned long long)self->id,
           (double)(self->last_used_ns - started) / (double)MR_CLOCK_SECOND);
    pthread_mutex_unlock(&model->lock);
    return MR_OK;
}

/* Out of the list of workers. Lock held. */
static void unlist(mr_worker *self)
{
    mr_pool_model *model = self->model;
    for (size_t i = 0; i < model->worker_count; i++) {
        if (model->workers[i] != self) continue;
        model->workers[i] = model->workers[--model->worker_count];
        return;
    }
}

static void take_jobs(mr_worker *self, mr_job_list *out)
{
    *out = (mr_job_list){ 0 };
    mr_job_list_append(out, &self->priority);
    mr_job_list_append(out, &self->queue);
}

/* Whatever it held is given back; what it had queued goes to siblings. Lock held on entry and on return. */
static void wind_up(mr_worker *self)
{
    mr_pool_model *model = self->model;
    bool failed_load = self->state == MR_WORKER_FAILED && !self->instance; /* it would fail again: no replacement */
    if (self->state != MR_WORKER_FAILED) enter(self, MR_WORKER_EVICTING);
    mr_job_list jobs;
    take_jobs(self, &jobs);
    mr_pool_rehome(model, &jobs);
    pthread_mutex_unlock(&model->lock);
    model->spec.vtable->worker_destroy(self->instance);
    mr_guard_release(&self->guard);
    pthread_mutex_lock(&model->lock);
    if (failed_load) mr_pool_fail_orphans(model, &model->failure);
    else if (!self->lost) mr_spawn_replacement(model, false); /* before the weights go: it can share them */
    mr_weights_release(model, self->weights);
    unlist(self);
    enter(self, MR_WORKER_DEAD);
}

static void *worker_main(void *argument)
{
    mr_worker *self = argument;
    mr_pool_model *model = self->model;
    mr_affinity *affinity = model->pools->affinity;
    mr_error error = { 0 };
    mr_core_set cores = { 0 };
    pthread_setname_np(pthread_self(), "millrace-worker");
    if (model->pools->settings.pin_threads) cores = mr_affinity_bind(affinity, model->spec.options.threads_per_worker);
    pthread_mutex_lock(&model->lock);
    enter(self, MR_WORKER_LOADING);
    pthread_mutex_unlock(&model->lock);
    mr_status status = bring_up(self, &error);
    pthread_mutex_lock(&model->lock);
    if (status == MR_OK) {
        enter(self, MR_WORKER_READY);
        serve(self);
    } else if (!self->leave) {
        mr_pool_explain(model, status, &error);
        fail(self, &error);
        if (self->brought_weights) mr_breaker_record(&model->breaker, mr_pool_now(model), model->breaker.round, MR_VERDICT_FAILURE);
    }
    wind_up(self);
    if (cores.count > 0) mr_affinity_release(affinity, cores);
    /* Each ending thread joins the one that ended before it, so that one at most is left for the shutdown. */
    bool join = model->has_ended;
    pthread_t before = model->ended;
    model->has_ended = true;
    model->ended = pthread_self();
    model->threads--;
    pthread_cond_destroy(&self->wake);
    free(self);
    pthread_cond_broadcast(&model->changed);
    pthread_mutex_unlock(&model->lock); /* from here on the model may be gone */
    if (join) pthread_join(before, NULL);
    return NULL;
}

mr_status mr_worker_start(mr_pool_model *model, mr_guard *guard, mr_error *error)
{
    mr_worker *worker = calloc(1, sizeof *worker);
    if (!worker) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a worker", model->spec.key);
    worker->model = model;
    worker->id = ++model->next_id;
    worker->weights = model->weights;
    worker->guard = *guard;
    mr_clock_cond_init(&worker->wake);
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, worker_main, worker);
    if (failed) {
        pthread_cond_destroy(&worker->wake);
        free(worker);
        return mr_error_errno(error, failed, "%s: cannot start a worker thread", model->spec.key);
    }
    *guard = (mr_guard){ 0 };
    model->weights->references++;
    model->threads++;
    model->workers[model->worker_count++] = worker;
    model->metrics.workers_spawned++;
    mr_log(MR_LOG_INFO, MR_POOL_LOG, "%s: worker %llu spawned", model->spec.key, (unsigned long long)worker->id);
    return MR_OK;
}

void mr_worker_evict(mr_worker *worker, const char *reason)
{
    if (worker->leave) return;
    worker->leave = true;
    worker->model->metrics.workers_evicted++;
    mr_log(MR_LOG_INFO, MR_POOL_LOG, "%s: worker %llu evicted: %s", worker->model->spec.key, (unsigned long long)worker->id, reason);
    if (worker->load) mr_load_cancel(worker->load);
    pthread_cond_signal(&worker->wake);
}

void mr_worker_give_up(mr_worker *worker)
{
    mr_pool_model *model = worker->model;
    worker->lost = true;
    unlist(worker);
    model->metrics.workers_failed++;
    mr_job_list jobs;
    take_jobs(worker, &jobs);
    mr_pool_rehome(model, &jobs);
    pthread_cond_broadcast(&model->changed);
}
