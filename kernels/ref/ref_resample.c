#include "kernels/ref/ref.h"

static uint8_t narrow(int32_t sum)
{
    const int32_t value = sum >> MR_RESAMPLE_SHIFT;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Taps that were only filled up weigh 0 and may lie behind the last input. */
static uint8_t sample(const mr_resample_axis *axis, size_t i, const uint8_t *x, size_t stride, size_t inputs)
{
    const int32_t *weights = axis->weights + i * axis->taps;
    int32_t sum = 1 << (MR_RESAMPLE_SHIFT - 1);
    for (size_t t = 0; t < axis->taps && axis->first[i] + t < inputs; t++) sum += x[(axis->first[i] + t) * stride] * weights[t];
    return narrow(sum);
}

void mr_resample_rows_u8__ref(const mr_resample_axis *axis, const uint8_t *x, size_t ldx, size_t width, uint8_t *y, size_t ldy,
                              size_t rows)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < axis->count * 3; i++) y[r * ldy + i] = sample(axis, i / 3, x + r * ldx + i % 3, 3, width);
    }
}

void mr_resample_columns_u8__ref(const mr_resample_axis *axis, const uint8_t *x, size_t ldx, size_t rows, uint8_t *y, size_t ldy,
                                 size_t n)
{
    for (size_t i = 0; i < axis->count; i++) {
        for (size_t j = 0; j < n; j++) y[i * ldy + j] = sample(axis, i, x + j, ldx, rows);
    }
}
