/* docs/pool-rules.md, section 2: worker life. Expected numbers are those of the rules. */
#include <dirent.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/cores.h"
#include "pool_fixture.h"
#include "registry/pool/pool_model.h"
#include "registry/pool/worker.h"

#define TEXT MR_CAPABILITY_TEXT_EMBEDDING
#define W 1000
#define S 100

static void states_follow_each_other_as_the_rules_say(void **state)
{
    (void)state;
    static const char *const allowed[] = { /* the diagram of the rules, edge by edge */
        "spawning loading", "loading ready", "ready processing", "processing ready", "ready idle", "idle processing",
        "spawning evicting", "loading evicting", "ready evicting", "processing evicting", "idle evicting", "evicting dead",
        "spawning failed", "loading failed", "processing failed", "failed dead" };
    size_t count = 0;
    for (int from = 0; from < MR_WORKER_STATE_COUNT; from++) {
        for (int to = 0; to < MR_WORKER_STATE_COUNT; to++) {
            char edge[64];
            bool expected = false;
            snprintf(edge, sizeof edge, "%s %s", mr_worker_state_text((mr_worker_state)from), mr_worker_state_text((mr_worker_state)to));
            for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) expected = expected || strcmp(allowed[i], edge) == 0;
            assert_int_equal(mr_worker_state_follows((mr_worker_state)from, (mr_worker_state)to), expected);
            count += expected;
        }
    }
    assert_int_equal(count, sizeof allowed / sizeof *allowed);
}

static void a_hundred_first_requests_give_exactly_two_workers(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 8);
    fake_gate(fake, &fake->load_closed, true);
    crowd *all = crowd_start(model, TEXT, 100);
    fixture_await_waiters(&f, 101); /* all hundred wait for a worker */
    mr_model_metrics metrics = metrics_of(model);
    assert_int_equal(metrics.workers_spawned, 2);
    assert_int_equal(workers_of(model), 2);
    await_workers(model, MR_WORKER_LOADING, 2);
    fake_await(fake, &fake->opens, 1);
    fixture_await_waiters(&f, 102); /* the second waits for the first one's load, to take a reference */
    assert_int_equal(fake_read(fake, &fake->opens), 1);
    assert_int_equal(mr_governor_used(f.governor), W + 2 * S);
    fake_gate(fake, &fake->load_closed, false);
    assert_int_equal(crowd_end(all, MR_OK, NULL), 100);
    assert_int_equal(fake_read(fake, &fake->opens), 1);
    fixture_end(&f);
}

static void cold_start_takes_what_memory_allows(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.limit = "1199"; /* one byte short of two workers */
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 8);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    assert_int_equal(metrics_of(model).workers_spawned, 1);
    fixture_end(&f);
}

static void cold_start_without_memory_fails_at_once(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.limit = "1099";
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 8);
    mr_error error = { 0 };
    assert_int_equal(call_once(model, TEXT, &error), MR_MEMORY_EXHAUSTED);
    assert_non_null(strstr(error.text, "1.1 KiB")); /* requested, available and limit are all there */
    assert_non_null(strstr(error.text, "available"));
    assert_non_null(strstr(error.text, "limit"));
    assert_int_equal(metrics_of(model).workers_spawned, 0);
    assert_int_equal(mr_governor_used(f.governor), 0);
    fixture_end(&f);
}

static void a_failed_load_reaches_every_waiter_with_its_cause(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 8);
    fake_gate(fake, &fake->load_closed, true);
    fake->load_status = MR_MODEL_CORRUPT;
    crowd *all = crowd_start(model, TEXT, 20);
    fixture_await_waiters(&f, 21);
    fake_gate(fake, &fake->load_closed, false); /* the virtual clock stands still: nobody can have timed out */
    mr_error error = { 0 };
    assert_int_equal(crowd_end(all, MR_MODEL_CORRUPT, &error), 20);
    assert_non_null(strstr(error.text, "fake.weight"));
    for (int i = 0; i < 10000 && mr_governor_used(f.governor) > 0; i++) nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    assert_int_equal(mr_governor_used(f.governor), 0);
    assert_int_equal(metrics_of(model).pending, 0);
    fixture_end(&f);
}

