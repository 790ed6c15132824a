/* Random submissions, timeouts, failures, deaths, evictions, pins and shutdowns on all five pools at once; at the end of each
 * round everything must be accounted for.
 *
 * usage: pool_stress [--minutes N] [--seed S]      prints the seed of each round; exit 1 at the first broken invariant */
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "pool_fixture.h"

#define MODELS 6
#define CALLERS 8
#define ROUND_NS (700 * MR_CLOCK_MILLISECOND)

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "round %llu: broken: %s\n", (unsigned long long)round_seed, #condition); \
            _exit(1);                                                                      \
        }                                                                                  \
    } while (0)

static uint64_t round_seed;

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 27);
}

static uint64_t below(uint64_t *state, uint64_t bound) { return draw(state) % bound; }
static bool chance(uint64_t *state, uint64_t percent) { return below(state, 100) < percent; }

typedef struct arena {
    mr_governor *governor;
    mr_pools *pools;
    fake_model *fakes[MODELS];
    mr_pool_model *models[MODELS];
    mr_capability capabilities[MODELS];
    atomic_bool stop;
    atomic_size_t submitted, answered, released, with_release;
} arena;

/* ---------------------------------------------------------------- requests that may outlive their call */

typedef struct loose {
    fake_request request;
    arena *arena;
    bool wants_release;
    atomic_int answers;
} loose;

static void loose_done(void *context, mr_status status, const mr_error *error)
{
    loose *self = context;
    arena *all = self->arena;
    CHECK(atomic_fetch_add(&self->answers, 1) == 0);
    CHECK(status == MR_OK ? error == NULL : error != NULL && error->status == status);
    bool wants_release = self->wants_release;
    if (!wants_release) {
        fake_request_fini(&self->request);
        free(self);
    }
    atomic_fetch_add(&all->answered, 1);
}

static void loose_released(void *context)
{
    loose *self = context;
    arena *all = self->arena;
    CHECK(atomic_load(&self->answers) == 1);
    fake_request_fini(&self->request);
    free(self);
    atomic_fetch_add(&all->released, 1);
}

static void submit_loose(arena *all, size_t at, uint64_t *random)
{
    loose *self = calloc(1, sizeof *self);
    fake_request_init(&self->request, all->capabilities[at], 1, 1 + below(random, 4));
    self->arena = all;
    self->wants_release = chance(random, 50);
    bool wants_release = self->wants_release;
    mr_call call = fake_call(&self->request);
    call.done = loose_done;
    call.released = wants_release ? loose_released : NULL;
    call.context = self;
    call.lane = (mr_lane)below(random, 3);
    call.idempotent = chance(random, 50);
    call.timeout_ns = chance(random, 60) ? MR_CLOCK_FOREVER : (int64_t)(1 + below(random, 20)) * MR_CLOCK_MILLISECOND;
    mr_error error = { 0 };
    mr_status status = chance(random, 30) ? mr_pool_try_submit(all->models[at], &call, &error) : mr_pool_submit(all->models[at], &call, &error);
    if (status == MR_OK) {
        atomic_fetch_add(&all->submitted, 1);
        if (wants_release) atomic_fetch_add(&all->with_release, 1);
        return;
    }
    CHECK(error.status == status && error.text[0] != '\0');
    fake_request_fini(&self->request);
    free(self);
}

/* ---------------------------------------------------------------- the threads of a round */

typedef struct caller {
    arena *arena;
    uint64_t random;
} caller;

static void pin_for_a_moment(mr_pool_model *model, uint64_t *random)
{
    size_t workers = 1 + below(random, 3);
    if (mr_pool_pin(model, workers, NULL) != MR_OK) return;
    nanosleep(&(struct timespec){ 0, (long)below(random, 3000000) }, NULL);
    mr_pool_unpin(model, workers);
}

