#include "kernels/attention.h"

#include "kernels/attention_tiles.h"
#include "kernels/kernels.h"

size_t mr_attention_scratch_bytes(size_t head_dim)
{
    return mr_attention_tiles_floats(head_dim) * sizeof(float);
}

void mr_attention_run(const mr_kernels *kernels, const mr_attention *attention, void *scratch)
{
    (attention->bf16 ? kernels->attention_bf16 : kernels->attention_f32)(attention, scratch);
}
