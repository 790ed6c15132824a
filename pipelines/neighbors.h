/* Nearest rows of an embedding file, as its model compares vectors, streaming: memory does not grow with the file. */
#ifndef MR_PIPELINES_NEIGHBORS_H
#define MR_PIPELINES_NEIGHBORS_H

#include "embed/sentence_config.h"
#include "io/embedding_file.h"

typedef struct mr_neighbor {
    uint64_t row;
    double score; /* the larger the nearer: cosine, dot product, or a distance with a minus */
} mr_neighbor;

/* What the file says of its model; cosine when it says nothing. BAD_INPUT when that is unknown here. */
mr_status mr_neighbors_similarity(const mr_embedding_file *file, mr_similarity *out, mr_error *error);

/* The k rows with the largest score to `query` [dimension], best first, ties by row. Rows with NaN (failed records), for the cosine
 * zero vectors, and row `skip` (UINT64_MAX: none) are passed over. *count <= k. */
mr_status mr_neighbors_find(mr_embedding_file *file, mr_similarity similarity, const float *query, uint64_t skip, size_t k, mr_neighbor *out, size_t *count,
                            mr_error *error);

#endif
