/* docs/pool-rules.md, section 4: the memory governor. */
#include <inttypes.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "pool_fixture.h"
#include "registry/pool/pool_model.h"

#define TEXT MR_CAPABILITY_TEXT_EMBEDDING
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* ---------------------------------------------------------------- a tree of its own in place of /proc and /sys */

static char tree[512];

static void tree_start(const char *name)
{
    static int serial;
    snprintf(tree, sizeof tree, "%s/governor-%ld-%d-%s", MR_TEST_TMP, (long)getpid(), serial++, name);
}

static void tree_put(const char *path, const char *text)
{
    char full[1024], directory[1024];
    snprintf(full, sizeof full, "%s%s", tree, path);
    snprintf(directory, sizeof directory, "%s", full);
    *strrchr(directory, '/') = '\0';
    assert_int_equal(mr_path_make_directories(directory, NULL), MR_OK);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void tree_machine(const char *meminfo_kib)
{
    char text[128];
    snprintf(text, sizeof text, "MemTotal:       %s kB\nMemFree: 12 kB\n", meminfo_kib);
    tree_put("/proc/meminfo", text);
    tree_put("/proc/self/limits", "Limit                     Soft Limit           Hard Limit           Units     \n"
                                  "Max address space         unlimited            unlimited            bytes     \n");
    tree_put("/proc/self/statm", "1000 100 50 1 0 100 0\n");
}

#define V2_MOUNT "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n"

static mr_memory_limits read_limits(void)
{
    mr_memory_limits limits;
    mr_error error = { 0 };
    assert_int_equal(mr_memory_limits_read(tree, &limits, &error), MR_OK);
    return limits;
}

static void ram_alone(void **state)
{
    (void)state;
    tree_start("ram");
    tree_machine("8388608");
    mr_memory_limits limits = read_limits();
    assert_int_equal(limits.ram, 8 * GIB);
    assert_int_equal(limits.effective, 8 * GIB);
    assert_string_equal(limits.source, "RAM");
    assert_true(limits.cgroup_v2 == UINT64_MAX && limits.cgroup_v1 == UINT64_MAX && limits.address_space == UINT64_MAX);
}

static void cgroup_v2_takes_the_least_of_all_parents(void **state)
{
    (void)state;
    tree_start("v2");
    tree_machine("8388608");
    tree_put("/proc/self/mountinfo", V2_MOUNT);
    tree_put("/proc/self/cgroup", "0::/a/b/c\n");
    tree_put("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
    tree_put("/sys/fs/cgroup/a/b/memory.max", "3221225472\n");
    tree_put("/sys/fs/cgroup/a/memory.max", "max\n");
    assert_int_equal(read_limits().effective, 3 * GIB);
    assert_string_equal(read_limits().source, "cgroup v2");
    tree_put("/sys/fs/cgroup/a/memory.max", "1073741824\n"); /* a grandparent is tighter */
    assert_int_equal(read_limits().effective, GIB);
    tree_put("/sys/fs/cgroup/a/b/c/memory.high", "536870912\n"); /* high below max */
    assert_int_equal(read_limits().effective, GIB / 2);
    tree_put("/sys/fs/cgroup/a/b/c/memory.high", "max\n");
    tree_put("/sys/fs/cgroup/a/b/c/memory.max", "268435456\n"); /* its own */
    assert_int_equal(read_limits().effective, GIB / 4);
}

static void a_container_sees_its_group_as_the_mount_point(void **state)
{
    (void)state;
    tree_start("container");
    tree_machine("8388608");
    /* The mount shows only the subtree /kube/pod7; the path in /proc is the host's. */
    tree_put("/proc/self/mountinfo", "31 23 0:28 /kube/pod7 /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    tree_put("/proc/self/cgroup", "0::/kube/pod7/main\n");
    tree_put("/sys/fs/cgroup/memory.max", "2147483648\n");
    assert_int_equal(read_limits().effective, 2 * GIB); /* /main is not visible: the mount point is what there is */
    tree_put("/sys/fs/cgroup/main/memory.max", "1073741824\n");
    assert_int_equal(read_limits().effective, GIB);
}

static void cgroup_v1_likewise(void **state)
{
    (void)state;
    tree_start("v1");
    tree_machine("8388608");
    tree_put("/proc/self/mountinfo", "40 31 0:36 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                                     "41 31 0:37 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n");
    tree_put("/proc/self/cgroup", "5:devices:/x\n4:memory:/x/y\n1:name=systemd:/\n");
    tree_put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); /* v1 for none */
    tree_put("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1610612736\n");
    tree_put("/sys/fs/cgroup/memory/x/y/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(read_limits().effective, 1536 * MIB);
    assert_string_equal(read_limits().source, "cgroup v1");
    assert_true(read_limits().cgroup_v2 == UINT64_MAX);
}

static void rlimit_as_counts(void **state)
{
    (void)state;
    tree_start("as");
    tree_machine("8388608");
    tree_put("/proc/self/limits", "Max address space         1073741824           unlimited            bytes     \n");
    tree_put("/proc/self/statm", "100 100 1 1 0 1 0\n");
    assert_int_equal(read_limits().effective, GIB);
    assert_string_equal(read_limits().source, "ulimit -v");
    char pages[64]; /* 300 MiB are mapped, 44 of them resident: the other 256 are lost to whatever wants memory */
    long page = sysconf(_SC_PAGESIZE);
    snprintf(pages, sizeof pages, "%ld %ld 1 1 0 1 0\n", (300L << 20) / page, (44L << 20) / page);
    tree_put("/proc/self/statm", pages);
    assert_int_equal(read_limits().effective, GIB - GIB / 4);
}

static void nonsense_in_the_files_is_no_limit(void **state)
{
    (void)state;
    tree_start("nonsense");
    tree_machine("8388608");
    tree_put("/proc/self/mountinfo", "garbage\n31 23 0:28 / /sys/fs/cgroup rw\n" V2_MOUNT);
    tree_put("/proc/self/cgroup", "nothing here\n::\n0::/../../etc\n");
    tree_put("/sys/fs/cgroup/memory.max", "-5\n");
    assert_int_equal(read_limits().effective, 8 * GIB);
    tree_put("/proc/meminfo", "MemFree: 12 kB\n");
    mr_memory_limits limits;
    mr_error error = { 0 };
    assert_int_equal(mr_memory_limits_read(tree, &limits, &error), MR_IO);
    assert_non_null(strstr(error.text, "MemTotal"));
}

static size_t limit_of(const char *limit, const char *reserve)
{
    mr_governor *governor;
    mr_governor_settings settings = { .limit = limit, .reserve = reserve, .root = tree };
    mr_error error = { 0 };
    assert_int_equal(mr_governor_create(&settings, &governor, &error), MR_OK);
    size_t bytes = mr_governor_limit(governor);
    mr_governor_destroy(governor);
    return bytes;
}

static void the_limit_is_a_share_or_bytes_less_a_reserve(void **state)
{
    (void)state;
    tree_start("limit");
    tree_machine("1048576"); /* 1 GiB */
    assert_in_range(limit_of(NULL, "0"), GIB * 80 / 100 - 100, GIB * 80 / 100);
    assert_in_range(limit_of(NULL, NULL), GIB * 80 / 100 * 95 / 100 - 200, GIB * 80 / 100 * 95 / 100 + 200); /* 5 % is below 256 MiB */
    assert_int_equal(limit_of("50%", "0"), GIB / 2);
    assert_int_equal(limit_of("300M", "20M"), 280 * MIB);
    assert_int_equal(limit_of("64G", "0"), GIB); /* more than there is */
    tree_machine("67108864"); /* 64 GiB: 5 % would be more than 256 MiB */
    assert_int_equal(limit_of("32G", NULL), 32 * GIB - 256 * MIB);
    static const char *const bad[] = { "101%", "-3%", "lots", "" };
    for (size_t i = 0; i < 4; i++) {
        mr_governor *governor;
        mr_governor_settings settings = { .limit = bad[i], .root = tree };
        assert_int_equal(mr_governor_create(&settings, &governor, NULL), MR_CONFIG);
    }
    mr_governor *governor;
    mr_governor_settings settings = { .limit = "100M", .reserve = "200M", .root = tree };
    assert_int_equal(mr_governor_create(&settings, &governor, NULL), MR_CONFIG);
}

/* ---------------------------------------------------------------- the account */

#define STRESS_THREADS 8
#define STRESS_LIMIT 1000

typedef struct stress {
    mr_governor *governor;
    size_t rounds;
    uint64_t seed;
    atomic_size_t *held; /* the sum of live guards, counted by the test: raised after acquire, lowered before release */
    atomic_bool *broken;
    size_t granted, refused;
} stress;

/* Holds several guards at a time, so that the limit is reached and refusals happen. */
#define HELD_AT_ONCE 4

typedef struct held_pair {
    mr_guard guard, half;
    size_t bytes;
} held_pair;

static void let_go(stress *self, held_pair *pair)
{
    atomic_fetch_sub(self->held, pair->bytes);
    mr_guard_release(&pair->half);
    mr_guard_release(&pair->guard);
    mr_guard_release(&pair->guard); /* a second time: nothing */
    pair->bytes = 0;
}

static void *stress_main(void *argument)
{
    stress *self = argument;
    held_pair pairs[HELD_AT_ONCE] = { { .bytes = 0 } };
    for (size_t i = 0; i < self->rounds; i++) {
        held_pair *pair = &pairs[i % HELD_AT_ONCE];
        let_go(self, pair);
        self->seed = self->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t bytes = (size_t)(self->seed >> 40) % 400; /* one thread alone can ask for more than there is */
        if (mr_governor_acquire(self->governor, bytes, MR_MEM_SCRATCH, &pair->guard, NULL, NULL) != MR_OK) {
            self->refused++;
            continue;
        }
        self->granted++;
        pair->bytes = bytes;
        if (atomic_fetch_add(self->held, bytes) + bytes > STRESS_LIMIT || mr_governor_used(self->governor) > STRESS_LIMIT) atomic_store(self->broken, true);
        if (i % 3 == 0) mr_guard_split(&pair->guard, bytes / 2, MR_MEM_WEIGHTS, &pair->half);
    }
    for (size_t i = 0; i < HELD_AT_ONCE; i++) let_go(self, &pairs[i]);
    return NULL;
}

static void guards_never_exceed_the_limit_at_any_interleaving(void **state)
{
    (void)state;
    tree_start("stress");
    tree_machine("1048576");
    /* 10^7 with the environment's wish (a minute under ThreadSanitizer), else what stays in seconds. */
    size_t total = getenv("MR_STRESS_FULL") ? 10000000 : 800000;
    mr_governor *governor;
    mr_governor_settings settings = { .limit = "1000", .reserve = "0", .root = tree };
    assert_int_equal(mr_governor_create(&settings, &governor, NULL), MR_OK);
    atomic_size_t held = 0;
    atomic_bool broken = false;
    stress all[STRESS_THREADS];
    pthread_t threads[STRESS_THREADS];
    for (size_t i = 0; i < STRESS_THREADS; i++) {
        all[i] = (stress){ .governor = governor, .rounds = total / STRESS_THREADS, .seed = i + 1, .held = &held, .broken = &broken };
        pthread_create(&threads[i], NULL, stress_main, &all[i]);
    }
    size_t granted = 0, refused = 0;
    for (size_t i = 0; i < STRESS_THREADS; i++) {
        pthread_join(threads[i], NULL);
        granted += all[i].granted;
        refused += all[i].refused;
    }
    print_message("%zu acquired, %zu refused\n", granted, refused);
    assert_false(atomic_load(&broken));
    assert_int_equal(granted + refused, total);
    assert_true(refused > 0);
    assert_int_equal(mr_governor_used(governor), 0);
    assert_int_equal(mr_governor_used_by(governor, MR_MEM_SCRATCH), 0);
    assert_int_equal(mr_governor_used_by(governor, MR_MEM_WEIGHTS), 0);
    mr_governor_destroy(governor);
}

static void a_guard_is_corrected_to_what_was_measured(void **state)
{
    (void)state;
    tree_start("correct");
    tree_machine("1048576");
    mr_governor *governor;
    mr_governor_settings settings = { .limit = "1000", .reserve = "0", .root = tree };
    assert_int_equal(mr_governor_create(&settings, &governor, NULL), MR_OK);
    mr_guard a = { 0 }, b = { 0 };
    assert_int_equal(mr_governor_acquire(governor, 400, MR_MEM_WEIGHTS, &a, NULL, NULL), MR_OK);
    assert_int_equal(mr_governor_acquire(governor, 400, MR_MEM_SCRATCH, &b, NULL, NULL), MR_OK);
    assert_int_equal(mr_guard_correct(&a, 300), 0);
    assert_int_equal(mr_governor_used(governor), 700);
    assert_int_equal(mr_guard_correct(&b, 550), 0);
    assert_int_equal(mr_governor_used_by(governor, MR_MEM_SCRATCH), 550);
    assert_int_equal(mr_guard_correct(&a, 500), 50); /* 450 is all there is */
    assert_int_equal(mr_governor_used(governor), 1000);
    mr_error error = { 0 };
    mr_guard c = { 0 };
    assert_int_equal(mr_governor_acquire(governor, 1, MR_MEM_OTHER, &c, NULL, &error), MR_MEMORY_EXHAUSTED);
    mr_guard_release(&a);
    mr_guard_release(&b);
    assert_int_equal(mr_governor_used(governor), 0);
    mr_governor_destroy(governor);
}

/* ---------------------------------------------------------------- with pools */

static void workers_cost_weights_once_and_scratch_each(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 8);
    for (size_t n = 1; n <= 8; n++) {
        assert_int_equal(mr_pool_pin(model, 1, NULL), MR_OK);
        await_workers(model, MR_WORKER_IDLE, n);
        assert_int_equal(mr_governor_used(f.governor), 1000 + n * 100);
        assert_int_equal(mr_governor_used_by(f.governor, MR_MEM_WEIGHTS), 1000);
        assert_int_equal(mr_governor_used_by(f.governor, MR_MEM_SCRATCH), n * 100);
    }
    assert_int_equal(fake_read(fake, &fake->opens), 1);
    mr_pool_unpin(model, 8);
    fixture_end(&f);
}

/* Did the memory there ask for huge pages? -1: the kernel does not say. */
static int asked_for_huge_pages(const void *block)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[512];
    uintptr_t first = 0, end = 0, at = (uintptr_t)block;
    int asked = -1;
    while (file && fgets(line, sizeof line, file)) {
        uintptr_t low, high;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &low, &high) == 2) {
            first = low;
            end = high;
        } else if (first <= at && at < end && strncmp(line, "VmFlags:", 8) == 0) {
            asked = strstr(line, " hg") != NULL;
        }
    }
    if (file) fclose(file);
    return asked;
}

