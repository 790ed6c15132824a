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

float mr_stream_read_f32__ref(const float *x, size_t n)
{
    enum { CHAINS = 16 };
    float sums[CHAINS] = {0};
    for (size_t i = 0; i < n; i++) sums[i % CHAINS] += x[i];
    float sum = 0.0f;
    for (int i = 0; i < CHAINS; i++) sum += sums[i];
    return sum;
}

void mr_stream_triad_f32__ref(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = a[i] + 3.0f * b[i];
}
