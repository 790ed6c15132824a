/* Linear layers: y = epilogue(x W^T + bias) with W [n, k] packed once and shared by all workers.
 *
 * Each output value is one chain of multiply-adds over k in rising order, whatever the number of rows and wherever the row
 * stands, so a row's result is the same bits in every batch. Precisions are variants behind the same struct. */
#ifndef MR_KERNELS_GEMM_H
#define MR_KERNELS_GEMM_H

#include "core/error.h"

struct mr_kernels;

/* X(NAME, text as model configurations spell it, formula) */
#define MR_ACTIVATION_LIST(X)                                                          \
    X(NONE, "none", x)                                                                 \
    X(GELU, "gelu", x / 2 (1 + erf(x / sqrt 2)))                                       \
    X(GELU_TANH, "gelu_tanh", x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))))       \
    X(QUICK_GELU, "quick_gelu", x / (1 + exp(-1.702 x)))                               \
    X(SILU, "silu", x / (1 + exp(-x)))                                                 \
    X(RELU, "relu", max(x, 0))                                                         \
    X(TANH, "tanh", tanh x)

typedef enum mr_activation {
#define MR_ACTIVATION_ENUM(name, text, formula) MR_ACTIVATION_##name,
    MR_ACTIVATION_LIST(MR_ACTIVATION_ENUM)
#undef MR_ACTIVATION_ENUM
} mr_activation;

const char *mr_activation_text(mr_activation kind);

/* What is multiplied; x, y, bias and all that follows the sum are f32 in every format. GELU behind narrow formats is within 5e-5:
 * what comes out is rounded to 8 bits before the next product.
 *   F32    f32 x f32, f32 sums
 *   BF16   bf16 x bf16, f32 sums, both sides rounded to nearest even. Per pair of inputs the odd product is added first, then the
 *          even one, each fused and with subnormal numbers taken for 0, which is what vdpbf16ps does: with or without that
 *          instruction the bits are the same (ref alone keeps subnormals).
 *   INT8   weights round to -127 .. 127 times a scale per output; activations to 0 .. 255 times a scale per row, about a zero
 *          point per row, both from that row's own least and largest value (0 included); exact i32 sums. The same bits on every
 *          instruction set but ref, GELU left aside. A row that is not finite gives NaN. k <= MR_LINEAR_INT8_K_MAX. */
typedef enum mr_linear_format { MR_LINEAR_F32, MR_LINEAR_BF16, MR_LINEAR_INT8, MR_LINEAR_FORMAT_COUNT } mr_linear_format;

#define MR_LINEAR_INT8_K_MAX 65536 /* 65536 * 255 * 127 still fits 32 bits */

const char *mr_linear_format_text(mr_linear_format format); /* "f32", "bf16", "int8" */

/* Some rows of W: several sources stacked make one layer (q, k and v; gate and up). Borrowed during prepare. */
typedef struct mr_linear_source {
    const float *weight; /* [rows, k] */
    size_t ld;           /* floats between rows */
    size_t rows;
    const float *bias; /* [rows], NULL = 0 */
} mr_linear_source;

/* Immutable once prepared; usable from many threads. */
typedef struct mr_linear {
    const struct mr_kernels *kernels;
    mr_linear_format format;
    size_t n;            /* outputs */
    size_t k;            /* inputs */
    /* All inside the caller's memory; the arrays are [n rounded up to the panel width]. */
    const void *weights;
    const float *bias;
    const float *scales; /* int8: by what a weight was divided */
    const int32_t *sums; /* int8: of an output's weights, what the zero points are multiplied by */
} mr_linear;

/* y = activation(x W^T + bias) * multiplier + residual; the last two only where not NULL. multiplier and residual are
 * [rows, n] and may be y itself. Gated layers: run `up` into t, then `gate` with the activation and multiplier t. */
typedef struct mr_epilogue {
    mr_activation activation;
    const float *multiplier;
    size_t ld_multiplier;
    const float *residual;
    size_t ld_residual;
} mr_epilogue;

typedef void mr_linear_function(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                                const mr_epilogue *epilogue, void *scratch);

/* Rows that are worth one call when a batch is split over a team: enough to pay for the packed weights' trip from L3
 * (MiniLM's layers in f32, mean per cent of peak on a busy machine at 64 / 96 / 192 rows: 91 / 93 / 94), few enough that x, y and a
 * following step's output stay in L2. */
#define MR_LINEAR_PANEL_ROWS 96
/* Rows that are computed together: calls on a multiple of it waste nothing. */
#define MR_LINEAR_TILE_ROWS 6

/* Bytes that mr_linear_prepare needs, 64-byte aligned; 0 when the sizes overflow or are 0. */
size_t mr_linear_packed_bytes(const struct mr_kernels *kernels, mr_linear_format format, size_t n, size_t k);

/* Packs the stacked sources into `memory` (64-byte aligned, mr_linear_packed_bytes of the sum of their rows), which the
 * caller owns and keeps as long as *out is used. INVALID_ARGUMENT on sizes of 0, a short or misaligned memory,
 * and for int8 on a weight that is not finite or too large a k. */
mr_status mr_linear_prepare(const struct mr_kernels *kernels, mr_linear_format format, const mr_linear_source *sources, size_t count,
                            size_t k, void *memory, size_t bytes, mr_linear *out, mr_error *error);

/* The same without packing: over memory that holds, byte for byte, what mr_linear_prepare wrote for these sizes. */
mr_status mr_linear_attach(const struct mr_kernels *kernels, mr_linear_format format, size_t n, size_t k, const void *memory, size_t bytes,
                           mr_linear *out, mr_error *error);

/* Bytes of scratch that one call on `rows` rows needs (one per thread): f32 none, else the converted rows of one block. */
size_t mr_linear_scratch_bytes(const mr_linear *linear, size_t rows);

/* x [rows, k], y [rows, n]; y may not overlap x. epilogue NULL = bias only. scratch: 64-byte aligned, may be NULL when
 * mr_linear_scratch_bytes says 0. */
void mr_linear_run(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows, const mr_epilogue *epilogue,
                   void *scratch);

#endif
