/* Linear layers in one format: SIMD_LINEAR_FORMAT is defined before this header is included, once per file.
 *
 * Zen 4, one core, f32, rows 16 .. 504 on [1152 | 384 | 1536, 384], [384, 1536], [2304 | 3072, 768], [768, 3072]: 96 to 99 % of the
 * FMA peak at every size; OpenBLAS 0.3.21 on the same: 56 % at 16 rows, 84 % at 96, 90 % at 504 (it packs W in every call). Tiles of
 * 5 x 4, 7 x 3, 8 x 3, 9 x 3 and 12 x 2 vectors differ by less than 2 %, so 4 wins, which divides all hidden sizes. */
#ifndef MR_KERNELS_SIMD_SIMD_LINEAR_H
#define MR_KERNELS_SIMD_SIMD_LINEAR_H

#include "kernels/linear_layout.h"
#include "kernels/simd/simd_math.h"
#include "kernels/simd/simd_tile.h"

#if defined(__AVX512F__)
TILE_DEFINE_ROWS(SIMD_LINEAR_FORMAT, 4)
static tile_function *const tiles[TILE_ROWS] = TILE_NAMES(4);
#else
TILE_DEFINE_ROWS(SIMD_LINEAR_FORMAT, 2)
static tile_function *const tiles[TILE_ROWS] = TILE_NAMES(2);
#endif

/* A tile's place in y. */
typedef struct target {
    const mr_linear *linear;
    const mr_epilogue *epilogue;
    float *y;
    size_t ldy;
    size_t row, column; /* of its corner */
    size_t rows, columns;
    const mr_linear_row_scale *scales; /* int8: of its rows */
} target;

/* Words of sums as they came from the tile -> x W^T + bias. */
SIMD_INLINE vf with_bias(const target *t, size_t i, size_t column, vf words)
{
    const vf bias = v_load(t->linear->bias + column);
    if (SIMD_LINEAR_FORMAT != MR_LINEAR_INT8) return v_add(words, bias);
    const vf sum = v_from_i32(words, t->scales[i].zero, t->linear->sums + column);
    return v_fma(sum, v_mul(v_set(t->scales[i].scale), v_load(t->linear->scales + column)), bias);
}

SIMD_INLINE void finish(mr_activation kind, const target *t, const float *tile)
{
    const mr_epilogue *e = t->epilogue;
    for (size_t i = 0; i < t->rows; i++) {
        const size_t row = t->row + i;
        for (size_t j = 0; j < t->columns; j += VW) {
            const size_t live = t->columns - j, column = t->column + j;
            vf value = v_activate(kind, with_bias(t, i, column, v_load(tile + i * TILE_COLUMNS + j)));
            if (e->multiplier != NULL) value = v_mul(value, v_load_n(e->multiplier + row * e->ld_multiplier + column, live));
            if (e->residual != NULL) value = v_add(value, v_load_n(e->residual + row * e->ld_residual + column, live));
            v_store_n(t->y + row * t->ldy + column, value, live);
        }
    }
}

/* Rows [first, first + rows) of y from their inputs in words, ld words apart. */
static void multiply_block(const mr_linear *linear, const float *words, size_t ld, const mr_linear_row_scale *scales, float *y, size_t ldy,
                           size_t first, size_t rows, const mr_epilogue *epilogue)
{
    _Alignas(64) float tile[TILE_ROWS * TILE_COLUMNS];
    const size_t n = linear->n, k = mr_linear_words(SIMD_LINEAR_FORMAT, linear->k);
    for (size_t column = 0; column < n; column += TILE_COLUMNS) {
        const float *panel = (const float *)linear->weights + column * k;
        for (size_t row = 0; row < rows; row += TILE_ROWS) {
            const target t = {.linear = linear,
                              .epilogue = epilogue,
                              .y = y,
                              .ldy = ldy,
                              .row = first + row,
                              .column = column,
                              .rows = rows - row < TILE_ROWS ? rows - row : TILE_ROWS,
                              .columns = n - column < TILE_COLUMNS ? n - column : TILE_COLUMNS,
                              .scales = scales != NULL ? scales + row : NULL};
            tiles[t.rows - 1](words + row * ld, ld, panel, TILE_COLUMNS, k, false, tile, TILE_COLUMNS);
            SIMD_FOR_ACTIVATION(epilogue->activation, finish, &t, tile)
        }
    }
}

#endif
