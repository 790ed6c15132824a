/* The one scratch layout that attention of every instruction set fits in. */
#ifndef MR_KERNELS_ATTENTION_TILES_H
#define MR_KERNELS_ATTENTION_TILES_H

#include <stddef.h>

#define MR_ATTENTION_QUERY_TILE 64
#define MR_ATTENTION_KEY_TILE 256

/* head_dim rounded up to the widest vector. */
static inline size_t mr_attention_padded_dim(size_t head_dim)
{
    return (head_dim + 15) / 16 * 16;
}

/* Per call: K and V tiles, a block of scores, accumulators, running maxima and sums. */
static inline size_t mr_attention_tiles_floats(size_t head_dim)
{
    const size_t dim = mr_attention_padded_dim(head_dim);
    return 2 * MR_ATTENTION_KEY_TILE * dim + MR_ATTENTION_QUERY_TILE * MR_ATTENTION_KEY_TILE + MR_ATTENTION_QUERY_TILE * dim +
           3 * MR_ATTENTION_QUERY_TILE;
}

#endif
