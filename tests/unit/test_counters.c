#include "tests/cm.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "core/counters.h"

enum { PAGES = 100, PAGE = 4096 };

static void spin(double seconds)
{
    struct timespec t;
    double start = 0.0, now;
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
        if (start == 0.0) start = now;
    } while (now - start < seconds);
}

static void *work(void *argument)
{
    mr_counters *counters = argument;
    mr_counters_open(counters);
    volatile char *pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; pages != MAP_FAILED && i < PAGES; i++) pages[i * PAGE] = 1;
    spin(0.01);
    return NULL;
}

/* Whatever subset this machine offers counts this thread's work and no other's; the rest is absent. */
static void counts_of_a_thread_that_has_ended(void **state)
{
    (void)state;
    pthread_t thread;
    mr_counters counters;
    uint64_t values[MR_COUNTER_COUNT], again[MR_COUNTER_COUNT];
    static const uint64_t least[MR_COUNTER_COUNT] = {
        [MR_COUNTER_CYCLES] = 100000, [MR_COUNTER_INSTRUCTIONS] = 10000, [MR_COUNTER_PAGE_FAULTS] = PAGES / 64, [MR_COUNTER_CPU_NS] = 9000000,
    };
    pthread_create(&thread, NULL, work, &counters);
    pthread_join(thread, NULL);
    mr_counters_read(&counters, values);
    spin(0.01);
    mr_counters_read(&counters, again);
    for (int i = 0; i < MR_COUNTER_COUNT; i++) {
        if (counters.fds[i] < 0) assert_true(values[i] == MR_COUNTER_ABSENT);
        if (values[i] != MR_COUNTER_ABSENT) assert_true(values[i] >= least[i]);
        assert_int_equal(values[i], again[i]);
    }
    mr_counters_close(&counters);
}

static void refused_by_the_kernel_is_absent(void **state)
{
    (void)state;
    struct rlimit before, none;
    uint64_t values[MR_COUNTER_COUNT];
    mr_counters counters;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0); /* every perf_event_open fails now */
    mr_counters_open(&counters);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    mr_counters_read(&counters, values);
    for (int i = 0; i < MR_COUNTER_COUNT; i++) {
        assert_int_equal(counters.fds[i], -1);
        assert_true(values[i] == MR_COUNTER_ABSENT);
    }
    mr_counters_close(&counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(counts_of_a_thread_that_has_ended), cmocka_unit_test(refused_by_the_kernel_is_absent) };
    return RUN_TESTS(tests);
}
