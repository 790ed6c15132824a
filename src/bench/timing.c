#include "bench/timing.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUN_SECONDS 0.005 /* long beside the clock, short beside a time slice of the scheduler */
#define LEAST_RUNS 3

void mr_bench_series_add(mr_bench_series *series, double value)
{
    if (series->count == 0 || value < series->least) series->least = value;
    if (series->count == 0 || value > series->most) series->most = value;
    series->recent[series->count++ % MR_BENCH_RECENT] = value;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double mr_bench_series_median(const mr_bench_series *series)
{
    double sorted[MR_BENCH_RECENT];
    size_t count = series->count < MR_BENCH_RECENT ? series->count : MR_BENCH_RECENT;
    if (count == 0) return 0.0;
    memcpy(sorted, series->recent, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
}

double mr_bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void mr_bench_time_calls(mr_bench_call *call, void *context, double seconds, mr_bench_call *between, void *between_context, mr_bench_series *out)
{
    size_t calls = 1, runs = 0;
    const double hurried = seconds / (2.0 * LEAST_RUNS), run = hurried < RUN_SECONDS ? hurried : RUN_SECONDS;
    const double begin = mr_bench_now();
    call(context); /* first touches */
    while (runs < LEAST_RUNS || mr_bench_now() - begin < seconds) {
        double start = mr_bench_now();
        for (size_t i = 0; i < calls; i++) call(context);
        double elapsed = mr_bench_now() - start;
        if (elapsed < run / 2.0 && runs == 0) { /* still looking for the number of calls */
            calls *= elapsed < run / 16.0 ? 8 : 2;
            continue;
        }
        if (between) between(between_context);
        mr_bench_series_add(out, elapsed / (double)calls);
        runs++;
    }
}

typedef struct team {
    pthread_mutex_t gate; /* held until all have started: they begin together, or not at all */
    bool cancelled;
    mr_bench_work *work;
    void *context;
    double seconds;
} team;

typedef struct team_member {
    team *team;
    size_t index;
    pthread_t thread;
    double rate;
} team_member;

static double work_alone(const team *t, size_t member)
{
    double amount = 0.0, elapsed, start = mr_bench_now();
    do {
        amount += t->work(t->context, member);
        elapsed = mr_bench_now() - start;
    } while (elapsed < t->seconds);
    return amount / elapsed;
}

static void *work_as_member(void *argument)
{
    team_member *member = argument;
    pthread_mutex_lock(&member->team->gate);
    bool cancelled = member->team->cancelled;
    pthread_mutex_unlock(&member->team->gate);
    if (!cancelled) member->rate = work_alone(member->team, member->index);
    return NULL;
}

mr_status mr_bench_work_together(size_t threads, double seconds, mr_bench_work *work, void *context, double *rate, mr_error *error)
{
    team t = { .work = work, .context = context, .seconds = seconds };
    if (threads <= 1) {
        *rate = work_alone(&t, 0);
        return MR_OK;
    }
    team_member *members = calloc(threads, sizeof *members);
    if (!members) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    size_t started = 0;
    double sum = 0.0;
    pthread_mutex_init(&t.gate, NULL);
    pthread_mutex_lock(&t.gate);
    for (; started < threads; started++) {
        members[started] = (team_member){ .team = &t, .index = started };
        if (pthread_create(&members[started].thread, NULL, work_as_member, &members[started]) != 0) break;
    }
    t.cancelled = started < threads;
    pthread_mutex_unlock(&t.gate);
    for (size_t i = 0; i < started; i++) {
        pthread_join(members[i].thread, NULL);
        sum += members[i].rate;
    }
    pthread_mutex_destroy(&t.gate);
    free(members);
    if (t.cancelled) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot start %zu threads", threads);
    *rate = sum;
    return MR_OK;
}
