#include "pipelines/neighbors.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "kernels/kernels.h"

#define BLOCK_BYTES ((size_t)8 << 20) /* rows read at once: long sequential reads, a few MiB of memory */

/* `out` is sorted, best first. */
static void insert(mr_neighbor *out, size_t *count, size_t k, mr_neighbor candidate)
{
    size_t at = *count;
    while (at > 0 && out[at - 1].score < candidate.score) at--;
    if (at == k) return;
    size_t moved = (*count < k ? *count : k - 1) - at;
    memmove(&out[at + 1], &out[at], moved * sizeof *out);
    out[at] = candidate;
    if (*count < k) ++*count;
}

mr_status mr_neighbors_similarity(const mr_embedding_file *file, mr_similarity *out, mr_error *error)
{
    const char *text = mr_embedding_file_attribute(file, "similarity");
    *out = MR_SIMILARITY_COSINE;
    if (!text || mr_similarity_parse(text, out)) return MR_OK;
    return mr_error_set(error, MR_BAD_INPUT, "its vectors are compared by \"%s\", which is not known here", text);
}

/* Not finite for a row that is out of the question. */
static double score_of(mr_similarity similarity, const float *query, double query_norm, const float *row, size_t dimension)
{
    float dot = 0, square = 0;
    double sum = 0;
    switch (similarity) {
    case MR_SIMILARITY_EUCLIDEAN:
        for (size_t i = 0; i < dimension; i++) sum += ((double)query[i] - row[i]) * ((double)query[i] - row[i]);
        return -sqrt(sum);
    case MR_SIMILARITY_MANHATTAN:
        for (size_t i = 0; i < dimension; i++) sum += fabs((double)query[i] - row[i]);
        return -sum;
    case MR_SIMILARITY_DOT:
    case MR_SIMILARITY_COSINE: break;
    }
    mr_kernels_get()->dot_rows_f32(query, row, dimension, 1, dimension, &dot);
    if (similarity == MR_SIMILARITY_DOT) return dot;
    mr_kernels_get()->dot_rows_f32(row, row, dimension, 1, dimension, &square);
    return (double)dot / (query_norm * sqrt((double)square));
}

mr_status mr_neighbors_find(mr_embedding_file *file, mr_similarity similarity, const float *query, uint64_t skip, size_t k, mr_neighbor *out, size_t *count,
                            mr_error *error)
{
    size_t dimension = mr_embedding_file_dimension(file), found = 0;
    uint64_t total = mr_embedding_file_rows(file);
    size_t block = BLOCK_BYTES / (dimension * sizeof(float));
    if (block == 0) block = 1;
    float square;
    mr_kernels_get()->dot_rows_f32(query, query, dimension, 1, dimension, &square);
    if ((similarity == MR_SIMILARITY_COSINE && !(square > 0.0f)) || !isfinite(square)) return mr_error_set(error, MR_INVALID_ARGUMENT, "the query's vector is zero or not finite");
    float *rows = mr_mem_alloc_array(block, dimension * sizeof(float), MR_MEM_OTHER);
    if (!rows) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate %zu rows", block);
    mr_status status = MR_OK;
    for (uint64_t first = 0; status == MR_OK && first < total && k > 0; first += block) {
        size_t here = total - first < block ? (size_t)(total - first) : block;
        status = mr_embedding_file_vectors(file, first, here, rows, error);
        for (size_t i = 0; status == MR_OK && i < here; i++) {
            double score = score_of(similarity, query, sqrt((double)square), rows + i * dimension, dimension);
            if (first + i != skip && isfinite(score)) insert(out, &found, k, (mr_neighbor){ first + i, score });
        }
    }
    mr_mem_free(rows);
    if (status == MR_OK) *count = found;
    return status;
}
