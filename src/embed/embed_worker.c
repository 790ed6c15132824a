#include "embed/embed_worker.h"

#include <math.h>

#include "core/mem.h"
#include "kernels/kernels.h"

mr_status mr_embed_worker_create(const mr_embed_worker *settings, size_t scratch_bytes, void **out, mr_error *error)
{
    mr_embed_worker *worker = mr_mem_calloc(1, sizeof *worker, MR_MEM_SCRATCH);
    if (!worker) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a worker");
    *worker = *settings;
    mr_status status = mr_arena_create(scratch_bytes, MR_MEM_SCRATCH, &worker->arena, error);
    if (status != MR_OK) {
        mr_mem_free(worker);
        return status;
    }
    *out = worker;
    return MR_OK;
}

void mr_embed_worker_destroy(void *opaque)
{
    mr_embed_worker *worker = opaque;
    if (!worker) return;
    mr_arena_destroy(worker->arena);
    mr_mem_free(worker);
}

size_t mr_embed_worker_bytes(const void *opaque)
{
    const mr_embed_worker *worker = opaque;
    return sizeof *worker + mr_arena_capacity(worker->arena);
}

mr_status mr_embed_worker_check(const mr_embed_worker *worker, size_t inputs, const mr_embedding_response *response, mr_error *error)
{
    if (response->dimension != worker->dimension)
        return mr_error_set(error, MR_INVALID_ARGUMENT, "room for vectors of %zu values, the model gives %zu", response->dimension, worker->dimension);
    if (inputs > worker->max_inputs)
        return mr_error_set(error, MR_INVALID_ARGUMENT, "a batch of %zu inputs, at most %zu were agreed", inputs, worker->max_inputs);
    return MR_OK;
}

mr_status mr_embed_finish_vector(float *vector, size_t dimension)
{
    if (mr_kernels_get()->is_finite_f32(vector, dimension)) return MR_OK;
    for (size_t i = 0; i < dimension; i++) vector[i] = NAN;
    return MR_NON_FINITE;
}
