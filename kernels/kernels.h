/* The compute kernels: one table of function pointers per instruction set.
 *
 *   - Every function here is single-threaded, allocates nothing, and may be called from many threads at once. Parallelism
 *     is the caller's: split rows (linear, norms, activations) or sequences x heads (attention) over its own team.
 *   - Matrices are row-major float32; `ld*` is the distance between rows in floats (>= the row's length). No alignment
 *     is needed. Outputs may not overlap inputs except where "in place" is said: then y == x exactly, ldy == ldx.
 *   - A row's (a sequence's) result depends on that row alone, bit for bit: not on how many rows come with it, nor on
 *     its place among them. Between instruction sets results differ by rounding.
 *   - NaN and infinities travel through as IEEE 754 says; a row that holds one never disturbs another row.
 *
 * Linear layers: gemm.h. Attention: attention.h. */
#ifndef MR_KERNELS_KERNELS_H
#define MR_KERNELS_KERNELS_H

#include "core/error.h"
#include "kernels/attention.h"
#include "kernels/gemm.h"
#include "kernels/resample.h"

/* The variants, lowest first; X(name, what the CPU must offer). A variant starts as a copy of the last one before it that this
 * CPU offers. */
#if defined(__x86_64__)
#define MR_KERNELS_LIST(X)                \
    X(ref, "nothing but C")               \
    X(avx2, "AVX2, FMA and F16C")         \
    X(avxvnni, "AVX-VNNI")                \
    X(avx512, "AVX-512 F, BW, DQ and VL") \
    X(avx512vnni, "AVX-512 VNNI")         \
    X(avx512bf16, "AVX-512 BF16")
#else
#define MR_KERNELS_LIST(X) X(ref, "nothing but C")
#endif

/* Of rows first..rows-1 (the first `first` are a prompt that is left out):
 *   CLS   row `first`            LAST           the last row         MAX            largest per column
 *   MEAN  sum / count            MEAN_SQRT_LEN  sum / sqrt(count)    WEIGHTED_MEAN  sum (t + 1) x[t] / sum (t + 1), t the row number
 * With no rows left the result is 0. */
typedef enum mr_pooling {
    MR_POOLING_CLS,
    MR_POOLING_LAST,
    MR_POOLING_MEAN,
    MR_POOLING_MAX,
    MR_POOLING_MEAN_SQRT_LEN,
    MR_POOLING_WEIGHTED_MEAN,
} mr_pooling;

/* Parameters of a normalisation over rows of n values; weight NULL = 1, bias NULL = 0. Borrowed. */
typedef struct mr_norm {
    const float *weight;
    const float *bias;
    size_t n;
    float eps;
} mr_norm;

/* One table of a summed embedding: row ids[r], or row 0 for every r when ids is NULL. The caller has checked the ids. */
typedef struct mr_gather {
    const float *table;
    size_t ld;
    const int32_t *ids;
} mr_gather;

