/* Rotary position embedding: heads turned by position * frequency, exact angles rounded once to f32.
 *
 * The tables are made per batch, as long as its longest sequence: their cost is nothing beside the layers', and no length has to be
 * fixed when the model is opened. */
#ifndef MR_NN_ROPE_H
#define MR_NN_ROPE_H

#include "nn/params.h"
#include "nn/scratch.h"
#include "nn/token_batch.h"

typedef struct mr_rope {
    size_t half;               /* rotated pairs per head (j, j + half); 0: no rotation */
    const double *frequencies; /* [half], radians per position */
} mr_rope;

typedef struct mr_rope_tables {
    float *cosine, *sine; /* [longest sequence, half] */
} mr_rope_tables;

/* The plain form: base^(-2 i / head_dim) over the whole head; `frequencies` live as long as the params. */
mr_status mr_rope_make(mr_params *params, size_t head_dim, double base, mr_rope *out, mr_error *error);

/* Takes (or counts) room for sequences of up to `tokens` tokens. */
void mr_rope_lay_out(const mr_rope *rope, size_t tokens, mr_scratch *scratch, mr_rope_tables *out);
void mr_rope_fill(const mr_rope *rope, const mr_token_batch *batch, const mr_rope_tables *tables);

/* Turns `heads` heads of every row of x, in place; positions [rows]. */
void mr_rope_turn(const mr_rope *rope, const mr_rope_tables *tables, float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim,
                  const int32_t *positions);

#endif
