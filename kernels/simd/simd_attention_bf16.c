#define SIMD_ATTENTION_FORMAT MR_LINEAR_BF16
#include "kernels/simd/simd_attention.h"

void SIMD(mr_attention_bf16)(const mr_attention *attention, void *scratch)
{
    const unsigned mode = v_subnormals_to_zero();
    attend_heads(attention, scratch);
    _mm_setcsr(mode);
}
