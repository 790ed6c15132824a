/* The sum of embedding tables and the LayerNorm over it, if any. The tables are read in the files' own dtype, never copied. */
#ifndef MR_NN_EMBEDDING_H
#define MR_NN_EMBEDDING_H

#include "kernels/kernels.h"
#include "weights/checkpoint.h"

typedef struct mr_embedding_table {
    const mr_tensor *table; /* [rows, n] */
    const int32_t *ids;     /* [tokens], checked by the caller; NULL = row 0 for every token */
} mr_embedding_table;

/* y[t, :] = norm(((tables[0] + tables[1]) + tables[2]) ...) for every token; y [tokens, n] dense, count >= 1; norm (a LayerNorm)
 * may be NULL. */
void mr_embedding_run(const mr_embedding_table *tables, size_t count, const mr_norm *norm, size_t tokens, size_t threads, float *y);

#endif
