/* What this machine can do at most, measured: the roofs that kernels and models are set beside. */
#ifndef MR_BENCH_MACHINE_H
#define MR_BENCH_MACHINE_H

#include "bench/timing.h"
#include "kernels/kernels.h"

typedef struct mr_bench_roof {
    const char *name;  /* "f32", "L2 read"; static */
    size_t bytes;      /* of memory one core goes through; 0: registers only */
    mr_bench_series one, all; /* operations or bytes a second: of one core, of all at once */
} mr_bench_roof;

#define MR_BENCH_MEMORY_MAX 5

typedef struct mr_bench_machine {
    char cpu[64];
    const mr_kernels *kernels; /* of all figures */
    size_t cores;              /* "all" */
    uint64_t ram;              /* bytes */
    double load;               /* average of the minute before; negative = unknown */
    mr_bench_roof peaks[MR_LINEAR_FORMAT_COUNT];
    mr_bench_roof memory[MR_BENCH_MEMORY_MAX]; /* from the nearest to the farthest */
    size_t memory_count;
} mr_bench_machine;

/* What is being done, and which share of all is over; NULL function: nobody looks. */
typedef struct mr_bench_progress {
    void (*show)(void *context, double share, const char *what);
    void *context;
} mr_bench_progress;

/* Takes about `seconds`. Read bandwidth per cache level as far as /sys tells their sizes, of DRAM read and triad (y = a + 3 b; as
 * in STREAM the reading of y's lines before they are overwritten is not counted). OUT_OF_MEMORY when memory or threads cannot be had. */
mr_status mr_bench_machine_measure(const mr_kernels *kernels, size_t cores, double seconds, const mr_bench_progress *progress, mr_bench_machine *out,
                                   mr_error *error);

/* One more burst of one core's peak: the machine's speed now. For use between other measurements. */
void mr_bench_machine_probe(mr_bench_machine *machine, mr_linear_format format);

/* By how much the median burst lies below the best, 0..1, of the noisiest format: what others took. */
double mr_bench_machine_noise(const mr_bench_machine *machine);
#define MR_BENCH_NOISY 0.1 /* from here on single figures should not be trusted */

#endif