static void large_weights_ask_for_huge_pages(void **state)
{
    (void)state;
    static const struct { size_t mib; mr_mem_tag tag; int asks; } blocks[] = { { 100, MR_MEM_WEIGHTS, 1 }, { 100, MR_MEM_SCRATCH, 1 }, { 50, MR_MEM_SCRATCH, 0 } };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        char *block = mr_mem_alloc(blocks[i].mib * MIB, blocks[i].tag);
        assert_non_null(block);
        int asked = asked_for_huge_pages(block + blocks[i].mib * MIB / 2);
        mr_mem_free(block);
        if (asked < 0) skip();
        assert_int_equal(asked, blocks[i].asks);
    }
}

static void idle_workers_of_other_capabilities_make_room(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.limit = "3500"; /* three models with one worker each, and not a fourth */
    f.settings.cold_start_workers = 1;
    fixture_start(&f);
    static const mr_capability capabilities[4] = { MR_CAPABILITY_TEXT_TO_TEXT, TEXT, MR_CAPABILITY_VISION, MR_CAPABILITY_TEXT_TO_IMAGE };
    mr_pool_model *models[4];
    fake_model *fakes[4];
    for (size_t i = 0; i < 4; i++) {
        fakes[i] = fake_new();
        models[i] = fixture_add(&f, fakes[i], capabilities[i], mr_capability_text(capabilities[i]), 1);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(call_once(models[i], capabilities[i], NULL), MR_OK);
        await_workers(models[i], MR_WORKER_IDLE, 1);
        fixture_advance(&f, SECOND, 0);
    }
    assert_int_equal(call_once(models[0], capabilities[0], NULL), MR_OK); /* now the second is the least recently used */
    await_workers(models[0], MR_WORKER_IDLE, 1);
    assert_int_equal(call_once(models[3], capabilities[3], NULL), MR_OK);
    assert_int_equal(workers_of(models[0]), 1);
    assert_int_equal(workers_of(models[1]), 0);
    assert_int_equal(workers_of(models[2]), 1);
    assert_int_equal(fake_read(fakes[1], &fakes[1]->closes), 1);
    assert_true(log_has("evicted: memory needed by another model"));
    fixture_end(&f);
}

