#include <math.h>

#define SIMD_LINEAR_FORMAT MR_LINEAR_INT8
#include "kernels/simd/simd_linear.h"

/* The rule of MR_LINEAR_INT8 (gemm.h). Writes whole vectors; what is beyond k meets weights of 0. */
static mr_linear_row_scale quantize(const float *x, size_t k, uint8_t *out)
{
    vf up = v_set(0.0f), down = up, zeros = up;
    for (size_t p = 0; p < k; p += VW) {
        const vf value = v_load_n(x + p, k - p);
        up = v_max(value, up);
        down = v_min(value, down);
        zeros = v_fma(value, v_set(0.0f), zeros); /* NaN once a value is not finite */
    }
    const float least = -v_largest(v_sub(v_set(0.0f), down)), range = v_largest(up) - least;
    const bool usable = v_sum(zeros) == 0.0f && isfinite(range);
    if (!usable) {
        memset(out, 0, (k + VW - 1) / VW * VW);
        return (mr_linear_row_scale){.scale = NAN};
    }
    const float inverse = range > 1e-30f ? 255.0f / range : 0.0f, zero = nearbyintf(-least * inverse);
    for (size_t p = 0; p < k; p += VW) v_to_u8(out + p, v_fma(v_load_n(x + p, k - p), v_set(inverse), v_set(zero)));
    return (mr_linear_row_scale){.scale = range / 255.0f, .zero = (int32_t)zero};
}

void SIMD(mr_linear_int8)(const mr_linear *linear, const float *x, size_t ldx, float *y, size_t ldy, size_t rows,
                          const mr_epilogue *epilogue, void *scratch)
{
    const size_t ld = mr_linear_row_words(MR_LINEAR_INT8, linear->k);
    for (size_t first = 0; first < rows; first += MR_LINEAR_BLOCK_ROWS) {
        const size_t count = rows - first < MR_LINEAR_BLOCK_ROWS ? rows - first : MR_LINEAR_BLOCK_ROWS;
        mr_linear_row_scale *scales = (mr_linear_row_scale *)((float *)scratch + count * ld);
        for (size_t i = 0; i < count; i++) {
            scales[i] = quantize(x + (first + i) * ldx, linear->k, (uint8_t *)scratch + i * ld * 4);
        }
        multiply_block(linear, scratch, ld, scales, y, ldy, first, count, epilogue);
    }
}
