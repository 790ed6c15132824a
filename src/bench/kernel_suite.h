/* The kernels on the sizes of a model, one after the other on one core. */
#ifndef MR_BENCH_KERNEL_SUITE_H
#define MR_BENCH_KERNEL_SUITE_H

#include "bench/report.h"

/* One linear layer: x [rows, k] W^T, W [n, k]. */
typedef struct mr_bench_shape {
    size_t rows, n, k;
} mr_bench_shape;

typedef struct mr_bench_suite {
    const mr_bench_shape *shapes; /* borrowed; neighbours of one n and k share their weights */
    size_t shape_count;
    const mr_work *model;  /* whose attentions and row widths to take; NULL: neither */
    size_t max_tokens;     /* no longer sequences; 0 = any */
    bool formats[MR_LINEAR_FORMAT_COUNT];
} mr_bench_suite;

/* Every linear layer of a model at several numbers of rows, malloc'ed. NULL when out of memory. */
mr_bench_shape *mr_bench_model_shapes(const mr_work *work, size_t *count);

/* Appends to report->results in about `seconds`; packing comes on top. Uses report->machine and adds to its peaks. */
mr_status mr_bench_suite_run(const mr_bench_suite *suite, double seconds, const mr_bench_progress *progress, mr_bench_report *report, mr_error *error);

#endif
