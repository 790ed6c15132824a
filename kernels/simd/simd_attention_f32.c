#define SIMD_ATTENTION_FORMAT MR_LINEAR_F32
#include "kernels/simd/simd_attention.h"

void SIMD(mr_attention_f32)(const mr_attention *attention, void *scratch)
{
    attend_heads(attention, scratch);
}
