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

#if defined(SIMD_ZMM)
TILE_DEFINE_ROWS(SIMD_LINEAR_FORMAT, 4)
static tile_function *const tiles[TILE_ROWS] = TILE_NAMES(4);
#else
TILE_DEFINE_ROWS(SIMD_LINEAR_FORMAT, 2)
static tile_function *const tiles[TILE_ROWS] = TILE_NAMES(2);
#endif

/* Where a tile of sums goes, and what becomes of it on the way. */
typedef struct target {
    const mr_linear *linear;
    const mr_epilogue *epilogue;
    float *y;
    size_t ldy;
    size_t row, column; /* of its corner */
    size_t rows, columns;
    const mr_linear_row_scale *scales; /* int8: of its rows */
} target;

SIMD_INLINE vf activate(mr_activation kind, vf x)
{
    const bool coarse = SIMD_LINEAR_FORMAT != MR_LINEAR_F32 && kind == MR_ACTIVATION_GELU;
    return coarse ? v_gelu_coarse(x) : v_activate(kind, x);
}

/* Sums of `live` columns of all rows, at `tile`, from column `column` of the layer on. */
SIMD_INLINE void finish_columns(mr_activation kind, bool combine, const target *t, const float *tile, size_t column, size_t live)
{
    const mr_linear *linear = t->linear;
    const mr_epilogue *e = t->epilogue;
    const bool int8 = SIMD_LINEAR_FORMAT == MR_LINEAR_INT8;
    const vf bias = v_load(linear->bias + column), none = v_set(0.0f);
    const vf scales = int8 ? v_load(linear->scales + column) : none, sums = int8 ? v_load_i32(linear->sums + column) : none;
    float *y = t->y + t->row * t->ldy + column;
    for (size_t i = 0; i < t->rows; i++, y += t->ldy) {
        vf value = v_load(tile + i * TILE_COLUMNS);
        if (int8) {
            value = v_fma(v_from_i32(value, v_i32(t->scales[i].zero), sums), v_mul(v_set(t->scales[i].scale), scales), bias);
        } else {
            value = v_add(value, bias);
        }
        value = activate(kind, value);
        if (combine && e->multiplier != NULL) value = v_mul(value, v_load_n(e->multiplier + (t->row + i) * e->ld_multiplier + column, live));
        if (combine && e->residual != NULL) value = v_add(value, v_load_n(e->residual + (t->row + i) * e->ld_residual + column, live));
        if (live == VW) {
            v_store(y, value);
        } else {
            v_store_n(y, value, live);
        }
    }
}

SIMD_INLINE void finish(mr_activation kind, const target *t, const float *tile)
{
    const bool combine = t->epilogue->multiplier != NULL || t->epilogue->residual != NULL;
    for (size_t j = 0; j < t->columns; j += VW) {
        const size_t live = t->columns - j;
        if (live < VW) {
            finish_columns(kind, true, t, tile + j, t->column + j, live);
        } else if (combine) {
            finish_columns(kind, true, t, tile + j, t->column + j, VW);
        } else {
            finish_columns(kind, false, t, tile + j, t->column + j, VW);
        }
    }
}

typedef void finish_function(const target *t, const float *tile);
#define FINISH_DEFINE(name, text, formula) \
    static void finish_##name(const target *t, const float *tile) { finish(MR_ACTIVATION_##name, t, tile); }
MR_ACTIVATION_LIST(FINISH_DEFINE)
#define FINISH_NAME(name, text, formula) [MR_ACTIVATION_##name] = finish_##name,
static finish_function *const finishers[] = {MR_ACTIVATION_LIST(FINISH_NAME)};

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
            finishers[epilogue->activation](&t, tile);
        }
    }
}

#endif
