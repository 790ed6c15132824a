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

static void score_block(const float *query, double query_norm, const float *rows, size_t dimension, uint64_t first, size_t rows_here, uint64_t skip,
                        size_t k, mr_neighbor *out, size_t *count)
{
    const mr_kernels *kernels = mr_kernels_get();
    for (size_t i = 0; i < rows_here; i++) {
        const float *row = rows + i * dimension;
        float dot, square;
        kernels->dot_rows_f32(query, row, dimension, 1, dimension, &dot);
        kernels->dot_rows_f32(row, row, dimension, 1, dimension, &square);
        double score = (double)dot / (query_norm * sqrt((double)square));
        if (first + i != skip && isfinite(score)) insert(out, count, k, (mr_neighbor){ first + i, score });
    }
}

mr_status mr_neighbors_find(mr_embedding_file *file, const float *query, uint64_t skip, size_t k, mr_neighbor *out, size_t *count, mr_error *error)
{
    size_t dimension = mr_embedding_file_dimension(file), found = 0;
    uint64_t total = mr_embedding_file_rows(file);
    size_t block = BLOCK_BYTES / (dimension * sizeof(float));
    if (block == 0) block = 1;
    float square;
    mr_kernels_get()->dot_rows_f32(query, query, dimension, 1, dimension, &square);
    if (!(square > 0.0f) || !isfinite(square)) return mr_error_set(error, MR_INVALID_ARGUMENT, "the query's vector is zero or not finite");
    float *rows = mr_mem_alloc_array(block, dimension * sizeof(float), MR_MEM_OTHER);
    if (!rows) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate %zu rows", block);
    mr_status status = MR_OK;
    for (uint64_t first = 0; status == MR_OK && first < total && k > 0; first += block) {
        size_t here = total - first < block ? (size_t)(total - first) : block;
        status = mr_embedding_file_vectors(file, first, here, rows, error);
        if (status == MR_OK) score_block(query, sqrt((double)square), rows, dimension, first, here, skip, k, out, &found);
    }
    mr_mem_free(rows);
    if (status == MR_OK) *count = found;
    return status;
}
