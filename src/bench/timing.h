/* Times on a machine that others use too: many short runs, of which the best and the median are kept.
 *
 * Other work only ever makes a run slower, so the best says what the machine can do; how far the median lies from it says
 * how noisy the machine was. */
#ifndef MR_BENCH_TIMING_H
#define MR_BENCH_TIMING_H

#include "core/error.h"

#define MR_BENCH_RECENT 256

/* Figures of one kind. Zero-initialise. */
typedef struct mr_bench_series {
    size_t count;
    double least, most;
    double recent[MR_BENCH_RECENT];
} mr_bench_series;

void mr_bench_series_add(mr_bench_series *series, double value);
double mr_bench_series_median(const mr_bench_series *series); /* of the last MR_BENCH_RECENT; 0 when empty */

double mr_bench_now(void); /* seconds, monotonic */

typedef void mr_bench_call(void *context);

/* Adds seconds per call to *out, in runs of some milliseconds, or of one call where that takes longer, until `seconds` have passed in all;
 * at least three runs. `between` (NULL: nothing) is called after every run. */
void mr_bench_time_calls(mr_bench_call *call, void *context, double seconds, mr_bench_call *between, void *between_context, mr_bench_series *out);

/* Does some work and returns how much. `member`: 0 .. threads - 1. */
typedef double mr_bench_work(void *context, size_t member);

/* Amount per second of `threads` threads that work at the same time, each until `seconds` have passed: the sum of their rates.
 * One thread: the calling one. OUT_OF_MEMORY when threads cannot be started. */
mr_status mr_bench_work_together(size_t threads, double seconds, mr_bench_work *work, void *context, double *rate, mr_error *error);

#endif
