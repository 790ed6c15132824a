/* The functions of one compiled instruction set; contracts in kernels.h. */
#ifndef MR_KERNELS_SIMD_CODELETS_H
#define MR_KERNELS_SIMD_CODELETS_H

#include "kernels/kernels.h"

void SIMD(mr_kernels_fill)(mr_kernels *table); /* variants.h */
void SIMD(mr_activation_f32)(mr_activation kind, const float *x, float *y, size_t n);
void SIMD(mr_layer_norm_f32)(const mr_norm *norm, const float *x, size_t ldx, const float *residual, size_t ldr, float *y, size_t ldy,
                             size_t rows);
void SIMD(mr_rms_norm_f32)(const mr_norm *norm, const float *x, size_t ldx, const float *residual, size_t ldr, float *y, size_t ldy,
                           size_t rows);
void SIMD(mr_gather_sum_f32)(const mr_gather *tables, size_t count, float *y, size_t ldy, size_t rows, size_t n);
void SIMD(mr_softmax_f32)(const float *x, float *y, size_t n);
size_t SIMD(mr_argmax_f32)(const float *x, size_t n);
bool SIMD(mr_is_finite_f32)(const float *x, size_t n);
void SIMD(mr_pool_f32)(mr_pooling kind, const float *x, size_t ldx, size_t rows, size_t first, size_t n, float *y);
void SIMD(mr_l2_normalize_f32)(const float *x, float *y, size_t n);
void SIMD(mr_dot_rows_f32)(const float *q, const float *rows, size_t ld, size_t count, size_t n, float *scores);
void SIMD(mr_rope_f32)(float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim, size_t half, const float *cosine,
                       const float *sine, const int32_t *positions, bool interleaved);
void SIMD(mr_resample_rows_u8)(const mr_resample_axis *axis, const uint8_t *x, size_t ldx, size_t width, uint8_t *y, size_t ldy,
                               size_t rows);
void SIMD(mr_resample_columns_u8)(const mr_resample_axis *axis, const uint8_t *x, size_t ldx, size_t rows, uint8_t *y, size_t ldy,
                                  size_t n);
void SIMD(mr_f32_to_f16)(const float *x, uint16_t *y, size_t n);
void SIMD(mr_f16_to_f32)(const uint16_t *x, float *y, size_t n);
void SIMD(mr_f32_to_bf16)(const float *x, uint16_t *y, size_t n);
void SIMD(mr_bf16_to_f32)(const uint16_t *x, float *y, size_t n);
mr_linear_function SIMD(mr_linear_f32);
mr_linear_function SIMD(mr_linear_bf16);
mr_linear_function SIMD(mr_linear_int8);
void SIMD(mr_attention_f32)(const mr_attention *attention, void *scratch);
void SIMD(mr_attention_bf16)(const mr_attention *attention, void *scratch);
double SIMD(mr_probe_f32)(size_t rounds, float *sink);
double SIMD(mr_probe_bf16)(size_t rounds, float *sink);
double SIMD(mr_probe_int8)(size_t rounds, float *sink);
float SIMD(mr_stream_read_f32)(const float *x, size_t n);
void SIMD(mr_stream_triad_f32)(float *y, const float *a, const float *b, size_t n);

#endif
