#include "kernels/ref/ref.h"

void mr_kernels_fill__ref(mr_kernels *table)
{
    *table = (mr_kernels){
        .activation_f32 = mr_activation_f32__ref,
        .layer_norm_f32 = mr_layer_norm_f32__ref,
        .rms_norm_f32 = mr_rms_norm_f32__ref,
        .gather_sum_f32 = mr_gather_sum_f32__ref,
        .softmax_f32 = mr_softmax_f32__ref,
        .argmax_f32 = mr_argmax_f32__ref,
        .is_finite_f32 = mr_is_finite_f32__ref,
        .pool_f32 = mr_pool_f32__ref,
        .l2_normalize_f32 = mr_l2_normalize_f32__ref,
        .dot_rows_f32 = mr_dot_rows_f32__ref,
        .rope_f32 = mr_rope_f32__ref,
        .resample_rows_u8 = mr_resample_rows_u8__ref,
        .resample_columns_u8 = mr_resample_columns_u8__ref,
        .f32_to_f16 = mr_f32_to_f16__ref,
        .f16_to_f32 = mr_f16_to_f32__ref,
        .f32_to_bf16 = mr_f32_to_bf16__ref,
        .bf16_to_f32 = mr_bf16_to_f32__ref,
        .linear_columns = 16,
        .linear = {mr_linear_f32__ref, mr_linear_bf16__ref, mr_linear_int8__ref},
        .attention_f32 = mr_attention_f32__ref,
        .attention_bf16 = mr_attention_bf16__ref,
        .probe = {mr_probe__ref, mr_probe__ref, mr_probe__ref},
        .stream_read_f32 = mr_stream_read_f32__ref,
        .stream_triad_f32 = mr_stream_triad_f32__ref,
    };
}
