/* The plain C variant; contracts in kernels.h. It must be right before it is anything else. */
#ifndef MR_KERNELS_REF_REF_H
#define MR_KERNELS_REF_REF_H

#include <string.h>

#include "kernels/kernels.h"
#include "kernels/variants.h"

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float value_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* To bf16, nearest even, still as f32; NaN stays NaN. */
static inline float round_bf16(float value)
{
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return value_of((bits | 0x400000) & 0xffff0000);
    return value_of((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

float mr_activate__ref(mr_activation kind, float x);
void mr_activation_f32__ref(mr_activation kind, const float *x, float *y, size_t n);
void mr_layer_norm_f32__ref(const mr_norm *norm, const float *x, size_t ldx, const float *residual, size_t ldr, float *y, size_t ldy,
                            size_t rows);
void mr_rms_norm_f32__ref(const mr_norm *norm, const float *x, size_t ldx, const float *residual, size_t ldr, float *y, size_t ldy,
                          size_t rows);
void mr_gather_sum_f32__ref(const mr_gather *tables, size_t count, float *y, size_t ldy, size_t rows, size_t n);
void mr_softmax_f32__ref(const float *x, float *y, size_t n);
size_t mr_argmax_f32__ref(const float *x, size_t n);
bool mr_is_finite_f32__ref(const float *x, size_t n);
void mr_pool_f32__ref(mr_pooling kind, const float *x, size_t ldx, size_t rows, size_t first, size_t n, float *y);
void mr_l2_normalize_f32__ref(const float *x, float *y, size_t n);
void mr_dot_rows_f32__ref(const float *q, const float *rows, size_t ld, size_t count, size_t n, float *scores);
void mr_rope_f32__ref(float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim, size_t half, const float *cosine,
                      const float *sine, const int32_t *positions, bool interleaved);
void mr_resample_rows_u8__ref(const mr_resample_axis *axis, const uint8_t *x, size_t ldx, size_t width, uint8_t *y, size_t ldy,
                              size_t rows);
void mr_resample_columns_u8__ref(const mr_resample_axis *axis, const uint8_t *x, size_t ldx, size_t rows, uint8_t *y, size_t ldy,
                                 size_t n);
void mr_f32_to_f16__ref(const float *x, uint16_t *y, size_t n);
void mr_f16_to_f32__ref(const uint16_t *x, float *y, size_t n);
void mr_f32_to_bf16__ref(const float *x, uint16_t *y, size_t n);
void mr_bf16_to_f32__ref(const uint16_t *x, float *y, size_t n);
mr_linear_function mr_linear_f32__ref;
mr_linear_function mr_linear_bf16__ref;
mr_linear_function mr_linear_int8__ref;
void mr_attention_f32__ref(const mr_attention *attention, void *scratch);
void mr_attention_bf16__ref(const mr_attention *attention, void *scratch);
double mr_probe__ref(size_t rounds, float *sink);
float mr_stream_read_f32__ref(const float *x, size_t n);
void mr_stream_triad_f32__ref(float *y, const float *a, const float *b, size_t n);

#endif
