#include <math.h>

#define SIMD_LINEAR_FORMAT MR_LINEAR_INT8
#include "kernels/simd/simd_linear.h"

/* The least and the largest value of a row, 0 included; NaN or infinite when one of the values is. As integers with a sign, floats above
 * 0 are in their order, NaN the largest, and those below are smaller; without a sign those below 0 come last, the least one at the end. */
SIMD_INLINE void find_extremes(const float *x, size_t k, float *least, float *largest)
{
    vf up = v_set(0.0f), down = v_set(-0.0f);
    for (size_t p = 0; p < k; p += VW) {
        const vf value = v_load_n(x + p, k - p);
        up = v_max_i32(value, up);
        down = v_max_u32(value, down);
    }
    *largest = v_largest_i32(up);
    *least = v_largest_u32(down);
}

/* The rule of MR_LINEAR_INT8 (gemm.h). Writes whole vectors; what is beyond k meets weights of 0. */
static mr_linear_row_scale quantize(const float *x, size_t k, uint8_t *out)
{
    float least, largest;
    find_extremes(x, k, &least, &largest);
    const float range = largest - least;
    if (!isfinite(range)) {
        memset(out, 0, (k + VW - 1) / VW * VW);
        return (mr_linear_row_scale){.scale = NAN};
    }
    const float inverse = range > 1e-30f ? 255.0f / range : 0.0f, zero = nearbyintf(-least * inverse);
    const vf factor = v_set(inverse), shift = v_set(zero);
    size_t p = 0;
    for (; p + 4 * VW <= k; p += 4 * VW) {
        vf values[4];
        SIMD_UNROLL
        for (size_t i = 0; i < 4; i++) values[i] = v_fma(v_load(x + p + i * VW), factor, shift);
        v_to_u8_4(out + p, values);
    }
    for (; p < k; p += VW) v_to_u8(out + p, v_fma(v_load_n(x + p, k - p), factor, shift));
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
