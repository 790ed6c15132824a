#include "registry/pool/worker.h"

#include <assert.h>

#include "capability/outcome.h"
#include "core/log.h"
#include "registry/pool/routing.h"
#include "registry/pool/weights.h"

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

void mr_worker_enter(mr_worker *self, mr_worker_state state)
{
    assert(mr_worker_state_follows(self->state, state));
    self->state = state;
    pthread_cond_broadcast(&self->model->changed);
}

void mr_worker_fail(mr_worker *self, const mr_error *cause)
{
    mr_pool_model *model = self->model;
    mr_worker_enter(self, MR_WORKER_FAILED);
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
    mr_pool_judge(self->model, job, MR_VERDICT_FAILURE);
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
    mr_worker_enter(self, MR_WORKER_PROCESSING);
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
    if (status == MR_WORKER_DIED || status == MR_INTERNAL) mr_worker_fail(self, error);
    else mr_worker_enter(self, MR_WORKER_READY);
    mr_verdict verdict = verdict_of(status, &outcome);
    if (verdict == MR_VERDICT_FAILURE) note_failure(model, status, error);
    if (job->answered) return status; /* counted when it was */
    *over = !moves_on(self, job);
    if (!*over) return status;
    if (job->deadline_ns <= self->last_used_ns) status = mr_error_set(error, MR_TIMEOUT, "%s: the request ran past its time", model->spec.key);
    mr_pool_account(model, job, status, verdict);
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
        mr_pool_account(model, job, status, MR_VERDICT_NONE);
    } else if (mr_breaker_state_at(&model->breaker, mr_pool_now(model)) == MR_BREAKER_OPEN) { /* it opened while this one waited */
        model->metrics.rejected_by_breaker++;
        status = mr_pool_refuse_open(model, &error);
        mr_pool_account(model, job, status, MR_VERDICT_NONE);
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
    if (mr_worker_queued(self) > 0) mr_routing_wake_idle(self->model); /* what stays behind this one */
    return job;
}

void mr_worker_serve(mr_worker *self)
{
    mr_pool_model *model = self->model;
    while (!self->leave && !self->lost && self->state != MR_WORKER_FAILED) {
        self->pinged_ns = 0; /* being here is the answer */
        mr_job *job = next_job(self);
        if (job) {
            process(self, job);
            continue;
        }
        if (self->state == MR_WORKER_READY) mr_worker_enter(self, MR_WORKER_IDLE);
        mr_clock_wait(model->pools->clock, &self->wake, &model->lock, MR_CLOCK_FOREVER); /* ended by a request, a ping, an eviction */
    }
}

/* ---------------------------------------------------------------- coming and going */

mr_status mr_worker_bring_up(mr_worker *self, mr_error *error)
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

void mr_worker_evict(mr_worker *worker, const char *reason)
{
    if (worker->leave) return;
    worker->leave = true;
    worker->model->metrics.workers_evicted++;
    mr_log(MR_LOG_INFO, MR_POOL_LOG, "%s: worker %llu evicted: %s", worker->model->spec.key, (unsigned long long)worker->id, reason);
    if (worker->load) mr_load_cancel(worker->load);
    pthread_cond_signal(&worker->wake);
}