typedef struct mr_kernels {
    const char *name;

    /* y[i] = activation(x[i]), in place allowed. Error against the exact formula: |dy| <= 5e-7 max(|y|, 1);
     * 0 times infinity is NaN here as in the formula (gelu(-infinity)). */
    void (*activation_f32)(mr_activation kind, const float *x, float *y, size_t n);

    /* z = x (+ residual unless NULL); y = (z - mean z) / sqrt(var z + eps) * weight + bias, var the mean square.
     * In place over x or residual allowed. */
    void (*layer_norm_f32)(const mr_norm *norm, const float *x, size_t ldx, const float *residual, size_t ldr, float *y, size_t ldy,
                           size_t rows);
    /* z as above; y = z / sqrt(mean z^2 + eps) * weight (+ bias). */
    void (*rms_norm_f32)(const mr_norm *norm, const float *x, size_t ldx, const float *residual, size_t ldr, float *y, size_t ldy,
                         size_t rows);

    /* y[r, :] = ((tables[0] row + tables[1] row) + tables[2] row) ..., each row [n]; count >= 1. */
    void (*gather_sum_f32)(const mr_gather *tables, size_t count, float *y, size_t ldy, size_t rows, size_t n);

    /* Softmax over one row of n >= 1 values, in place allowed. -inf gives 0; all -inf gives NaN. */
    void (*softmax_f32)(const float *x, float *y, size_t n);
    /* Index of the first largest value; NaNs are passed over (0 when nothing else is there). n >= 1. */
    size_t (*argmax_f32)(const float *x, size_t n);
    bool (*is_finite_f32)(const float *x, size_t n);

    void (*pool_f32)(mr_pooling kind, const float *x, size_t ldx, size_t rows, size_t first, size_t n, float *y);
    /* y = x / max(|x|, 1e-12), in place allowed. */
    void (*l2_normalize_f32)(const float *x, float *y, size_t n);
    /* scores[i] = q . rows[i, :] for i < count. */
    void (*dot_rows_f32)(const float *q, const float *rows, size_t ld, size_t count, size_t n, float *scores);

    /* Rotary embedding of `heads` consecutive heads per row, in place: the first 2 * half values of each head turn by the
     * angles whose cosines and sines are cosine/sine[positions[r] * half + j]. Pairs: (j, j + half), or (2 j, 2 j + 1) when
     * interleaved. */
    void (*rope_f32)(float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim, size_t half, const float *cosine,
                     const float *sine, const int32_t *positions, bool interleaved);

    /* One pass of a resampling (resample.h) over RGB images of interleaved bytes; ld in bytes. Of the axis,
     * first + taps <= inputs + GROUP - 1; x is readable MR_RESAMPLE_SLACK bytes past its last row.
     * rows: along x, of `width` pixels, to axis->count pixels. columns: down x, of `rows` rows, to axis->count rows; n bytes each. */
    void (*resample_rows_u8)(const mr_resample_axis *axis, const uint8_t *x, size_t ldx, size_t width, uint8_t *y, size_t ldy, size_t rows);
    void (*resample_columns_u8)(const mr_resample_axis *axis, const uint8_t *x, size_t ldx, size_t rows, uint8_t *y, size_t ldy, size_t n);

    /* Rounding to nearest even; overflow gives infinity, NaN stays NaN (quiet). */
    void (*f32_to_f16)(const float *x, uint16_t *y, size_t n);
    void (*f16_to_f32)(const uint16_t *x, float *y, size_t n);
    void (*f32_to_bf16)(const float *x, uint16_t *y, size_t n);
    void (*bf16_to_f32)(const uint16_t *x, float *y, size_t n);

    /* Called through mr_linear_run (gemm.h). linear_columns: width of a packed panel of weights. */
    size_t linear_columns;
    mr_linear_function *linear[MR_LINEAR_FORMAT_COUNT];

    /* Called through mr_attention_run (attention.h). */
    void (*attention_f32)(const mr_attention *attention, void *scratch);
    void (*attention_bf16)(const mr_attention *attention, void *scratch);

    /* For measuring a machine: `rounds` of independent multiply-adds of a format, all in registers. Returns the operations
     * done (two per multiply-add); *sink keeps them from being left out. */
    double (*probe[MR_LINEAR_FORMAT_COUNT])(size_t rounds, float *sink);
    /* And its memory: the sum of all values, in any order; y = a + 3 b, nothing overlapping. */
    float (*stream_read_f32)(const float *x, size_t n);
    void (*stream_triad_f32)(float *y, const float *a, const float *b, size_t n);
} mr_kernels;

/* Chooses the table for this process: `isa`, or when NULL the environment's MILLRACE_ISA, or the best the CPU has.
 * Call once before threads start. CONFIG naming the choices when the name is unknown or the CPU lacks it. */
mr_status mr_kernels_init(const char *isa, mr_error *error);

/* The chosen table; the best the CPU has when mr_kernels_init was not called. Never NULL, never freed. */
const mr_kernels *mr_kernels_get(void);
const char *mr_kernels_isa_name(void);

/* Every variant by name, for tests and benches: NULL when unknown or not offered by this CPU. */
const mr_kernels *mr_kernels_for_isa(const char *name);
/* Names of all variants, lowest first, NULL-terminated. */
const char *const *mr_kernels_names(void);

#endif
