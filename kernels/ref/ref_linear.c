#include <math.h>
#include <string.h>

#include "kernels/linear_layout.h"
#include "kernels/ref/ref.h"

enum { COLUMNS = 16 }; /* linear_columns of this variant */

/* sums [live] -> y, for one row and the columns from `column` on. */
static void finish(const mr_linear *linear, const float *sums, size_t live, float *y, size_t ldy, size_t row, size_t column,
                   const mr_epilogue *epilogue)
{
    for (size_t c = 0; c < live; c++, column++) {
        float value = mr_activate__ref(epilogue->activation, sums[c] + linear->bias[column]);
        if (epilogue->multiplier != NULL) value *= epilogue->multiplier[row * epilogue->ld_multiplier + column];
        if (epilogue->residual != NULL) value += epilogue->residual[row * epilogue->ld_residual + column];
        y[row * ldy + column] = value;
    }
}

static size_t live_columns(const mr_linear *linear, size_t column)
{
    return linear->n - column < COLUMNS ? linear->n - column : COLUMNS;
}

void mr_linear_f32__ref(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                        const mr_epilogue *epilogue, void *scratch)
{
    (void)scratch;
    for (size_t j = 0; j < linear->n; j += COLUMNS) {
        const float *panel = (const float *)linear->weights + j * linear->k;
        for (size_t r = 0; r < rows; r++) {
            float sums[COLUMNS] = {0};
            for (size_t p = 0; p < linear->k; p++) {
                for (size_t c = 0; c < COLUMNS; c++) sums[c] += x[r * ldx + p] * panel[p * COLUMNS + c];
            }
            finish(linear, sums, live_columns(linear, j), y, ldy, r, j, epilogue);
        }
    }
}

/* Products of two bf16 are exact in f32, so multiplying and adding apart rounds as a fused multiply-add does. */
void mr_linear_bf16__ref(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                         const mr_epilogue *epilogue, void *scratch)
{
    uint16_t *inputs = scratch;
    const size_t words = mr_linear_words(MR_LINEAR_BF16, linear->k);
    for (size_t r = 0; r < rows; r++) {
        inputs[2 * words - 1] = 0;
        mr_f32_to_bf16__ref(x + r * ldx, inputs, linear->k);
        for (size_t j = 0; j < linear->n; j += COLUMNS) {
            const uint16_t *panel = (const uint16_t *)linear->weights + j * 2 * words;
            float sums[COLUMNS] = {0};
            for (size_t p = 0; p < words; p++) {
                float values[2], weights[2 * COLUMNS];
                mr_bf16_to_f32__ref(inputs + 2 * p, values, 2);
                mr_bf16_to_f32__ref(panel + p * 2 * COLUMNS, weights, 2 * COLUMNS);
                for (size_t c = 0; c < COLUMNS; c++) {
                    sums[c] += values[1] * weights[2 * c + 1];
                    sums[c] += values[0] * weights[2 * c];
                }
            }
            finish(linear, sums, live_columns(linear, j), y, ldy, r, j, epilogue);
        }
    }
}

/* The rule of MR_LINEAR_INT8 (gemm.h). */
static mr_linear_row_scale quantize(const float *x, size_t k, uint8_t *out)
{
    float least = 0.0f, largest = 0.0f;
    bool finite = true;
    for (size_t p = 0; p < k; p++) {
        least = fminf(least, x[p]);
        largest = fmaxf(largest, x[p]);
        finite = finite && isfinite(x[p]);
    }
    const float range = largest - least, inverse = range > 1e-30f ? 255.0f / range : 0.0f;
    const mr_linear_row_scale row = {.scale = finite && isfinite(range) ? range / 255.0f : NAN,
                                     .zero = isfinite(range) ? (int32_t)lrintf(-least * inverse) : 0};
    for (size_t p = 0; p < k; p++) {
        const float value = isfinite(row.scale) ? nearbyintf(x[p] * inverse) + (float)row.zero : 0.0f;
        out[p] = (uint8_t)fminf(fmaxf(value, 0.0f), 255.0f);
    }
    return row;
}

void mr_linear_int8__ref(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                         const mr_epilogue *epilogue, void *scratch)
{
    uint8_t *inputs = scratch;
    const size_t words = mr_linear_words(MR_LINEAR_INT8, linear->k);
    for (size_t r = 0; r < rows; r++) {
        memset(inputs + 4 * (words - 1), 0, 4);
        const mr_linear_row_scale row = quantize(x + r * ldx, linear->k, inputs);
        for (size_t j = 0; j < linear->n; j += COLUMNS) {
            const int8_t *panel = (const int8_t *)linear->weights + j * 4 * words;
            float sums[COLUMNS];
            for (size_t c = 0; c < COLUMNS; c++) {
                int32_t sum = -row.zero * linear->sums[j + c];
                for (size_t p = 0; p < 4 * words; p++) sum += (int32_t)inputs[p] * panel[(p / 4 * COLUMNS + c) * 4 + p % 4];
                sums[c] = (float)sum * (row.scale * linear->scales[j + c]);
            }
            finish(linear, sums, live_columns(linear, j), y, ldy, r, j, epilogue);
        }
    }
}
