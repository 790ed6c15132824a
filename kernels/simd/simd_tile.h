/* The product all matrix work is made of: c [rows, vectors * VW] = a [rows, k] b [k, vectors * VW], sums in registers.
 *
 * a, b and c are 32-bit words: f32 values, or pairs of bf16 (in a and b, sums f32), or fours of u8 (a) and s8 (b) with i32
 * sums. Where the CPU has no instruction for a format, its words are taken apart in halves, each multiplied as f32 or i16. */
#ifndef MR_KERNELS_SIMD_SIMD_TILE_H
#define MR_KERNELS_SIMD_SIMD_TILE_H

#include "kernels/simd/simd.h"

/* Six rows: 6 x TILE_VECTORS sums hide the latency of fused multiply-adds twice over and still leave registers for b. */
enum { TILE_ROWS = 6, TILE_COLUMNS = TILE_VECTORS * VW };

SIMD_INLINE int tile_halves(mr_linear_format format)
{
    return format == MR_LINEAR_F32 ? 1 : format == MR_LINEAR_BF16 ? V_BF16_HALVES : V_INT8_HALVES;
}

SIMD_INLINE vf tile_half_b(mr_linear_format format, int half, vf words)
{
    return format == MR_LINEAR_F32 ? words : format == MR_LINEAR_BF16 ? v_bf16_half(words, half) : v_s8_half(words, half);
}

SIMD_INLINE vf tile_half_a(mr_linear_format format, int half, vf words)
{
    return format == MR_LINEAR_F32 ? words : format == MR_LINEAR_BF16 ? v_bf16_half(words, half) : v_u8_half(words, half);
}

SIMD_INLINE vf tile_step(mr_linear_format format, vf a, vf b, vf sum)
{
    return format == MR_LINEAR_F32 ? v_fma(a, b, sum) : format == MR_LINEAR_BF16 ? v_bf16_step(a, b, sum) : v_int8_step(a, b, sum);
}

/* Cache lines asked for while a product runs, one at each step of k, so that they never get in the way of its own loads. */
typedef struct tile_ahead {
    const char *line; /* NULL: none, known when compiled */
    size_t stride;    /* bytes; 0: nothing new */
} tile_ahead;

/* sums += a b; format, rows <= TILE_ROWS and vectors <= TILE_VECTORS are constants. Each value is one chain of multiply-adds in
 * the order of k, the same for every shape of tile. */
SIMD_INLINE void tile_accumulate(mr_linear_format format, size_t rows, size_t vectors, const float *restrict a, size_t lda,
                                 const float *restrict b, size_t ldb, size_t k, tile_ahead ahead, vf sums[TILE_ROWS][TILE_VECTORS])
{
    for (size_t p = 0; p < k; p++) {
        if (ahead.line != NULL) {
            _mm_prefetch(ahead.line, _MM_HINT_T1);
            ahead.line += ahead.stride;
        }
        SIMD_UNROLL
        for (int half = 0; half < tile_halves(format); half++) {
            vf line[TILE_VECTORS];
            SIMD_UNROLL
            for (size_t j = 0; j < vectors; j++) line[j] = tile_half_b(format, half, v_load(b + p * ldb + j * VW));
            SIMD_UNROLL
            for (size_t i = 0; i < rows; i++) {
                const vf value = tile_half_a(format, half, v_set(a[i * lda + p]));
                SIMD_UNROLL
                for (size_t j = 0; j < vectors; j++) sums[i][j] = tile_step(format, value, line[j], sums[i][j]);
            }
        }
    }
}

/* `add` continues the sums that c holds. */
SIMD_INLINE void tile_multiply(mr_linear_format format, size_t rows, size_t vectors, const float *restrict a, size_t lda,
                               const float *restrict b, size_t ldb, size_t k, bool add, float *restrict c, size_t ldc)
{
    vf sums[TILE_ROWS][TILE_VECTORS];
    SIMD_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (size_t j = 0; j < vectors; j++) sums[i][j] = add ? v_load(c + i * ldc + j * VW) : v_set(0.0f);
    }
    tile_accumulate(format, rows, vectors, a, lda, b, ldb, k, (tile_ahead){NULL, 0}, sums);
    SIMD_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (size_t j = 0; j < vectors; j++) v_store(c + i * ldc + j * VW, sums[i][j]);
    }
}

typedef void tile_function(const float *a, size_t lda, const float *b, size_t ldb, size_t k, bool add, float *c, size_t ldc);

#define TILE_DEFINE(format, rows, vectors)                                                                                       \
    static void tile_##rows##x##vectors(const float *a, size_t lda, const float *b, size_t ldb, size_t k, bool add, float *c,     \
                                        size_t ldc)                                                                              \
    {                                                                                                                            \
        tile_multiply(format, rows, vectors, a, lda, b, ldb, k, add, c, ldc);                                                     \
    }
#define TILE_DEFINE_ROWS(format, vectors)                                                                                        \
    TILE_DEFINE(format, 1, vectors) TILE_DEFINE(format, 2, vectors) TILE_DEFINE(format, 3, vectors)                              \
    TILE_DEFINE(format, 4, vectors) TILE_DEFINE(format, 5, vectors) TILE_DEFINE(format, 6, vectors)
#define TILE_NAMES(vectors) {tile_1x##vectors, tile_2x##vectors, tile_3x##vectors, tile_4x##vectors, tile_5x##vectors, tile_6x##vectors}

#endif