static void waiting_for_ready_ends_on_time(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 8);
    fake_gate(fake, &fake->load_closed, true);
    crowd *all = crowd_start(model, TEXT, 1);
    await_workers(model, MR_WORKER_LOADING, 2); /* two workers exist, none counts; one waits for the other's load */
    fixture_await_waiters(&f, 3);
    fixture_advance(&f, 30 * SECOND - 1, 2);
    assert_int_equal(metrics_of(model).workers[MR_WORKER_LOADING], 2);
    mr_clock_virtual_advance(f.clock, 1);
    mr_error error = { 0 };
    assert_int_equal(crowd_end(all, MR_TIMEOUT, &error), 1);
    assert_non_null(strstr(error.text, "no worker became ready"));
    fake_gate(fake, &fake->load_closed, false);
    await_workers(model, MR_WORKER_IDLE, 2); /* the load went on for the next caller */
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    fixture_end(&f);
}

/* Fills busy workers until `count` are there, one more at a time; all runs are held. */
static void grow_to(mr_pool_model *model, fake_model *fake, fake_request *requests, size_t count)
{
    size_t next = 0;
    fake_gate(fake, &fake->run_closed, true);
    for (size_t workers = 2; workers <= count; workers++) {
        await_workers(model, MR_WORKER_LOADING, 0);
        while (metrics_of(model).workers[MR_WORKER_PROCESSING] < workers) {
            assert_true(next < 64);
            fake_request_init(&requests[next], TEXT, (int32_t)next + 1, 1);
            submit(model, &requests[next++]);
            fake_await(fake, &fake->runs, next < workers ? next : workers);
        }
        if (workers == count) break;
        assert_int_equal(metrics_of(model).workers_spawned, workers); /* nobody found all busy yet */
        fake_request_init(&requests[next], TEXT, (int32_t)next + 1, 1);
        submit(model, &requests[next++]);
        assert_int_equal(metrics_of(model).workers_spawned, workers + 1); /* exactly one more */
        fake_await(fake, &fake->runs, workers + 1);
    }
    fake_gate(fake, &fake->run_closed, false);
    for (size_t i = 0; i < next; i++) assert_int_equal(fake_request_await(&requests[i]), MR_OK);
    await_workers(model, MR_WORKER_IDLE, count);
    for (size_t i = 0; i < next; i++) fake_request_fini(&requests[i]);
}

static void load_adds_one_worker_at_a_time_up_to_the_cap(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 4);
    fake_request requests[64];
    grow_to(model, fake, requests, 4);
    assert_int_equal(mr_governor_used(f.governor), W + 4 * S);
    assert_int_equal(fake_read(fake, &fake->opens), 1);
    /* At the cap further requests queue. */
    fake_gate(fake, &fake->run_closed, true);
    for (size_t i = 0; i < 16; i++) {
        fake_request_init(&requests[i], TEXT, 1, 1);
        submit(model, &requests[i]);
    }
    assert_int_equal(metrics_of(model).workers_spawned, 4);
    fake_gate(fake, &fake->run_closed, false);
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(fake_request_await(&requests[i]), MR_OK);
        fake_request_fini(&requests[i]);
    }
    fixture_end(&f);
}

/* Workers a model gets when it asks for more than it may have. */
static size_t most_workers(size_t setting, size_t threads_per_worker)
{
    fixture f = fixture_default();
    f.settings.max_workers_per_model = setting;
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model;
    const mr_pool_model_spec spec = { .key = "a/b", .path = fake->path, .vtable = fake_vtable(TEXT), .options = { .threads_per_worker = threads_per_worker } };
    assert_int_equal(mr_pools_add_model(f.pools, &spec, &model, NULL), MR_OK);
    assert_int_equal(mr_pool_pin(model, 100, NULL), MR_OK);
    size_t workers = workers_of(model);
    mr_pool_unpin(model, 100);
    fixture_end(&f);
    return workers;
}

static void the_cap_follows_the_cores(void **state)
{
    (void)state;
    size_t cores = mr_cores_allowed(NULL);
    assert_int_equal(most_workers(0, 1), cores);
    assert_int_equal(most_workers(0, cores), 1);
    assert_int_equal(most_workers(0, 4 * cores), 1);
    assert_int_equal(most_workers(3, 1), 3);
}

static size_t maintenance_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    size_t count = 0;
    for (struct dirent *task; (task = readdir(tasks));) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%.200s/comm", task->d_name);
        FILE *file = fopen(path, "re");
        if (file && fgets(name, sizeof name, file)) count += strcmp(name, "millrace-maint\n") == 0;
        if (file) fclose(file);
    }
    closedir(tasks);
    return count;
}

