/* The text_embedding capability for a model directory in sentence-transformers layout: encoder, pooling, modules. */
#ifndef MR_EMBED_TEXT_EMBEDDER_H
#define MR_EMBED_TEXT_EMBEDDER_H

#include "capability/text_embedding.h"
#include "embed/embed_options.h"
#include "nn/post_norm.h"

/* mr_model_options.capability_options is an mr_embed_options or NULL. */
extern const mr_model_vtable mr_text_embedder;

/* For tests: what the next run_batch calls of a worker compute on the way. `trace` and `pooled` [count, hidden_size * poolings] are
 * borrowed until set again; NULL is off. */
void mr_text_embedder_set_trace(void *worker, const mr_layer_trace *trace, float *pooled);

#endif
