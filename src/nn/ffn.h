/* The feed-forward part of a transformer layer on a panel of rows.
 *
 *   plain   y = down(activation(up(x)))
 *   gated   y = down(activation(gate(x)) * up(x))      GLU family: which stored half is the gate is the model file's affair */
#ifndef MR_NN_FFN_H
#define MR_NN_FFN_H

#include "kernels/kernels.h"

typedef struct mr_ffn {
    mr_linear up;
    mr_linear gate; /* n = 0: plain */
    mr_linear down;
    mr_activation activation;
} mr_ffn;

/* Floats of `wide` that `rows` rows need. */
size_t mr_ffn_wide_floats(const mr_ffn *ffn, size_t rows);
/* Largest mr_linear scratch of its layers for `rows` rows. */
size_t mr_ffn_scratch_bytes(const mr_ffn *ffn, size_t rows);

/* x and y dense [rows, hidden], not overlapping; wide and scratch as sized above. `last` is the epilogue of down (a residual,
 * which may be x), or NULL. */
void mr_ffn_run(const mr_ffn *ffn, const float *x, float *y, size_t rows, float *wide, const mr_epilogue *last, void *scratch);

#endif
