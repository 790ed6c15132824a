/* A stack of post-norm transformer layers, the BERT family's shape:
 *
 *   c = attention(split(qkv(x)));   a = norm(x + out(c));   x = norm(a + ffn(a))
 *
 * with variations: q and k normalised before they are split into heads, or rotated after; a second residual a = norm(x + a);
 * RMSNorm for LayerNorm.
 * It runs on packed rows without padding. Per layer the team meets twice: after the attention, and after everything that follows
 * it row panel by row panel, the next layer's q, k and v included, so that a panel stays in cache.
 * A token's result depends on its own sequence only, bit for bit. */
#ifndef MR_NN_POST_NORM_H
#define MR_NN_POST_NORM_H

#include "nn/layer_buffers.h"

typedef struct mr_post_norm_layer {
    mr_linear qkv; /* rows q | k | v */
    mr_norm q_norm, k_norm; /* over all of q and all of k, both or none; n = 0: none */
    mr_linear out;
    mr_norm attention_norm;
    mr_norm second_norm; /* of the second residual; n = 0: none */
    mr_ffn ffn;
    mr_norm ffn_norm;
} mr_post_norm_layer;

typedef struct mr_post_norm_stack {
    const mr_post_norm_layer *layers;
    size_t layer_count;
    size_t hidden;
    bool rms_norm; /* attention_norm, second_norm and ffn_norm are RMSNorms */
    mr_rope rope;
    mr_self_attention attention;
} mr_post_norm_stack;

typedef struct mr_post_norm_buffers {
    mr_layer_buffers shared;
    mr_rope_tables rope;
} mr_post_norm_buffers;

/* Takes (or counts) everything mr_post_norm_run needs for `tokens` rows on `threads` threads. */
void mr_post_norm_lay_out(const mr_post_norm_stack *stack, size_t tokens, size_t threads, mr_scratch *scratch, mr_post_norm_buffers *out);

/* x [tokens, hidden], in place. trace may be NULL. */
void mr_post_norm_run(const mr_post_norm_stack *stack, const mr_token_batch *batch, const mr_post_norm_buffers *buffers, float *x,
                      const mr_layer_trace *trace);

#endif