static void neither_pinned_nor_busy_workers_make_room(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.limit = "2300";
    f.settings.cold_start_workers = 1;
    fixture_start(&f);
    fake_model *pinned_fake = fake_new(), *busy_fake = fake_new(), *third_fake = fake_new();
    mr_pool_model *pinned = fixture_add(&f, pinned_fake, TEXT, "pinned", 1);
    mr_pool_model *busy = fixture_add(&f, busy_fake, MR_CAPABILITY_VISION, "busy", 1);
    mr_pool_model *third = fixture_add(&f, third_fake, MR_CAPABILITY_TEXT_TO_TEXT, "third", 1);
    assert_int_equal(mr_pool_pin(pinned, 1, NULL), MR_OK);
    await_workers(pinned, MR_WORKER_IDLE, 1);
    fake_gate(busy_fake, &busy_fake->run_closed, true);
    fake_request request;
    fake_request_init(&request, MR_CAPABILITY_VISION, 1, 1);
    submit(busy, &request);
    fake_await(busy_fake, &busy_fake->runs, 1);
    mr_error error = { 0 };
    assert_int_equal(call_once(third, MR_CAPABILITY_TEXT_TO_TEXT, &error), MR_MEMORY_EXHAUSTED);
    fake_gate(busy_fake, &busy_fake->run_closed, false);
    assert_int_equal(fake_request_await(&request), MR_OK);
    fake_request_fini(&request);
    await_workers(busy, MR_WORKER_IDLE, 1);
    assert_int_equal(call_once(third, MR_CAPABILITY_TEXT_TO_TEXT, NULL), MR_OK);
    assert_int_equal(workers_of(pinned), 1);
    mr_pool_unpin(pinned, 1);
    fixture_end(&f);
}

