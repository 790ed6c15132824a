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

#include "nn/ffn.h"
#include "nn/rope.h"
#include "nn/scratch.h"
#include "nn/self_attention.h"

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

/* For tests: called with x [tokens, hidden] before the first layer (k = 0) and after layer k. */
typedef struct mr_layer_trace {
    void (*layer)(void *context, size_t k, const float *x, size_t tokens, size_t hidden);
    void *context;
} mr_layer_trace;

typedef struct mr_post_norm_buffers {
    float *qkv;     /* [tokens, width] */
    mr_rope_tables rope;
    float *context; /* [tokens, heads * head_dim] */
    size_t threads;
    float **wide;   /* [threads], each for one panel of the feed-forward part */
    float **narrow; /* [threads][panel, hidden] */
    void **linear;  /* [threads] kernel scratch */
    void **attention;
} mr_post_norm_buffers;

/* Takes (or counts) everything mr_post_norm_run needs for `tokens` rows on `threads` threads. */
void mr_post_norm_lay_out(const mr_post_norm_stack *stack, size_t tokens, size_t threads, mr_scratch *scratch, mr_post_norm_buffers *out);

/* x [tokens, hidden], in place. trace may be NULL. */
void mr_post_norm_run(const mr_post_norm_stack *stack, const mr_token_batch *batch, const mr_post_norm_buffers *buffers, float *x,
                      const mr_layer_trace *trace);

#endif
