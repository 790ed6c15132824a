#include "nn/rope.h"

#include <math.h>

mr_status mr_rope_make(mr_params *params, size_t head_dim, double base, mr_rope *out, mr_error *error)
{
    void *memory = NULL;
    MR_TRY(mr_params_alloc(params, head_dim / 2, sizeof(double), &memory, error));
    double *frequencies = memory;
    for (size_t i = 0; i < head_dim / 2; i++) frequencies[i] = pow(base, -2.0 * (double)i / (double)head_dim);
    *out = (mr_rope){ .half = head_dim / 2, .frequencies = frequencies };
    return MR_OK;
}

void mr_rope_lay_out(const mr_rope *rope, size_t tokens, mr_scratch *scratch, mr_rope_tables *out)
{
    out->cosine = mr_scratch_take(scratch, tokens, rope->half * sizeof(float));
    out->sine = mr_scratch_take(scratch, tokens, rope->half * sizeof(float));
}

void mr_rope_fill(const mr_rope *rope, const mr_token_batch *batch, const mr_rope_tables *tables)
{
    size_t longest = 0;
    for (size_t s = 0; s < batch->count; s++) {
        size_t length = batch->starts[s + 1] - batch->starts[s];
        if (length > longest) longest = length;
    }
    for (size_t position = 0; position < longest; position++) {
        for (size_t i = 0; i < rope->half; i++) {
            double angle = (double)position * rope->frequencies[i];
            tables->cosine[position * rope->half + i] = (float)cos(angle);
            tables->sine[position * rope->half + i] = (float)sin(angle);
        }
    }
}

void mr_rope_turn(const mr_rope *rope, const mr_rope_tables *tables, float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim,
                  const int32_t *positions)
{
    mr_kernels_get()->rope_f32(x, ldx, rows, heads, head_dim, rope->half, tables->cosine, tables->sine, positions, false);
}
