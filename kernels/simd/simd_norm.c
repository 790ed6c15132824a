/* Row normalisations. Three passes over a row that stays in L1: sum, squares about the mean, output. */
#include <math.h>

#include "kernels/simd/simd.h"

enum { CHAINS = 4 }; /* of sums: one would wait for its own latency */

SIMD_INLINE float sum_of_chains(const vf sums[CHAINS])
{
    return v_sum(v_add(v_add(sums[0], sums[1]), v_add(sums[2], sums[3])));
}

/* y = z = x + residual; the sum of z. */
SIMD_INLINE float add_rows(const float *x, const float *residual, float *y, size_t n)
{
    vf sums[CHAINS] = {v_set(0.0f), v_set(0.0f), v_set(0.0f), v_set(0.0f)};
    size_t i = 0;
    for (; i + CHAINS * VW <= n; i += CHAINS * VW) {
        SIMD_UNROLL
        for (size_t c = 0; c < CHAINS; c++) {
            vf z = v_load(x + i + c * VW);
            if (residual != NULL) z = v_add(z, v_load(residual + i + c * VW));
            v_store(y + i + c * VW, z);
            sums[c] = v_add(sums[c], z);
        }
    }
    for (; i < n; i += VW) {
        vf z = v_load_n(x + i, n - i);
        if (residual != NULL) z = v_add(z, v_load_n(residual + i, n - i));
        v_store_n(y + i, z, n - i);
        sums[0] = v_add(sums[0], z);
    }
    return sum_of_chains(sums);
}

SIMD_INLINE float squares_about(const float *y, float center, size_t n)
{
    vf sums[CHAINS] = {v_set(0.0f), v_set(0.0f), v_set(0.0f), v_set(0.0f)};
    size_t i = 0;
    for (; i + CHAINS * VW <= n; i += CHAINS * VW) {
        SIMD_UNROLL
        for (size_t c = 0; c < CHAINS; c++) {
            const vf z = v_sub(v_load(y + i + c * VW), v_set(center));
            sums[c] = v_fma(z, z, sums[c]);
        }
    }
    for (; i < n; i += VW) {
        const vf z = v_keep_n(v_sub(v_load_n(y + i, n - i), v_set(center)), n - i, v_set(0.0f));
        sums[0] = v_fma(z, z, sums[0]);
    }
    return sum_of_chains(sums);
}

SIMD_INLINE void write_row(const mr_norm *norm, float center, float scale, float *y)
{
    for (size_t i = 0; i < norm->n; i += VW) {
        const size_t live = norm->n - i;
        vf z = v_mul(v_sub(v_load_n(y + i, live), v_set(center)), v_set(scale));
        if (norm->weight != NULL) z = v_mul(z, v_load_n(norm->weight + i, live));
        if (norm->bias != NULL) z = v_add(z, v_load_n(norm->bias + i, live));
        v_store_n(y + i, z, live);
    }
}

void SIMD(mr_layer_norm_f32)(const mr_norm *norm, const float *x, size_t ldx, const float *residual, size_t ldr, float *y, size_t ldy,
                             size_t rows)
{
    for (size_t r = 0; r < rows; r++) {
        float *out = y + r * ldy;
        const float mean = add_rows(x + r * ldx, residual != NULL ? residual + r * ldr : NULL, out, norm->n) / (float)norm->n;
        const float variance = squares_about(out, mean, norm->n) / (float)norm->n;
        write_row(norm, mean, 1.0f / sqrtf(variance + norm->eps), out);
    }
}

void SIMD(mr_rms_norm_f32)(const mr_norm *norm, const float *x, size_t ldx, const float *residual, size_t ldr, float *y, size_t ldy,
                           size_t rows)
{
    for (size_t r = 0; r < rows; r++) {
        float *out = y + r * ldy;
        add_rows(x + r * ldx, residual != NULL ? residual + r * ldr : NULL, out, norm->n);
        const float mean = squares_about(out, 0.0f, norm->n) / (float)norm->n;
        write_row(norm, 0.0f, 1.0f / sqrtf(mean + norm->eps), out);
    }
}
