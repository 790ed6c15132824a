/* Nearest rows of an embedding file by cosine, streaming: memory does not grow with the file. */
#ifndef MR_PIPELINES_NEIGHBORS_H
#define MR_PIPELINES_NEIGHBORS_H

#include "io/embedding_file.h"

typedef struct mr_neighbor {
    uint64_t row;
    double score; /* cosine */
} mr_neighbor;

/* The k rows with the largest cosine to `query` [dimension], best first, ties by row. Rows with NaN (failed records), zero
 * vectors and row `skip` (UINT64_MAX: none) are passed over. *count <= k. */
mr_status mr_neighbors_find(mr_embedding_file *file, const float *query, uint64_t skip, size_t k, mr_neighbor *out, size_t *count, mr_error *error);

#endif
