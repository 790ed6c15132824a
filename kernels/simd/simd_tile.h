/* The product all matrix work is made of: c [rows, vectors * VW] = a [rows, k] b [k, vectors * VW], sums in registers. */
#ifndef MR_KERNELS_SIMD_SIMD_TILE_H
#define MR_KERNELS_SIMD_SIMD_TILE_H

#include "kernels/simd/simd.h"

/* Six rows: 6 x TILE_VECTORS sums hide the latency of fused multiply-adds twice over and still leave registers for b. */
enum { TILE_ROWS = 6, TILE_COLUMNS = TILE_VECTORS * VW };

/* rows <= TILE_ROWS and vectors <= TILE_VECTORS are constants. `add` continues the sums that c holds. Each value is one
 * chain of fused multiply-adds in the order of k, the same for every shape of tile. */
SIMD_INLINE void tile_multiply(const size_t rows, const size_t vectors, const float *restrict a, size_t lda, const float *restrict b,
                               size_t ldb, size_t k, bool add, float *restrict c, size_t ldc)
{
    vf sums[TILE_ROWS][TILE_VECTORS];
    SIMD_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (size_t j = 0; j < vectors; j++) sums[i][j] = add ? v_load(c + i * ldc + j * VW) : v_set(0.0f);
    }
    for (size_t p = 0; p < k; p++) {
        vf line[TILE_VECTORS];
        SIMD_UNROLL
        for (size_t j = 0; j < vectors; j++) line[j] = v_load(b + p * ldb + j * VW);
        SIMD_UNROLL
        for (size_t i = 0; i < rows; i++) {
            const vf value = v_set(a[i * lda + p]);
            SIMD_UNROLL
            for (size_t j = 0; j < vectors; j++) sums[i][j] = v_fma(value, line[j], sums[i][j]);
        }
    }
    SIMD_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SIMD_UNROLL
        for (size_t j = 0; j < vectors; j++) v_store(c + i * ldc + j * VW, sums[i][j]);
    }
}

typedef void tile_function(const float *a, size_t lda, const float *b, size_t ldb, size_t k, bool add, float *c, size_t ldc);

#define TILE_DEFINE(rows, vectors)                                                                                               \
    static void tile_##rows##x##vectors(const float *a, size_t lda, const float *b, size_t ldb, size_t k, bool add, float *c,     \
                                        size_t ldc)                                                                              \
    {                                                                                                                            \
        tile_multiply(rows, vectors, a, lda, b, ldb, k, add, c, ldc);                                                             \
    }
#define TILE_DEFINE_ROWS(vectors)                                                                                     \
    TILE_DEFINE(1, vectors) TILE_DEFINE(2, vectors) TILE_DEFINE(3, vectors)                                           \
    TILE_DEFINE(4, vectors) TILE_DEFINE(5, vectors) TILE_DEFINE(6, vectors)
#define TILE_NAMES(vectors) {tile_1x##vectors, tile_2x##vectors, tile_3x##vectors, tile_4x##vectors, tile_5x##vectors, tile_6x##vectors}

#endif
