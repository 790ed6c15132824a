#include "kernels/simd/simd.h"

enum { CHAINS = 12 }; /* independent sums: latency 4 to 5 x 2 pipes, and 16 registers must do */

float SIMD(mr_fma_burst_f32)(size_t rounds, double *operations)
{
    const vf x = v_set(0.999999f), y = v_set(1e-6f);
    vf sums[CHAINS];
    SIMD_UNROLL
    for (int i = 0; i < CHAINS; i++) sums[i] = v_set((float)i);
    for (size_t r = 0; r < rounds; r++) {
        SIMD_UNROLL
        for (int i = 0; i < CHAINS; i++) sums[i] = v_fma(sums[i], x, y);
    }
    vf total = v_set(0.0f);
    SIMD_UNROLL
    for (int i = 0; i < CHAINS; i++) total = v_add(total, sums[i]);
    *operations = 2.0 * CHAINS * VW * (double)rounds;
    return v_sum(total);
}