/* A thread names itself a moment after it was started. */
static void await_maintenance_threads(size_t count)
{
    for (int i = 0; i < 10000 && maintenance_threads() != count; i++) nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    assert_int_equal(maintenance_threads(), count);
}

static void one_maintenance_thread_from_the_first_use_on(void **state)
{
    (void)state;
    mr_governor *governor;
    mr_pools *pools;
    mr_pool_model *model;
    const mr_governor_settings memory = { .limit = "1M", .reserve = "0" };
    const mr_pool_settings settings = mr_pool_settings_default();
    assert_int_equal(mr_governor_create(&memory, &governor, NULL), MR_OK);
    assert_int_equal(mr_pools_create(&settings, governor, NULL, &pools, NULL), MR_OK);
    const mr_pool_model_spec spec = { .key = "a/b", .path = fake_new()->path, .vtable = fake_vtable(TEXT), .options = { .threads_per_worker = 1 } };
    assert_int_equal(mr_pools_add_model(pools, &spec, &model, NULL), MR_OK);
    assert_int_equal(maintenance_threads(), 0);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    await_maintenance_threads(1);
    for (int i = 0; i < 3; i++) assert_int_equal(mr_pools_start_maintenance(pools, NULL), MR_OK);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    assert_int_equal(maintenance_threads(), 1);
    assert_int_equal(mr_pools_shutdown(pools, NULL), MR_OK);
    assert_int_equal(maintenance_threads(), 0);
    mr_pools_destroy(pools);
    mr_governor_destroy(governor);
    fake_reset();
}

static void never_two_expansions_at_once(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 8);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    await_workers(model, MR_WORKER_IDLE, 2);
    fake_gate(fake, &fake->run_closed, true);
    fake_request requests[10];
    for (size_t i = 0; i < 2; i++) {
        fake_request_init(&requests[i], TEXT, 1, 1);
        submit(model, &requests[i]);
        fake_await(fake, &fake->runs, 2 + i); /* the first call was run 1 */
    }
    /* A third worker is asked for by the third request; while it is on its way the others only queue. */
    pthread_mutex_lock(&fake->lock); /* holds the third worker in worker_create */
    for (size_t i = 2; i < 10; i++) {
        fake_request_init(&requests[i], TEXT, 1, 1);
        submit(model, &requests[i]);
    }
    size_t spawned = (size_t)metrics_of(model).workers_spawned;
    pthread_mutex_unlock(&fake->lock);
    assert_int_equal(spawned, 3);
    fake_gate(fake, &fake->run_closed, false);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(fake_request_await(&requests[i]), MR_OK);
        fake_request_fini(&requests[i]);
    }
    fixture_end(&f);
}

static void memory_refused_lets_the_request_queue(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.limit = "1200"; /* two workers, not three */
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 8);
    fake_gate(fake, &fake->run_closed, true);
    fake_request requests[8];
    for (size_t i = 0; i < 8; i++) {
        fake_request_init(&requests[i], TEXT, 1, 1);
        submit(model, &requests[i]);
    }
    assert_int_equal(metrics_of(model).workers_spawned, 2);
    fake_gate(fake, &fake->run_closed, false);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(fake_request_await(&requests[i]), MR_OK);
        fake_request_fini(&requests[i]);
    }
    fixture_end(&f);
}

/* To `minutes` on the test's own clock, in steps of half a minute; whoever was asked to leave has left by then. */
static void run_to(fixture *f, mr_pool_model *model, double *at, double minutes)
{
    while (*at + 0.25 < minutes) {
        fixture_advance(f, 30 * SECOND, 0);
        await_workers(model, MR_WORKER_EVICTING, 0);
        *at += 0.5;
    }
}

static void cool_down_takes_one_worker_a_minute(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    double at = 0;
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 4);
    run_to(&f, model, &at, 5);
    fake_request requests[64];
    grow_to(model, fake, requests, 4); /* last request at 5:00 */
    run_to(&f, model, &at, 5.5);
    assert_int_equal(workers_of(model), 4);
    run_to(&f, model, &at, 6);
    await_workers(model, MR_WORKER_IDLE, 3);
    run_to(&f, model, &at, 7);
    await_workers(model, MR_WORKER_IDLE, 2);
    run_to(&f, model, &at, 7.5);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    run_to(&f, model, &at, 8); /* idle for half a minute only */
    await_workers(model, MR_WORKER_IDLE, 2);
    run_to(&f, model, &at, 9);
    await_workers(model, MR_WORKER_IDLE, 1);
    assert_int_equal(mr_governor_used(f.governor), W + S);
    run_to(&f, model, &at, 10);
    await_workers(model, MR_WORKER_IDLE, 0);
    fake_await(fake, &fake->closes, 1); /* the last one takes the weights with it */
    assert_int_equal(metrics_of(model).workers_evicted, 4);
    assert_true(log_has("evicted: idle"));
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK); /* and cold again */
    assert_int_equal(fake_read(fake, &fake->opens), 2);
    fixture_end(&f);
}

