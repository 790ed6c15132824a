/* Instruction sets that add dot products of narrow values and leave the rest as it is. */
#include "kernels/simd/simd.h"

void SIMD(mr_kernels_fill)(mr_kernels *table)
{
#if defined(__AVX512BF16__)
    table->linear[MR_LINEAR_BF16] = SIMD(mr_linear_bf16);
    table->attention_bf16 = SIMD(mr_attention_bf16);
    table->probe[MR_LINEAR_BF16] = SIMD(mr_probe_bf16);
#else
    table->linear[MR_LINEAR_INT8] = SIMD(mr_linear_int8);
    table->resample_rows_u8 = SIMD(mr_resample_rows_u8);
    table->resample_columns_u8 = SIMD(mr_resample_columns_u8);
    table->probe[MR_LINEAR_INT8] = SIMD(mr_probe_int8);
#endif
}
