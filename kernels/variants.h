/* What each variant's table.c gives to dispatch.c: it overwrites the entries that it does better. */
#ifndef MR_KERNELS_VARIANTS_H
#define MR_KERNELS_VARIANTS_H

#include "kernels/kernels.h"

#define MR_KERNELS_FILL(name, text) void mr_kernels_fill__##name(mr_kernels *table);
MR_KERNELS_LIST(MR_KERNELS_FILL)
#undef MR_KERNELS_FILL

#endif
