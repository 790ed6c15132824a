#include "kernels/simd/simd_tile.h"

/* Ten chains: more than latency times throughput of any CPU's multiply-adds (5 x 2), and they fit 16 registers. */
SIMD_INLINE double probe(mr_linear_format format, size_t rounds, float *sink)
{
    enum { CHAINS = 10 };
    vf sums[CHAINS], half = v_set(0.5f);
    const vf one = v_set(1.0f);
    SIMD_UNROLL
    for (int i = 0; i < CHAINS; i++) sums[i] = v_set((float)i);
    for (size_t r = 0; r < rounds; r++) {
        SIMD_UNROLL
        for (int i = 0; i < CHAINS; i++) {
            __asm__("" : "+v"(half)); /* another value, for all the compiler knows: an emulated product is made each time */
            sums[i] = tile_step(format, half, one, sums[i]);
        }
    }
    SIMD_UNROLL
    for (int i = 0; i < CHAINS; i++) *sink += v_sum(sums[i]);
    const double inputs = format == MR_LINEAR_F32 ? 1 : format == MR_LINEAR_BF16 ? 2 : 4;
    return 2.0 * inputs / tile_halves(format) * CHAINS * VW * (double)rounds;
}

double SIMD(mr_probe_f32)(size_t rounds, float *sink)
{
    return probe(MR_LINEAR_F32, rounds, sink);
}

double SIMD(mr_probe_bf16)(size_t rounds, float *sink)
{
    return probe(MR_LINEAR_BF16, rounds, sink);
}

double SIMD(mr_probe_int8)(size_t rounds, float *sink)
{
    return probe(MR_LINEAR_INT8, rounds, sink);
}