static void the_account_follows_the_measurement(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    fake->measured = (mr_memory_estimate){ .shared_bytes = 1050, .worker_bytes = 150 }; /* 5 % and 50 % more */
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 4);
    assert_int_equal(mr_pool_pin(model, 2, NULL), MR_OK);
    await_workers(model, MR_WORKER_IDLE, 2);
    assert_int_equal(mr_governor_used(f.governor), 1000 + 2 * 150); /* 5 % is within the tolerance */
    assert_true(log_has("worker bytes take 150 B, estimated 100 B"));
    pthread_mutex_lock(&model->lock);
    assert_int_equal(model->estimate.worker_bytes, 150); /* the next worker is asked for with what is true */
    pthread_mutex_unlock(&model->lock);
    fake->measured.worker_bytes = 40;
    for (int i = 0; i < 64; i++) assert_int_equal(call_once(model, TEXT, NULL), MR_OK); /* past the eighth batch of both */
    await_workers(model, MR_WORKER_IDLE, 2);
    assert_int_equal(mr_governor_used(f.governor), 1000 + 2 * 40);
    mr_pool_unpin(model, 2);
    fixture_end(&f);
}

/* ---------------------------------------------------------------- pressure */

static void set_resident(uint64_t bytes)
{
    char text[64];
    snprintf(text, sizeof text, "999999 %" PRIu64 " 50 1 0 100 0\n", bytes / (uint64_t)sysconf(_SC_PAGESIZE));
    tree_put("/proc/self/statm", text);
}

