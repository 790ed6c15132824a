#include "kernels/simd/simd.h"

/* Ten chains: more than latency times throughput of any CPU's multiply-adds (5 x 2), and they fit 16 registers. */
double SIMD(mr_probe_f32)(size_t rounds, float *sink)
{
    enum { CHAINS = 10 };
    vf sums[CHAINS];
    const vf half = v_set(0.5f), one = v_set(1.0f);
    SIMD_UNROLL
    for (int i = 0; i < CHAINS; i++) sums[i] = v_set((float)i);
    for (size_t r = 0; r < rounds; r++) {
        SIMD_UNROLL
        for (int i = 0; i < CHAINS; i++) sums[i] = v_fma(sums[i], half, one);
    }
    SIMD_UNROLL
    for (int i = 0; i < CHAINS; i++) *sink += v_sum(sums[i]);
    return 2.0 * CHAINS * VW * (double)rounds;
}