static void the_least_recently_used_worker_leaves_first(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 2);
    assert_int_equal(mr_pool_pin(model, 2, NULL), MR_OK);
    await_workers(model, MR_WORKER_IDLE, 2);
    fixture_advance(&f, SECOND, 0);
    for (int i = 0; i < 2; i++) { /* ties go to the one used longer ago: one each */
        assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
        await_workers(model, MR_WORKER_IDLE, 2);
        fixture_advance(&f, SECOND, 0);
    }
    mr_idle_worker idle[4];
    mr_pool_unpin(model, 2);
    mr_eviction plan = { .count = 0 };
    mr_guard guard = { 0 };
    assert_int_equal(mr_governor_acquire(f.governor, mr_governor_available(f.governor) + S, MR_MEM_OTHER, &guard, &plan, NULL), MR_MEMORY_EXHAUSTED);
    assert_int_equal(plan.count, 1); /* one scratch is enough, and it is the older one's */
    idle[0] = plan.workers[0];
    assert_int_equal(idle[0].bytes, S);
    assert_int_equal(mr_governor_acquire(f.governor, mr_governor_available(f.governor) + S + 1, MR_MEM_OTHER, &guard, &plan, NULL), MR_MEMORY_EXHAUSTED);
    assert_int_equal(plan.count, 2);
    assert_int_equal(plan.workers[0].id, idle[0].id);
    assert_true(plan.workers[0].last_used_ns < plan.workers[1].last_used_ns);
    assert_int_equal(plan.workers[1].bytes, W + S); /* the last one gives the weights back too */
    fixture_end(&f);
}

static void pinned_workers_stay(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    double at = 0;
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 4);
    assert_int_equal(mr_pool_pin(model, 3, NULL), MR_OK);
    await_workers(model, MR_WORKER_IDLE, 3);
    run_to(&f, model, &at, 10);
    assert_int_equal(workers_of(model), 3);
    mr_pool_unpin(model, 2); /* one job of two has ended */
    run_to(&f, model, &at, 15);
    assert_int_equal(workers_of(model), 1);
    mr_pool_unpin(model, 1);
    run_to(&f, model, &at, 17);
    await_workers(model, MR_WORKER_IDLE, 0);
    fixture_end(&f);
}

/* ---------------------------------------------------------------- loaders */

typedef struct slow_fetch {
    pthread_t thread;
    const mr_load_request *request;
    mr_load *load;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool started, fetched;
} slow_fetch;

static void *fetch_verify_load(void *argument)
{
    slow_fetch *self = argument;
    pthread_mutex_lock(&self->lock);
    while (!self->fetched) pthread_cond_wait(&self->changed, &self->lock);
    pthread_mutex_unlock(&self->lock);
    void *model = NULL;
    mr_error error = { 0 };
    mr_status status = self->request->vtable->open(self->request->path, &self->request->options, &model, &error);
    mr_load_complete(self->load, status, model, &error);
    return NULL;
}

