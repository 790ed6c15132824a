/* f32 linear layers: weights in panels of TILE_COLUMNS outputs, walked by tiles of TILE_ROWS rows.
 *
 * Zen 4, one core, M 16 .. 504 on [1152 | 384 | 1536, 384], [384, 1536], [2304 | 3072, 768], [768, 3072]: 96 to 99 % of the FMA
 * peak at every M; OpenBLAS 0.3.21 on the same shapes: 56 % at M 16, 84 % at 96, 90 % at 504 (it packs W in every call). Tiles of
 * 5 x 4, 7 x 3, 8 x 3, 9 x 3 and 12 x 2 vectors differ by less than 2 %, so 4 wins, which divides all hidden sizes. */
#include "kernels/simd/simd_math.h"
#include "kernels/simd/simd_tile.h"

#if defined(__AVX512F__)
TILE_DEFINE_ROWS(4)
static tile_function *const tiles[TILE_ROWS] = TILE_NAMES(4);
#else
TILE_DEFINE_ROWS(2)
static tile_function *const tiles[TILE_ROWS] = TILE_NAMES(2);
#endif

/* Rows whose inputs stay in L2 while the panels of weights pass by. */
enum { BLOCK_ROWS = 96 };

typedef struct target {
    const mr_epilogue *epilogue;
    const float *bias;
    float *y;
    size_t ldy;
    size_t row, column; /* of the tile's corner in y */
    size_t rows, columns;
} target;

SIMD_INLINE void finish(mr_activation kind, const target *t, const float *tile)
{
    const mr_epilogue *e = t->epilogue;
    for (size_t i = 0; i < t->rows; i++) {
        const size_t row = t->row + i;
        for (size_t j = 0; j < t->columns; j += VW) {
            const size_t live = t->columns - j, column = t->column + j;
            vf value = v_activate(kind, v_add(v_load(tile + i * TILE_COLUMNS + j), v_load(t->bias + column)));
            if (e->multiplier != NULL) value = v_mul(value, v_load_n(e->multiplier + row * e->ld_multiplier + column, live));
            if (e->residual != NULL) value = v_add(value, v_load_n(e->residual + row * e->ld_residual + column, live));
            v_store_n(t->y + row * t->ldy + column, value, live);
        }
    }
}

void SIMD(mr_linear_f32)(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                         const mr_epilogue *epilogue)
{
    _Alignas(64) float tile[TILE_ROWS * TILE_COLUMNS];
    const size_t n = linear->n, k = linear->k;
    for (size_t block = 0; block < rows; block += BLOCK_ROWS) {
        const size_t end = rows - block < BLOCK_ROWS ? rows : block + BLOCK_ROWS;
        for (size_t column = 0; column < n; column += TILE_COLUMNS) {
            const float *panel = (const float *)linear->weights + column * k;
            for (size_t row = block; row < end; row += TILE_ROWS) {
                const size_t live = end - row < TILE_ROWS ? end - row : TILE_ROWS;
                const target t = {.epilogue = epilogue,
                                  .bias = linear->bias,
                                  .y = y,
                                  .ldy = ldy,
                                  .row = row,
                                  .column = column,
                                  .rows = live,
                                  .columns = n - column < TILE_COLUMNS ? n - column : TILE_COLUMNS};
                tiles[live - 1](x + row * ldx, ldx, panel, TILE_COLUMNS, k, false, tile, TILE_COLUMNS);
                SIMD_FOR_ACTIVATION(epilogue->activation, finish, &t, tile)
            }
        }
    }
}