static void *caller_main(void *argument)
{
    caller *self = argument;
    arena *all = self->arena;
    while (!atomic_load(&all->stop)) {
        size_t at = below(&self->random, MODELS);
        uint64_t what = below(&self->random, 100);
        if (what < 50) {
            submit_loose(all, at, &self->random);
        } else if (what < 90) {
            mr_error error = { 0 };
            mr_status status = call_once(all->models[at], all->capabilities[at], &error);
            CHECK(status == MR_OK || error.status == status);
        } else if (what < 95) {
            pin_for_a_moment(all->models[at], &self->random);
        } else {
            nanosleep(&(struct timespec){ 0, (long)below(&self->random, 5000000) }, NULL);
        }
        CHECK(mr_governor_used(all->governor) <= mr_governor_limit(all->governor));
    }
    return NULL;
}

/* Makes models fail, die, load badly and slowly, and be well again. */
static void *chaos_main(void *argument)
{
    static const mr_status kinds[] = { MR_OUT_OF_MEMORY, MR_WORKER_DIED, MR_INTERNAL, MR_BAD_INPUT, MR_NON_FINITE };
    caller *self = argument;
    while (!atomic_load(&self->arena->stop)) {
        fake_model *fake = self->arena->fakes[below(&self->random, MODELS)];
        pthread_mutex_lock(&fake->lock);
        fake->run_status = kinds[below(&self->random, 5)];
        fake->run_failures = below(&self->random, 4);
        fake->run_ns = (int64_t)below(&self->random, 2000000);
        fake->load_status = chance(&self->random, 15) ? MR_MODEL_CORRUPT : MR_OK;
        fake->create_status = chance(&self->random, 5) ? MR_OUT_OF_MEMORY : MR_OK;
        fake->non_finite = chance(&self->random, 5);
        fake->load_closed = chance(&self->random, 5);
        pthread_cond_broadcast(&fake->changed);
        pthread_mutex_unlock(&fake->lock);
        nanosleep(&(struct timespec){ 0, 3000000 }, NULL);
        fake_gate(fake, &fake->load_closed, false);
    }
    return NULL;
}

/* ---------------------------------------------------------------- one round */

static mr_pool_settings hurried(uint64_t *random)
{
    mr_pool_settings settings = mr_pool_settings_default();
    settings.worker_ready_timeout = 50 * MR_CLOCK_MILLISECOND;
    settings.load_timeout = 200 * MR_CLOCK_MILLISECOND;
    settings.request_timeout = 100 * MR_CLOCK_MILLISECOND;
    settings.idle_before_evict = (int64_t)below(random, 30) * MR_CLOCK_MILLISECOND;
    settings.maintenance_interval = 10 * MR_CLOCK_MILLISECOND;
    settings.pressure_interval = 10 * MR_CLOCK_MILLISECOND;
    settings.ping_interval = 20 * MR_CLOCK_MILLISECOND;
    settings.ping_timeout = 2 * SECOND; /* nobody is silent that long: a worker given up would be a false alarm */
    settings.evict_timeout = 100 * MR_CLOCK_MILLISECOND;
    settings.stop_timeout = 30 * SECOND; /* a busy machine is no stuck worker */
    settings.breaker_open = 20 * MR_CLOCK_MILLISECOND;
    settings.queue_capacity = 1 + below(random, 8);
    settings.pin_threads = chance(random, 30);
    return settings;
}

static mr_model_metrics total; /* of all rounds: shows what the stress really met */

static void add_up(const mr_model_metrics *metrics)
{
#define ADD(name, help) total.name += metrics->name;
    MR_COUNTER_LIST(ADD)
#undef ADD
}

static void check_end(arena *all)
{
    CHECK(atomic_load(&all->answered) == atomic_load(&all->submitted));
    CHECK(atomic_load(&all->released) == atomic_load(&all->with_release));
    for (size_t i = 0; i < MODELS; i++) {
        mr_model_metrics metrics = metrics_of(all->models[i]);
        uint64_t finished = 0;
        for (int status = 0; status < MR_STATUS_COUNT; status++) finished += metrics.finished[status];
        add_up(&metrics);
        CHECK(finished == metrics.requests);
        CHECK(metrics.pending == 0 && metrics.queued == 0);
        CHECK(workers_of(all->models[i]) == 0);
    }
}

