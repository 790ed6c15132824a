#include "kernels/simd/simd_math.h"

SIMD_INLINE void activate_row(mr_activation kind, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += VW) v_store_n(y + i, v_activate(kind, v_load_n(x + i, n - i)), n - i);
}

void SIMD(mr_activation_f32)(mr_activation kind, const float *x, float *y, size_t n)
{
    SIMD_FOR_ACTIVATION(kind, activate_row, x, y, n)
}
