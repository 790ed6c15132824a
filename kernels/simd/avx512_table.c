#include "kernels/variants.h"

void mr_kernels_fill__avx512(mr_kernels *table)
{
    (void)table;
}