static void run_round(uint64_t seed)
{
    uint64_t random = round_seed = seed;
    arena all = { .stop = false };
    mr_pool_settings settings = hurried(&random);
    bool no_time = chance(&random, 25); /* to drain: what is queued is dropped under its callers' hands */
    if (no_time) settings.shutdown_timeout = 0;
    char limit[32];
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)(2500 + below(&random, 6000))); /* two models, or nearly all */
    mr_governor_settings memory = { .limit = limit, .reserve = "0" };
    CHECK(mr_governor_create(&memory, &all.governor, NULL) == MR_OK);
    CHECK(mr_pools_create(&settings, all.governor, NULL, &all.pools, NULL) == MR_OK);
    for (size_t i = 0; i < MODELS; i++) {
        all.fakes[i] = fake_new();
        all.capabilities[i] = (mr_capability)(i % MR_CAPABILITY_COUNT);
        mr_pool_model_spec spec = { .key = "stress", .path = all.fakes[i]->path, .vtable = fake_vtable(all.capabilities[i]),
                                    .options = { .threads_per_worker = 1 }, .max_workers = 1 + below(&random, 4) };
        CHECK(mr_pools_add_model(all.pools, &spec, &all.models[i], NULL) == MR_OK);
    }
    caller callers[CALLERS + 1];
    pthread_t threads[CALLERS + 1];
    for (size_t i = 0; i <= CALLERS; i++) {
        callers[i] = (caller){ &all, draw(&random) };
        pthread_create(&threads[i], NULL, i < CALLERS ? caller_main : chaos_main, &callers[i]);
    }
    int64_t length = (int64_t)below(&random, ROUND_NS);
    nanosleep(&(struct timespec){ 0, (long)length }, NULL);
    mr_shutdown_report report;
    if (no_time) (void)mr_pools_shutdown(all.pools, &report);
    else if (chance(&random, 50)) mr_pools_begin_shutdown(all.pools); /* in the middle of it all, or after the last call */
    atomic_store(&all.stop, true);
    for (size_t i = 0; i <= CALLERS; i++) pthread_join(threads[i], NULL);
    mr_status status = mr_pools_shutdown(all.pools, &report);
    CHECK(report.stuck == 0 && (status == MR_OK) == (report.dropped == 0) && (report.dropped == 0 || no_time));
    check_end(&all);
    mr_pools_destroy(all.pools);
    CHECK(mr_governor_used(all.governor) == 0);
    for (size_t i = 0; i < MODELS; i++) {
        CHECK(all.fakes[i]->opens == all.fakes[i]->closes);
        CHECK(all.fakes[i]->creates == all.fakes[i]->destroys);
    }
    mr_governor_destroy(all.governor);
    fake_reset();
}

int main(int argc, char **argv)
{
    double minutes = 0.1; /* what fits a test run */
    uint64_t seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--minutes") == 0) minutes = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--seed") == 0) seed = strtoull(argv[i + 1], NULL, 10);
        else return 64;
    }
    int64_t until = mr_clock_now(mr_clock_monotonic()) + (int64_t)(minutes * 60 * (double)SECOND);
    size_t rounds = 0;
    for (; mr_clock_now(mr_clock_monotonic()) < until; rounds++) {
        alarm(60); /* a round takes a second or two: one that hangs ends here */
        run_round(seed + rounds);
    }
#define PRINT(name, help) printf("%s %llu\n", #name, (unsigned long long)total.name);
    MR_COUNTER_LIST(PRINT)
#undef PRINT
    printf("%zu rounds from seed %llu: every request answered once, every byte given back\n", rounds, (unsigned long long)seed);
    return 0;
}
