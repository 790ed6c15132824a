/* What the workers of both embedders are: scratch memory for one thread's requests, and what was agreed about these. */
#ifndef MR_EMBED_EMBED_WORKER_H
#define MR_EMBED_EMBED_WORKER_H

#include "capability/embedding_response.h"
#include "core/arena.h"
#include "nn/layer_buffers.h"

typedef struct mr_embed_worker {
    const void *model; /* the embedder's own; borrowed */
    size_t dimension;  /* of its vectors */
    size_t threads;
    size_t max_inputs; /* of one request */
    size_t max_tokens; /* texts: of one request */
    size_t batch_tokens; /* texts: of all requests but those that are one longer text */
    size_t slice_tokens; /* texts: of what passes through the layers together, unless it is one longer text */
    mr_arena *arena;
    const mr_layer_trace *trace; /* tests: see mr_text_embedder_set_trace */
    float *pooled;
} mr_embed_worker;

/* `settings` is copied, with an arena of its own. */
mr_status mr_embed_worker_create(const mr_embed_worker *settings, size_t scratch_bytes, void **out, mr_error *error);
/* As mr_model_vtable has them. */
void mr_embed_worker_destroy(void *worker);
size_t mr_embed_worker_bytes(const void *worker);

/* INVALID_ARGUMENT when a request has more inputs than were agreed, or the response room for other vectors. */
mr_status mr_embed_worker_check(const mr_embed_worker *worker, size_t inputs, const mr_embedding_response *response, mr_error *error);

/* A vector is all finite, or NON_FINITE and all NaN. */
mr_status mr_embed_finish_vector(float *vector, size_t dimension);

#endif
