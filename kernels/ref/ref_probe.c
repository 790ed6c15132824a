#include "kernels/ref/ref.h"

double mr_probe__ref(size_t rounds, float *sink)
{
    enum { CHAINS = 32 };
    float sums[CHAINS];
    for (int i = 0; i < CHAINS; i++) sums[i] = (float)i;
    for (size_t r = 0; r < rounds; r++) {
        for (int i = 0; i < CHAINS; i++) sums[i] = sums[i] * 0.5f + 1.0f;
    }
    for (int i = 0; i < CHAINS; i++) *sink += sums[i];
    return 2.0 * CHAINS * (double)rounds;
}
