#include "embed/precision.h"

#include <string.h>

mr_precision mr_embed_auto_precision(void)
{
    /* Emulated elsewhere, and then slower than f32. */
    return strcmp(mr_kernels_isa_name(), "avx512bf16") == 0 ? MR_PRECISION_BF16 : MR_PRECISION_F32;
}

mr_linear_format mr_embed_linear_format(mr_precision precision)
{
    if (precision == MR_PRECISION_AUTO) precision = mr_embed_auto_precision();
    return precision == MR_PRECISION_INT8 ? MR_LINEAR_INT8 : precision == MR_PRECISION_BF16 ? MR_LINEAR_BF16 : MR_LINEAR_F32;
}