static void pressure_has_four_levels(void **state)
{
    (void)state;
    tree_start("levels");
    tree_machine("1048576");
    mr_governor *governor;
    mr_governor_settings settings = { .root = tree };
    assert_int_equal(mr_governor_create(&settings, &governor, NULL), MR_OK);
    static const struct { uint64_t percent; mr_pressure level; } steps[] = {
        { 49, MR_PRESSURE_LOW }, { 51, MR_PRESSURE_NORMAL }, { 69, MR_PRESSURE_NORMAL }, { 71, MR_PRESSURE_HIGH },
        { 84, MR_PRESSURE_HIGH }, { 86, MR_PRESSURE_CRITICAL }, { 120, MR_PRESSURE_CRITICAL }, { 10, MR_PRESSURE_LOW }
    };
    log_start();
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        set_resident(GIB / 100 * steps[i].percent);
        assert_int_equal(mr_governor_sample_pressure(governor), steps[i].level);
    }
    assert_true(log_has("memory pressure high -> critical"));
    /* The cgroup's working set counts likewise, its idle file cache does not. */
    tree_put("/proc/self/mountinfo", V2_MOUNT);
    tree_put("/proc/self/cgroup", "0::/a\n");
    tree_put("/sys/fs/cgroup/a/memory.max", "1000000\n");
    tree_put("/sys/fs/cgroup/a/memory.current", "900000\n");
    assert_int_equal(mr_governor_sample_pressure(governor), MR_PRESSURE_CRITICAL);
    tree_put("/sys/fs/cgroup/a/memory.stat", "anon 100000\ninactive_file 600000\n");
    assert_int_equal(mr_governor_sample_pressure(governor), MR_PRESSURE_LOW);
    /* Tasks that wait for memory are pressure too. */
    tree_put("/proc/pressure/memory", "some avg10=12.50 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
    assert_int_equal(mr_governor_sample_pressure(governor), MR_PRESSURE_HIGH);
    assert_int_equal(mr_governor_batch_budget(governor, 1000), 1000);
    set_resident(GIB);
    assert_int_equal(mr_governor_sample_pressure(governor), MR_PRESSURE_CRITICAL);
    assert_int_equal(mr_governor_batch_budget(governor, 1000), 500);
    assert_int_equal(mr_governor_batch_budget(governor, 1), 1);
    mr_governor_destroy(governor);
}

