#include "kernels/variants.h"

void mr_kernels_fill__avx2(mr_kernels *table)
{
    (void)table;
}
