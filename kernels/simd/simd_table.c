#include "kernels/simd/simd.h"
#include "kernels/simd/simd_tile.h"

void SIMD(mr_kernels_fill)(mr_kernels *table)
{
    table->activation_f32 = SIMD(mr_activation_f32);
    table->layer_norm_f32 = SIMD(mr_layer_norm_f32);
    table->rms_norm_f32 = SIMD(mr_rms_norm_f32);
    table->gather_sum_f32 = SIMD(mr_gather_sum_f32);
    table->softmax_f32 = SIMD(mr_softmax_f32);
    table->argmax_f32 = SIMD(mr_argmax_f32);
    table->is_finite_f32 = SIMD(mr_is_finite_f32);
    table->pool_f32 = SIMD(mr_pool_f32);
    table->l2_normalize_f32 = SIMD(mr_l2_normalize_f32);
    table->dot_rows_f32 = SIMD(mr_dot_rows_f32);
    table->rope_f32 = SIMD(mr_rope_f32);
    table->resample_rows_u8 = SIMD(mr_resample_rows_u8);
    table->resample_columns_u8 = SIMD(mr_resample_columns_u8);
    table->f32_to_f16 = SIMD(mr_f32_to_f16);
    table->f16_to_f32 = SIMD(mr_f16_to_f32);
    table->f32_to_bf16 = SIMD(mr_f32_to_bf16);
    table->bf16_to_f32 = SIMD(mr_bf16_to_f32);
    table->linear_columns = TILE_COLUMNS;
    table->linear[MR_LINEAR_F32] = SIMD(mr_linear_f32);
    table->linear[MR_LINEAR_BF16] = SIMD(mr_linear_bf16);
    table->linear[MR_LINEAR_INT8] = SIMD(mr_linear_int8);
    table->attention_f32 = SIMD(mr_attention_f32);
    table->attention_bf16 = SIMD(mr_attention_bf16);
    table->probe[MR_LINEAR_F32] = SIMD(mr_probe_f32);
    table->probe[MR_LINEAR_BF16] = SIMD(mr_probe_bf16);
    table->probe[MR_LINEAR_INT8] = SIMD(mr_probe_int8);
    table->stream_read_f32 = SIMD(mr_stream_read_f32);
    table->stream_triad_f32 = SIMD(mr_stream_triad_f32);
}
