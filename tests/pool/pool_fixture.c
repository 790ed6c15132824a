#include "pool_fixture.h"

#include <time.h>

#include "core/log.h"
#include "registry/pool/pool_model.h"

#define POLLS 10000 /* of a millisecond */

static void nap(void) { nanosleep(&(struct timespec){ 0, 1000000 }, NULL); }

fixture fixture_default(void)
{
    fixture f = { .settings = mr_pool_settings_default() };
    f.settings.ping_interval = MR_CLOCK_FOREVER;
    f.settings.ping_timeout = MR_CLOCK_FOREVER;
    f.settings.pressure_interval = MR_CLOCK_FOREVER;
    f.settings.metrics_interval = MR_CLOCK_FOREVER;
    return f;
}

void fixture_start(fixture *f)
{
    mr_error error = { 0 };
    mr_governor_settings memory = { .limit = f->limit ? f->limit : "1M", .reserve = "0", .root = f->root };
    assert_int_equal(mr_governor_create(&memory, &f->governor, &error), MR_OK);
    if (!f->real_clock) assert_int_equal(mr_clock_virtual_create(&f->clock, &error), MR_OK);
    assert_int_equal(mr_pools_create(&f->settings, f->governor, f->clock, &f->pools, &error), MR_OK);
    assert_int_equal(mr_pools_start_maintenance(f->pools, &error), MR_OK);
    log_start();
}

void fixture_end(fixture *f)
{
    mr_shutdown_report report;
    mr_pools_shutdown(f->pools, &report);
    assert_int_equal(report.stuck, 0);
    mr_pools_destroy(f->pools);
    assert_int_equal(mr_governor_used(f->governor), 0);
    for (int tag = 0; tag < MR_MEM_TAG_COUNT; tag++) assert_int_equal(mr_governor_used_by(f->governor, (mr_mem_tag)tag), 0);
    mr_governor_destroy(f->governor);
    mr_clock_virtual_destroy(f->clock);
    fake_reset();
}

mr_pool_model *fixture_add(fixture *f, fake_model *model, mr_capability capability, const char *key, size_t max_workers)
{
    mr_pool_model *added;
    mr_error error = { 0 };
    mr_pool_model_spec spec = { .key = key, .path = model->path, .vtable = fake_vtable(capability), .options = { .threads_per_worker = 1 },
                                .max_workers = max_workers };
    assert_int_equal(mr_pools_add_model(f->pools, &spec, &added, &error), MR_OK);
    return added;
}

void fixture_await_waiters(fixture *f, size_t count)
{
    for (int i = 0; i < POLLS && mr_clock_virtual_waiters(f->clock) < count; i++) nap();
    assert_true(mr_clock_virtual_waiters(f->clock) >= count);
}

void fixture_advance(fixture *f, int64_t delta_ns, size_t others)
{
    fixture_await_waiters(f, 1 + others);
    mr_clock_virtual_advance(f->clock, delta_ns);
    fixture_await_waiters(f, 1 + others);
}

mr_model_metrics metrics_of(mr_pool_model *model)
{
    mr_model_metrics metrics;
    mr_pool_model_metrics(model, &metrics);
    return metrics;
}

void await_workers(mr_pool_model *model, mr_worker_state state, size_t count)
{
    for (int i = 0; i < POLLS && metrics_of(model).workers[state] != count; i++) nap();
    assert_int_equal(metrics_of(model).workers[state], count);
}

size_t workers_of(mr_pool_model *model)
{
    mr_model_metrics metrics = metrics_of(model);
    size_t count = 0;
    for (int state = 0; state < MR_WORKER_DEAD; state++) count += metrics.workers[state];
    return count;
}

void await_left(mr_pool_model *model, size_t count)
{
    for (int i = 0; i < POLLS && workers_of(model) > count; i++) nap();
    assert_int_equal(workers_of(model), count);
}

static bool all_answered(mr_pool_model *model)
{
    bool answered = true;
    pthread_mutex_lock(&model->lock);
    for (size_t i = 0; i < model->worker_count; i++) answered = answered && model->workers[i]->pinged_ns == 0;
    pthread_mutex_unlock(&model->lock);
    return answered;
}

