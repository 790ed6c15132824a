/* Tile sizes of attention and the one scratch layout that fits every instruction set. */
#ifndef MR_KERNELS_ATTENTION_TILES_H
#define MR_KERNELS_ATTENTION_TILES_H

#include <stddef.h>

enum {
    MR_ATTENTION_QUERIES = 240, /* share one packing of k and v: 120 would cost 5 % on 2048 tokens, 480 gains nothing */
    MR_ATTENTION_KEYS = 256,    /* k, v and scores of a tile: 70 KiB at head_dim 32, 134 KiB at 64, in L2 with room to spare */
    MR_ATTENTION_ROWS = 6,
};

/* head_dim rounded up to the widest vector. */
static inline size_t mr_attention_padded_dim(size_t head_dim)
{
    return (head_dim + 15) / 16 * 16;
}

/* k tile | v tile | six rows of q, for bf16 | their scores | accumulators | largest and sum of each query */
static inline size_t mr_attention_tiles_floats(size_t head_dim)
{
    const size_t dim = mr_attention_padded_dim(head_dim);
    return MR_ATTENTION_KEYS * (2 * dim + MR_ATTENTION_ROWS) + MR_ATTENTION_ROWS * dim + MR_ATTENTION_QUERIES * (dim + 2);
}

#endif
