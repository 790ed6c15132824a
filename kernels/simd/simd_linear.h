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

/* What belongs to VW columns of the layer. */
typedef struct column_facts {
    size_t column, live; /* the first; how many of them there are */
    vf bias, scales, sums;
} column_facts;

SIMD_INLINE column_facts facts_of(const mr_linear *linear, size_t column, size_t live)
{
    const bool int8 = SIMD_LINEAR_FORMAT == MR_LINEAR_INT8;
    const vf none = v_set(0.0f);
    return (column_facts){.column = column,
                          .live = live,
                          .bias = v_load(linear->bias + column),
                          .scales = int8 ? v_load(linear->scales + column) : none,
                          .sums = int8 ? v_load_i32(linear->sums + column) : none};
}

/* The sums of row i of the tile in these columns. */
SIMD_INLINE void finish_vector(mr_activation kind, bool combine, const target *t, const column_facts *at, size_t i, vf value)
{
    const mr_epilogue *e = t->epilogue;
    const size_t row = t->row + i;
    if (SIMD_LINEAR_FORMAT == MR_LINEAR_INT8) {
        value = v_fma(v_from_i32(value, v_i32(t->scales[i].zero), at->sums), v_mul(v_set(t->scales[i].scale), at->scales), at->bias);
    } else {
        value = v_add(value, at->bias);
    }
    value = activate(kind, value);
    if (combine && e->multiplier != NULL) value = v_mul(value, v_load_n(e->multiplier + row * e->ld_multiplier + at->column, at->live));
    if (combine && e->residual != NULL) value = v_add(value, v_load_n(e->residual + row * e->ld_residual + at->column, at->live));
    v_store_n(t->y + row * t->ldy + at->column, value, at->live);
}

/* A tile of any size, its sums at `tile`. */
SIMD_INLINE void finish_part(mr_activation kind, const target *t, const float *tile)
{
    for (size_t j = 0; j < t->columns; j += VW) {
        const column_facts at = facts_of(t->linear, t->column + j, t->columns - j);
        for (size_t i = 0; i < t->rows; i++) finish_vector(kind, true, t, &at, i, v_load(tile + i * TILE_COLUMNS + j));
    }
}

/* A tile of full size: its sums are finished in the registers in which they are made. */
SIMD_INLINE void run_whole(mr_activation kind, bool combine, const target *t, const float *words, size_t ld, const float *panel, size_t k,
                           tile_ahead ahead)
{
    vf sums[TILE_ROWS][TILE_VECTORS];
    SIMD_UNROLL
    for (size_t i = 0; i < TILE_ROWS; i++) {
        SIMD_UNROLL
        for (size_t j = 0; j < TILE_VECTORS; j++) sums[i][j] = v_set(0.0f);
    }
    tile_accumulate(SIMD_LINEAR_FORMAT, TILE_ROWS, TILE_VECTORS, words, ld, panel, TILE_COLUMNS, k, ahead, sums);
    SIMD_UNROLL
    for (size_t j = 0; j < TILE_VECTORS; j++) {
        const column_facts at = facts_of(t->linear, t->column + j * VW, VW);
        SIMD_UNROLL
        for (size_t i = 0; i < TILE_ROWS; i++) {
            v_settle(&sums[i][j]);
            finish_vector(kind, combine, t, &at, i, sums[i][j]);
        }
    }
}

typedef void whole_function(const target *t, const float *words, size_t ld, const float *panel, size_t k, tile_ahead ahead);
typedef void part_function(const target *t, const float *tile);
#define FINISH_DEFINE(name, text, formula)                                                                                              \
    static void finish_##name(const target *t, const float *tile) { finish_part(MR_ACTIVATION_##name, t, tile); }                      \
    static void plain_##name(const target *t, const float *words, size_t ld, const float *panel, size_t k, tile_ahead ahead)           \
    {                                                                                                                                   \
        run_whole(MR_ACTIVATION_##name, false, t, words, ld, panel, k, ahead);                                                          \
    }                                                                                                                                   \
    static void combined_##name(const target *t, const float *words, size_t ld, const float *panel, size_t k, tile_ahead ahead)        \
    {                                                                                                                                   \
        run_whole(MR_ACTIVATION_##name, true, t, words, ld, panel, k, ahead);                                                           \
    }
MR_ACTIVATION_LIST(FINISH_DEFINE)
#define FINISH_PART(name, text, formula) [MR_ACTIVATION_##name] = finish_##name,
#define FINISH_WHOLE(name, text, formula) [MR_ACTIVATION_##name] = {plain_##name, combined_##name},
static part_function *const finishers[] = {MR_ACTIVATION_LIST(FINISH_PART)};
static whole_function *const wholes[][2] = {MR_ACTIVATION_LIST(FINISH_WHOLE)};

/* Asks for the next panel, a part of it in each of this one's first rows of tiles: weights come from L3 or memory. */
SIMD_INLINE tile_ahead next_panel(const float *panel, size_t k, size_t turn, bool last)
{
    enum { LINE = 64, TURNS = TILE_COLUMNS * sizeof(float) / LINE };
    const char *next = (const char *)(panel + TILE_COLUMNS * k);
    return last || turn >= TURNS ? (tile_ahead){(const char *)panel, 0} : (tile_ahead){next + turn * k * LINE, LINE};
}

/* Rows [first, first + rows) of y from their inputs in words, ld words apart. */
static void multiply_block(const mr_linear *linear, const float *words, size_t ld, const mr_linear_row_scale *scales, float *y, size_t ldy,
                           size_t first, size_t rows, const mr_epilogue *epilogue)
{
    _Alignas(64) float tile[TILE_ROWS * TILE_COLUMNS];
    const size_t n = linear->n, k = mr_linear_words(SIMD_LINEAR_FORMAT, linear->k);
    whole_function *const whole = wholes[epilogue->activation][epilogue->multiplier != NULL || epilogue->residual != NULL];
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
            if (t.rows == TILE_ROWS && t.columns == TILE_COLUMNS) {
                whole(&t, words + row * ld, ld, panel, k, next_panel(panel, k, row / TILE_ROWS, n - column <= TILE_COLUMNS));
            } else {
                tiles[t.rows - 1](words + row * ld, ld, panel, TILE_COLUMNS, k, false, tile, TILE_COLUMNS);
                finishers[epilogue->activation](&t, tile);
            }
        }
    }
}

#endif
