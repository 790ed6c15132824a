/* One kernel on operands of one size, ready to be timed. Used by `millrace bench` and by `test_kernels --bench`. */
#ifndef MR_BENCH_KERNEL_CASE_H
#define MR_BENCH_KERNEL_CASE_H

#include "bench/machine.h"
#include "core/work.h"

typedef struct mr_bench_operands mr_bench_operands;

typedef struct mr_bench_case {
    const char *group; /* "linear", "attention" or "rows"; static */
    char name[64];
    mr_linear_format format; /* beside whose peak the operations are set */
    size_t rows;       /* of x, or tokens of the sequence */
    double flops;      /* of one call; 0 for kernels that are about memory */
    double bytes;      /* of one call: every operand moved once, the least there is */
    mr_bench_call *call;
    mr_bench_operands *operands; /* owned; the context of `call` */
} mr_bench_case;

/* Random operands. activation(x W^T) with W [n, k], x of 1 .. most_rows rows: set_rows chooses, most_rows at first. */
mr_status mr_bench_linear_create(const mr_kernels *kernels, mr_linear_format format, size_t n, size_t k, size_t most_rows, mr_activation activation,
                                 mr_bench_case *out, mr_error *error);
void mr_bench_linear_set_rows(mr_bench_case *linear, size_t rows);

/* One sequence, all heads. `format` F32 or BF16. */
mr_status mr_bench_attention_create(const mr_kernels *kernels, mr_linear_format format, const mr_work_attention *shape, size_t length, mr_bench_case *out,
                                    mr_error *error);

/* X(NAME, text, bytes moved per value of x) */
#define MR_BENCH_ROW_KERNELS(X)                          \
    X(LAYER_NORM, "residual + layer norm", 12)           \
    X(RMS_NORM, "residual + RMS norm", 12)               \
    X(GELU, "gelu", 8)                                   \
    X(GELU_TANH, "gelu_tanh", 8)                         \
    X(SILU, "silu", 8)                                   \
    X(SOFTMAX, "softmax", 8)                             \
    X(MEAN, "mean of the rows", 4)                       \
    X(DOT_ROWS, "a vector times each row", 4)            \
    X(TO_F16, "f32 to f16", 6)

typedef enum mr_bench_row_kernel {
#define MR_BENCH_ROW_ENUM(name, text, bytes) MR_BENCH_##name,
    MR_BENCH_ROW_KERNELS(MR_BENCH_ROW_ENUM)
#undef MR_BENCH_ROW_ENUM
    MR_BENCH_ROW_KERNEL_COUNT
} mr_bench_row_kernel;

/* On x [rows, n]. */
mr_status mr_bench_rows_create(const mr_kernels *kernels, mr_bench_row_kernel kind, size_t rows, size_t n, mr_bench_case *out, mr_error *error);

void mr_bench_case_destroy(mr_bench_case *c);

/* Adds seconds of a call to *out over about `seconds`; the machine's peak in the case's format is probed between the runs. */
void mr_bench_case_time(const mr_bench_case *c, double seconds, mr_bench_machine *machine, mr_bench_series *out);

#endif
