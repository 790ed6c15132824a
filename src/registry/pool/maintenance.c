#include "registry/pool/maintenance.h"

#include <stdlib.h>

#include "core/log.h"
#include "registry/pool/evict.h"
#include "registry/pool/spawn.h"

/* Memory given back shows in the resident set only after a moment. */
#define PRESSURE_SETTLE (100 * MR_CLOCK_MILLISECOND)

#define DUTY_COUNT 5

struct mr_maintenance {
    mr_pools *pools;
    atomic_bool started;
    int64_t due_ns[DUTY_COUNT]; /* this and `relieving` are the thread's own */
    bool relieving;
    pthread_mutex_t lock;       /* leaf */
    pthread_cond_t wake;
    int64_t wake_ns;
    bool running;
    bool stop;
    pthread_t thread;
};

/* ---------------------------------------------------------------- requests out of time */

typedef struct sweep {
    int64_t now;
    int64_t earliest; /* deadline still to come */
} sweep;

static void expire(mr_job_list *list, sweep *at, mr_job_list *expired)
{
    int64_t earliest = mr_job_list_expire(list, at->now, expired);
    if (earliest < at->earliest) at->earliest = earliest;
}

/* A running request that is over its time and whose memory may stay behind. Lock held. */
static mr_job *find_overrun(mr_pool_model *model, sweep *at)
{
    for (size_t i = 0; i < model->worker_count; i++) {
        mr_job *job = model->workers[i]->current;
        if (!job || job->answered) continue;
        if (job->deadline_ns <= at->now) {
            if (job->call.released) return job;
        } else if (job->deadline_ns < at->earliest) {
            at->earliest = job->deadline_ns;
        }
    }
    return NULL;
}

/* Lock held on entry and on return. */
static void answer_overrun(mr_pool_model *model, mr_job *job, const mr_error *error)
{
    job->answered = job->answering = true;
    mr_pool_account(model, job, MR_TIMEOUT, MR_VERDICT_NONE);
    pthread_mutex_unlock(&model->lock);
    job->call.done(job->call.context, MR_TIMEOUT, error);
    pthread_mutex_lock(&model->lock);
    job->answering = false;
    if (!job->ended) return; /* the worker is still at it and will release it */
    pthread_mutex_unlock(&model->lock);
    mr_job_finish(job, MR_TIMEOUT, error);
    pthread_mutex_lock(&model->lock);
}

static void sweep_model(mr_pool_model *model, void *context)
{
    sweep *at = context;
    mr_job_list expired = { 0 };
    mr_error error;
    mr_error_set(&error, MR_TIMEOUT, "%s: the request ran out of time", model->spec.key);
    pthread_mutex_lock(&model->lock);
    for (size_t i = 0; i < model->worker_count; i++) {
        expire(&model->workers[i]->queue, at, &expired);
        expire(&model->workers[i]->priority, at, &expired);
    }
    expire(&model->orphans, at, &expired);
    if (expired.count > 0) mr_pool_fail_jobs(model, &expired, MR_TIMEOUT, &error);
    for (mr_job *job; (job = find_overrun(model, at));) answer_overrun(model, job, &error);
    pthread_mutex_unlock(&model->lock);
}

/* ---------------------------------------------------------------- periodic duties */

static int64_t later(int64_t time, int64_t delay)
{
    return delay > MR_CLOCK_FOREVER - time ? MR_CLOCK_FOREVER : time + delay;
}

static bool waits_for_work(const mr_worker *worker)
{
    return !worker->leave && (worker->state == MR_WORKER_READY || worker->state == MR_WORKER_IDLE);
}

static void ping_model(mr_pool_model *model, void *context)
{
    const int64_t *now = context;
    pthread_mutex_lock(&model->lock);
    for (size_t i = 0; i < model->worker_count; i++) {
        mr_worker *worker = model->workers[i];
        if (!waits_for_work(worker) || worker->pinged_ns != 0) continue;
        worker->pinged_ns = *now;
        pthread_cond_signal(&worker->wake);
    }
    pthread_mutex_unlock(&model->lock);
}

static void report_stall(mr_worker *worker, int64_t now)
{
    const mr_job *job = worker->current;
    worker->stall_reported = true;
    mr_log(MR_LOG_WARN, MR_POOL_LOG, "%s: worker %llu has been running request %llu of stage %s for %.0f s", worker->model->spec.key,
           (unsigned long long)worker->id, (unsigned long long)job->call.id, job->call.stage ? job->call.stage : "unnamed",
           (double)(now - worker->busy_since_ns) / (double)MR_CLOCK_SECOND);
}

static void check_model(mr_pool_model *model, void *context)
{
    int64_t now = *(const int64_t *)context;
    const mr_pool_settings *settings = &model->pools->settings;
    pthread_mutex_lock(&model->lock);
    for (size_t i = 0; i < model->worker_count;) {
        mr_worker *worker = model->workers[i];
        bool silent = waits_for_work(worker) && worker->pinged_ns != 0 && now - worker->pinged_ns >= settings->ping_timeout;
        if (silent) {
            mr_log(MR_LOG_ERROR, MR_POOL_LOG, "%s: worker %llu does not answer; replaced", model->spec.key, (unsigned long long)worker->id);
            mr_spawn_give_up(worker);
            mr_spawn_replacement(model, true);
            i = 0; /* the list has changed, and the lock may have been released */
            continue;
        }
        if (worker->current && !worker->stall_reported && now - worker->busy_since_ns >= settings->stall_timeout) report_stall(worker, now);
        i++;
    }
    pthread_mutex_unlock(&model->lock);
}

static void cool_down_model(mr_pool_model *model, void *context)
{
    mr_evict_cool_down(model, *(const int64_t *)context);
}

