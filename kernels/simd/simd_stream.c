#include "kernels/simd/simd.h"

/* Eight sums: enough to hide an addition's latency behind the loads. */
float SIMD(mr_stream_read_f32)(const float *x, size_t n)
{
    enum { CHAINS = 8 };
    vf sums[CHAINS];
    SIMD_UNROLL
    for (int i = 0; i < CHAINS; i++) sums[i] = v_set(0.0f);
    size_t at = 0;
    for (; at + CHAINS * VW <= n; at += CHAINS * VW) {
        SIMD_UNROLL
        for (int i = 0; i < CHAINS; i++) sums[i] = v_add(sums[i], v_load(x + at + (size_t)i * VW));
    }
    for (; at < n; at += VW) sums[0] = v_add(sums[0], v_load_n(x + at, n - at));
    float sum = 0.0f;
    SIMD_UNROLL
    for (int i = 0; i < CHAINS; i++) sum += v_sum(sums[i]);
    return sum;
}

void SIMD(mr_stream_triad_f32)(float *y, const float *a, const float *b, size_t n)
{
    const vf factor = v_set(3.0f);
    size_t at = 0;
    for (; at + VW <= n; at += VW) v_store(y + at, v_fma(factor, v_load(b + at), v_load(a + at)));
    if (at < n) v_store_n(y + at, v_fma(factor, v_load_n(b + at, n - at), v_load_n(a + at, n - at)), n - at);
}
