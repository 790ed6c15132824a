/* f32 <-> f16 and bf16, by integer arithmetic. */
#include "kernels/ref/ref.h"

static uint16_t to_f16(float value)
{
    const uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more round to infinity */
    if (magnitude < 0x38800000) {
        /* Below 2^-14: the result is a multiple of 2^-24, so adding 0.5 lets the hardware round to it. */
        return (uint16_t)(sign | (bits_of(value_of(magnitude) + 0.5f) - 0x3f000000));
    }
    const uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}

static float from_f16(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
    if (exponent == 0x1f) return value_of(sign | 0x7f800000 | (fraction != 0 ? 0x400000 : 0) | fraction << 13);
    if (exponent == 0) return value_of(sign | bits_of((float)fraction * 0x1p-24f));
    return value_of(sign | (exponent + 112) << 23 | fraction << 13);
}

void mr_f32_to_f16__ref(const float *x, uint16_t *y, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = to_f16(x[i]);
}

void mr_f16_to_f32__ref(const uint16_t *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = from_f16(x[i]);
}

void mr_f32_to_bf16__ref(const float *x, uint16_t *y, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = (uint16_t)(bits_of(round_bf16(x[i])) >> 16);
}

void mr_bf16_to_f32__ref(const uint16_t *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = value_of((uint32_t)x[i] << 16);
}
