#include "kernels/simd/simd.h"

/* Whole vectors straight, the tail by way of a full-width buffer. */
#define CONVERT(name, from, to, load, store)                          \
    void SIMD(name)(const from *x, to *y, size_t n)                   \
    {                                                                 \
        size_t i = 0;                                                 \
        for (; i + VW <= n; i += VW) store(y + i, load(x + i));       \
        if (i < n) {                                                  \
            from in[VW] = {0};                                        \
            to out[VW];                                               \
            memcpy(in, x + i, (n - i) * sizeof *x);                   \
            store(out, load(in));                                     \
            memcpy(y + i, out, (n - i) * sizeof *y);                  \
        }                                                             \
    }

CONVERT(mr_f32_to_f16, float, uint16_t, v_load, v_to_f16)
CONVERT(mr_f16_to_f32, uint16_t, float, v_from_f16, v_store)
CONVERT(mr_f32_to_bf16, float, uint16_t, v_load, v_to_bf16)
CONVERT(mr_bf16_to_f32, uint16_t, float, v_from_bf16, v_store)