void await_answers(mr_pool_model *model)
{
    for (int i = 0; i < POLLS && !all_answered(model); i++) nap();
    assert_true(all_answered(model));
}

void await_pending(mr_pool_model *model, size_t count)
{
    for (int i = 0; i < POLLS && metrics_of(model).pending != count; i++) nap();
    assert_int_equal(metrics_of(model).pending, count);
}

void await_queued(mr_pool_model *model, size_t count)
{
    for (int i = 0; i < POLLS && metrics_of(model).queued != count; i++) nap();
    assert_int_equal(metrics_of(model).queued, count);
}

mr_status call_once(mr_pool_model *model, mr_capability capability, mr_error *error)
{
    fake_request request;
    fake_request_init(&request, capability, 1, 1);
    mr_call call = fake_call(&request);
    mr_status status = mr_pool_call(model, &call, error);
    fake_request_fini(&request);
    return status;
}

void submit(mr_pool_model *model, fake_request *request)
{
    mr_error error = { 0 };
    mr_call call = fake_call(request);
    assert_int_equal(mr_pool_submit(model, &call, &error), MR_OK);
}

/* ---------------------------------------------------------------- a crowd */

typedef struct caller {
    pthread_t thread;
    mr_pool_model *model;
    mr_capability capability;
    mr_status status;
    mr_error error;
} caller;

struct crowd {
    size_t count;
    caller callers[];
};

static void *caller_main(void *argument)
{
    caller *self = argument;
    self->status = call_once(self->model, self->capability, &self->error);
    return NULL;
}

crowd *crowd_start(mr_pool_model *model, mr_capability capability, size_t count)
{
    crowd *all = calloc(1, sizeof *all + count * sizeof(caller));
    assert_non_null(all);
    all->count = count;
    for (size_t i = 0; i < count; i++) {
        all->callers[i].model = model;
        all->callers[i].capability = capability;
        assert_int_equal(pthread_create(&all->callers[i].thread, NULL, caller_main, &all->callers[i]), 0);
    }
    return all;
}

size_t crowd_end(crowd *all, mr_status status, mr_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        pthread_join(all->callers[i].thread, NULL);
        if (all->callers[i].status != status) continue;
        count++;
        if (error) *error = all->callers[i].error;
    }
    free(all);
    return count;
}

/* ---------------------------------------------------------------- the log */

static struct {
    pthread_mutex_t lock;
    char text[1 << 16];
    size_t length;
} logged = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void keep(void *context, mr_log_level level, const char *module, const char *line)
{
    (void)context;
    pthread_mutex_lock(&logged.lock);
    int written = snprintf(logged.text + logged.length, sizeof logged.text - logged.length, "%s %s %s\n", mr_log_level_name(level), module, line);
    if (written > 0 && (size_t)written < sizeof logged.text - logged.length) logged.length += (size_t)written;
    pthread_mutex_unlock(&logged.lock);
}

void log_start(void)
{
    static bool set;
    if (!set) {
        mr_log_set_sink(keep, NULL);
        (void)mr_log_configure("info", NULL);
        set = true;
    }
    pthread_mutex_lock(&logged.lock);
    logged.length = 0;
    logged.text[0] = '\0';
    pthread_mutex_unlock(&logged.lock);
}

bool log_has(const char *text)
{
    bool found = false;
    for (int i = 0; i < POLLS && !found; i++) { /* a line may be a moment behind what it tells */
        pthread_mutex_lock(&logged.lock);
        found = strstr(logged.text, text) != NULL;
        pthread_mutex_unlock(&logged.lock);
        if (!found) nap();
    }
    return found;
}

size_t log_lines(void)
{
    size_t lines = 0;
    pthread_mutex_lock(&logged.lock);
    for (size_t i = 0; i < logged.length; i++) lines += logged.text[i] == '\n';
    pthread_mutex_unlock(&logged.lock);
    return lines;
}