static void load_later(void *context, const mr_load_request *request, mr_load *load)
{
    slow_fetch *self = context;
    pthread_mutex_lock(&self->lock);
    self->request = request;
    self->load = load;
    self->started = true;
    pthread_create(&self->thread, NULL, fetch_verify_load, self);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static void fetched(slow_fetch *self)
{
    pthread_mutex_lock(&self->lock);
    while (!self->started) pthread_cond_wait(&self->changed, &self->lock);
    self->fetched = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
}

static mr_pool_model *add_fetched(fixture *f, fake_model *fake, slow_fetch *fetch)
{
    *fetch = (slow_fetch){ .started = false };
    pthread_mutex_init(&fetch->lock, NULL);
    pthread_cond_init(&fetch->changed, NULL);
    mr_pool_model *model;
    mr_pool_model_spec spec = { .key = "far/away", .path = fake->path, .vtable = fake_vtable(TEXT), .options = { .threads_per_worker = 1 },
                                .loader = { load_later, fetch }, .max_workers = 4 };
    assert_int_equal(mr_pools_add_model(f->pools, &spec, &model, NULL), MR_OK);
    return model;
}

static void three_kinds_of_loader_through_one_signature(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    /* (b) synchronous, for the first worker; (c) preloaded, for the second */
    fake_model *near = fake_new();
    mr_pool_model *synchronous = fixture_add(&f, near, TEXT, "near/by", 4);
    assert_int_equal(call_once(synchronous, TEXT, NULL), MR_OK);
    await_workers(synchronous, MR_WORKER_IDLE, 2);
    assert_int_equal(fake_read(near, &near->opens), 1);
    assert_int_equal(fake_read(near, &near->creates), 2);
    /* (a) asynchronous; its second worker is preloaded again, by a load that has not ended */
    slow_fetch fetch;
    fake_model *far = fake_new();
    mr_pool_model *asynchronous = add_fetched(&f, far, &fetch);
    crowd *all = crowd_start(asynchronous, TEXT, 3);
    await_workers(asynchronous, MR_WORKER_LOADING, 2);
    fetched(&fetch);
    assert_int_equal(crowd_end(all, MR_OK, NULL), 3);
    assert_int_equal(fake_read(far, &far->opens), 1);
    fixture_end(&f);
}

static void a_loader_that_never_answers_is_given_up(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.settings.load_timeout = 10 * SECOND;
    fixture_start(&f);
    slow_fetch fetch;
    fake_model *fake = fake_new();
    mr_pool_model *model = add_fetched(&f, fake, &fetch);
    crowd *all = crowd_start(model, TEXT, 1);
    await_workers(model, MR_WORKER_LOADING, 2);
    fixture_await_waiters(&f, 4); /* maintenance, the caller, both loads */
    mr_clock_virtual_advance(f.clock, 10 * SECOND);
    mr_error error = { 0 };
    assert_int_equal(crowd_end(all, MR_TIMEOUT, &error), 1);
    assert_non_null(strstr(error.text, "load_timeout"));
    await_left(model, 0);
    fetched(&fetch); /* too late: the model it brings is closed again */
    assert_int_equal(fake_read(fake, &fake->opens), 1);
    assert_int_equal(fake_read(fake, &fake->closes), 1);
    fixture_end(&f);
}

static void a_slow_load_delays_no_other_model(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.real_clock = true;
    fixture_start(&f);
    fake_model *slow = fake_new(), *quick = fake_new();
    mr_pool_model *a = fixture_add(&f, slow, TEXT, "slow/one", 2), *b = fixture_add(&f, quick, TEXT, "quick/one", 2);
    fake_gate(slow, &slow->load_closed, true);
    crowd *all = crowd_start(a, TEXT, 4);
    await_workers(a, MR_WORKER_LOADING, 2);
    int64_t worst = 0;
    for (int i = 0; i < 200; i++) {
        int64_t before = mr_clock_now(mr_clock_monotonic());
        assert_int_equal(call_once(b, TEXT, NULL), MR_OK);
        int64_t took = mr_clock_now(mr_clock_monotonic()) - before;
        if (took > worst) worst = took;
    }
    print_message("worst call while another model loads: %.3f ms\n", (double)worst / 1e6);
    assert_true(worst < SECOND); /* the load is still under way: any dependence would have been for ever */
    assert_int_equal(metrics_of(a).workers[MR_WORKER_LOADING], 2);
    fake_gate(slow, &slow->load_closed, false);
    assert_int_equal(crowd_end(all, MR_OK, NULL), 4);
    fixture_end(&f);
}

static void pinned_threads_get_cores_of_their_own(void **state)
{
    (void)state;
    mr_affinity *affinity;
    assert_int_equal(mr_affinity_create(&affinity, NULL), MR_OK);
    size_t cores = mr_affinity_cores(affinity), bound = 0;
    mr_core_set sets[64];
    cpu_set_t before, now, seen;
    CPU_ZERO(&seen);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    for (; bound < cores && bound < 64; bound++) {
        sets[bound] = mr_affinity_bind(affinity, 1);
        assert_int_equal(sets[bound].count, 1);
        assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            if (!CPU_ISSET(cpu, &now)) continue;
            assert_true(CPU_ISSET(cpu, &before)); /* within what this process may use */
            assert_false(CPU_ISSET(cpu, &seen));  /* and nobody else's */
            CPU_SET(cpu, &seen);
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    if (bound == cores) { /* all are taken: the thread is left alone */
        assert_int_equal(mr_affinity_bind(affinity, 1).count, 0);
        assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
        assert_true(CPU_EQUAL(&before, &now));
    }
    for (size_t i = 0; i < bound; i++) mr_affinity_release(affinity, sets[i]);
    if (cores > 0) {
        mr_core_set all = mr_affinity_bind(affinity, cores);
        assert_int_equal(all.count, cores); /* given back, they can be had together */
        mr_affinity_release(affinity, all);
    }
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    mr_affinity_destroy(affinity);
}

/* The memory policy of this thread, as the kernel sees it; -1 where it will not tell. */
static int memory_policy(void)
{
    int policy = -1;
    return syscall(SYS_get_mempolicy, &policy, NULL, 0UL, NULL, 0UL) == 0 ? policy : -1;
}

static int policy_of_load;

static void look_and_load(void *context, const mr_load_request *request, mr_load *load)
{
    policy_of_load = memory_policy();
    mr_load_synchronously(context, request, load);
}

static void weights_are_interleaved_on_request(void **state)
{
    (void)state;
    enum { DEFAULT_POLICY = 0, INTERLEAVE_POLICY = 3 }; /* linux/mempolicy.h */
    mr_affinity *affinity;
    assert_int_equal(mr_affinity_create(&affinity, NULL), MR_OK);
    bool possible = memory_policy() == DEFAULT_POLICY && mr_affinity_interleave(affinity, true);
    if (possible) assert_int_equal(memory_policy(), INTERLEAVE_POLICY);
    if (possible) assert_true(mr_affinity_interleave(affinity, false));
    mr_affinity_destroy(affinity);
    if (!possible) skip(); /* a container that forbids memory policies */
    assert_int_equal(memory_policy(), DEFAULT_POLICY);
    for (int on = 0; on <= 1; on++) {
        fixture f = fixture_default();
        f.settings.interleave_weights = on;
        fixture_start(&f);
        fake_model *fake = fake_new();
        mr_pool_model *model;
        mr_pool_model_spec spec = { .key = "a/b", .path = fake->path, .vtable = fake_vtable(TEXT), .options = { .threads_per_worker = 1 },
                                    .loader = { look_and_load, NULL }, .max_workers = 1 };
        assert_int_equal(mr_pools_add_model(f.pools, &spec, &model, NULL), MR_OK);
        assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
        assert_int_equal(policy_of_load, on ? INTERLEAVE_POLICY : DEFAULT_POLICY);
        fixture_end(&f);
    }
}

static void scratch_that_fails_ends_the_wait_with_its_cause(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 4);
    fake->create_status = MR_OUT_OF_MEMORY;
    mr_error error = { 0 };
    assert_int_equal(call_once(model, TEXT, &error), MR_OUT_OF_MEMORY);
    assert_non_null(strstr(error.text, "no scratch"));
    fake_await(fake, &fake->closes, 1);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_follow_each_other_as_the_rules_say),
        cmocka_unit_test(a_hundred_first_requests_give_exactly_two_workers),
        cmocka_unit_test(cold_start_takes_what_memory_allows),
        cmocka_unit_test(cold_start_without_memory_fails_at_once),
        cmocka_unit_test(a_failed_load_reaches_every_waiter_with_its_cause),
        cmocka_unit_test(waiting_for_ready_ends_on_time),
        cmocka_unit_test(load_adds_one_worker_at_a_time_up_to_the_cap),
        cmocka_unit_test(the_cap_follows_the_cores),
        cmocka_unit_test(one_maintenance_thread_from_the_first_use_on),
        cmocka_unit_test(never_two_expansions_at_once),
        cmocka_unit_test(memory_refused_lets_the_request_queue),
        cmocka_unit_test(cool_down_takes_one_worker_a_minute),
        cmocka_unit_test(the_least_recently_used_worker_leaves_first),
        cmocka_unit_test(pinned_workers_stay),
        cmocka_unit_test(three_kinds_of_loader_through_one_signature),
        cmocka_unit_test(a_loader_that_never_answers_is_given_up),
        cmocka_unit_test(a_slow_load_delays_no_other_model),
        cmocka_unit_test(pinned_threads_get_cores_of_their_own),
        cmocka_unit_test(weights_are_interleaved_on_request),
        cmocka_unit_test(scratch_that_fails_ends_the_wait_with_its_cause),
    };
    return RUN_TESTS(tests);
}