static void high_pressure_stops_expansion(void **state)
{
    (void)state;
    tree_start("high");
    tree_machine("1048576");
    fixture f = fixture_default();
    f.root = tree;
    f.limit = "80%";
    f.settings.pressure_interval = 5 * SECOND;
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 4);
    set_resident(GIB / 100 * 75);
    fixture_advance(&f, 5 * SECOND, 0); /* sampled by the maintenance thread */
    assert_int_equal(mr_governor_pressure(f.governor), MR_PRESSURE_HIGH);
    fake_gate(fake, &fake->run_closed, true);
    fake_request requests[8];
    for (size_t i = 0; i < 6; i++) {
        fake_request_init(&requests[i], TEXT, 1, 1);
        submit(model, &requests[i]);
    }
    fake_await(fake, &fake->runs, 2);
    assert_int_equal(metrics_of(model).workers_spawned, 2); /* a cold start, nothing more */
    set_resident(GIB / 100 * 40);
    fixture_advance(&f, 5 * SECOND, 0);
    fake_request_init(&requests[6], TEXT, 1, 1);
    submit(model, &requests[6]);
    assert_int_equal(metrics_of(model).workers_spawned, 3);
    fake_gate(fake, &fake->run_closed, false);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(fake_request_await(&requests[i]), MR_OK);
        fake_request_fini(&requests[i]);
    }
    fixture_end(&f);
}