/* From Critical down to below High, not just below Critical: otherwise the next batch brings it back. */
static void do_pressure(mr_maintenance *self, int64_t now, int64_t *due)
{
    mr_pressure pressure = mr_governor_sample_pressure(self->pools->governor);
    self->relieving = pressure == MR_PRESSURE_CRITICAL || (self->relieving && pressure == MR_PRESSURE_HIGH);
    if (self->relieving && mr_evict_one(self->pools, "memory pressure")) *due = later(now, PRESSURE_SETTLE);
}

static void do_check(mr_maintenance *self, int64_t now, int64_t *due)
{
    (void)due;
    mr_pools_each(self->pools, check_model, &now);
}

static void do_ping(mr_maintenance *self, int64_t now, int64_t *due)
{
    (void)due;
    mr_pools_each(self->pools, ping_model, &now);
}

static void do_cool_down(mr_maintenance *self, int64_t now, int64_t *due)
{
    (void)due;
    mr_pools_each(self->pools, cool_down_model, &now);
}

void mr_maintenance_write_metrics(mr_pools *pools)
{
    mr_error error;
    if (pools->settings.metrics_path && mr_pools_write_metrics(pools, pools->settings.metrics_path, &error) != MR_OK)
        mr_log(MR_LOG_WARN, MR_POOL_LOG, "metrics: %s", error.text);
}

static void do_metrics(mr_maintenance *self, int64_t now, int64_t *due)
{
    (void)now;
    (void)due;
    mr_maintenance_write_metrics(self->pools);
}

/* In this order when several are due at once: a ping is judged before the next one is sent. */
static const struct {
    size_t interval; /* offset of its setting */
    void (*run)(mr_maintenance *self, int64_t now, int64_t *due); /* may bring *due forward */
} duties[DUTY_COUNT] = {
    { offsetof(mr_pool_settings, pressure_interval), do_pressure },
    { offsetof(mr_pool_settings, ping_timeout), do_check },
    { offsetof(mr_pool_settings, ping_interval), do_ping },
    { offsetof(mr_pool_settings, maintenance_interval), do_cool_down },
    { offsetof(mr_pool_settings, metrics_interval), do_metrics },
};

static int64_t interval_of(const mr_maintenance *self, size_t duty)
{
    return *(const int64_t *)((const char *)&self->pools->settings + duties[duty].interval);
}

/* Everything that is due; returns when to look again. */
static int64_t work(mr_maintenance *self)
{
    int64_t now = mr_clock_now(self->pools->clock);
    sweep at = { now, MR_CLOCK_FOREVER };
    mr_pools_each(self->pools, sweep_model, &at);
    int64_t next = at.earliest;
    for (size_t i = 0; i < DUTY_COUNT; i++) {
        if (now >= self->due_ns[i]) {
            while (self->due_ns[i] <= now) self->due_ns[i] = later(self->due_ns[i], interval_of(self, i)); /* missed ticks are not made up */
            duties[i].run(self, now, &self->due_ns[i]);
        }
        if (self->due_ns[i] < next) next = self->due_ns[i];
    }
    return next;
}

/* ---------------------------------------------------------------- the thread */

static void *maintenance_main(void *argument)
{
    mr_maintenance *self = argument;
    pthread_setname_np(pthread_self(), "millrace-maint");
    pthread_mutex_lock(&self->lock);
    while (!self->stop) {
        self->wake_ns = MR_CLOCK_FOREVER; /* lowered by whoever expects us meanwhile */
        pthread_mutex_unlock(&self->lock);
        int64_t next = work(self);
        pthread_mutex_lock(&self->lock);
        if (next < self->wake_ns) self->wake_ns = next;
        while (!self->stop && mr_clock_now(self->pools->clock) < self->wake_ns)
            mr_clock_wait(self->pools->clock, &self->wake, &self->lock, self->wake_ns);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

mr_status mr_maintenance_create(mr_pools *pools, mr_maintenance **out, mr_error *error)
{
    mr_maintenance *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the maintenance of the pools");
    self->pools = pools;
    pthread_mutex_init(&self->lock, NULL);
    mr_clock_cond_init(&self->wake);
    *out = self;
    return MR_OK;
}

mr_status mr_maintenance_start(mr_maintenance *self, mr_error *error)
{
    if (atomic_load(&self->started)) return MR_OK;
    int failed = 0;
    pthread_mutex_lock(&self->lock);
    if (!self->running && !self->stop) {
        int64_t now = mr_clock_now(self->pools->clock);
        for (size_t i = 0; i < DUTY_COUNT; i++) self->due_ns[i] = later(now, interval_of(self, i));
        failed = pthread_create(&self->thread, NULL, maintenance_main, self);
        self->running = failed == 0;
        atomic_store(&self->started, self->running);
    }
    pthread_mutex_unlock(&self->lock);
    return failed ? mr_error_errno(error, failed, "cannot start the maintenance thread") : MR_OK;
}

void mr_maintenance_stop(mr_maintenance *self)
{
    pthread_mutex_lock(&self->lock);
    bool running = self->running;
    self->stop = true;
    self->running = false;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->lock);
    if (running) pthread_join(self->thread, NULL);
}

void mr_maintenance_destroy(mr_maintenance *self)
{
    if (!self) return;
    mr_maintenance_stop(self);
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

void mr_maintenance_expect(mr_maintenance *self, int64_t deadline_ns)
{
    pthread_mutex_lock(&self->lock);
    if (deadline_ns < self->wake_ns) {
        self->wake_ns = deadline_ns;
        pthread_cond_signal(&self->wake);
    }
    pthread_mutex_unlock(&self->lock);
}