static void critical_pressure_evicts_until_below_high(void **state)
{
    (void)state;
    tree_start("critical");
    tree_machine("1048576");
    fixture f = fixture_default();
    f.root = tree;
    f.limit = "80%";
    f.settings.pressure_interval = 5 * SECOND;
    f.settings.idle_before_evict = MR_CLOCK_FOREVER;
    fixture_start(&f);
    fake_model *old_fake = fake_new(), *new_fake = fake_new();
    mr_pool_model *old = fixture_add(&f, old_fake, TEXT, "old", 2), *recent = fixture_add(&f, new_fake, MR_CAPABILITY_VISION, "recent", 2);
    assert_int_equal(call_once(old, TEXT, NULL), MR_OK);
    await_workers(old, MR_WORKER_IDLE, 2);
    fixture_advance(&f, SECOND, 0);
    assert_int_equal(call_once(recent, MR_CAPABILITY_VISION, NULL), MR_OK);
    await_workers(recent, MR_WORKER_IDLE, 2);
    set_resident(GIB / 100 * 90);
    fixture_advance(&f, 4 * SECOND, 0);
    await_workers(old, MR_WORKER_IDLE, 1); /* least recently used first */
    set_resident(GIB / 100 * 80); /* below Critical, not yet below High */
    fixture_advance(&f, SECOND / 10, 0);
    await_workers(old, MR_WORKER_IDLE, 0);
    set_resident(GIB / 100 * 60);
    fixture_advance(&f, SECOND / 10, 0);
    fixture_advance(&f, 10 * SECOND, 0);
    assert_int_equal(workers_of(recent), 2); /* enough */
    assert_true(log_has("evicted: memory pressure"));
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ram_alone),
        cmocka_unit_test(cgroup_v2_takes_the_least_of_all_parents),
        cmocka_unit_test(a_container_sees_its_group_as_the_mount_point),
        cmocka_unit_test(cgroup_v1_likewise),
        cmocka_unit_test(rlimit_as_counts),
        cmocka_unit_test(nonsense_in_the_files_is_no_limit),
        cmocka_unit_test(the_limit_is_a_share_or_bytes_less_a_reserve),
        cmocka_unit_test(guards_never_exceed_the_limit_at_any_interleaving),
        cmocka_unit_test(a_guard_is_corrected_to_what_was_measured),
        cmocka_unit_test(workers_cost_weights_once_and_scratch_each),
        cmocka_unit_test(large_weights_ask_for_huge_pages),
        cmocka_unit_test(idle_workers_of_other_capabilities_make_room),
        cmocka_unit_test(neither_pinned_nor_busy_workers_make_room),
        cmocka_unit_test(the_account_follows_the_measurement),
        cmocka_unit_test(pressure_has_four_levels),
        cmocka_unit_test(high_pressure_stops_expansion),
        cmocka_unit_test(critical_pressure_evicts_until_below_high),
    };
    return RUN_TESTS(tests);
}
