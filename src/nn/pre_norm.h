/* A stack of pre-norm transformer layers: ModernBERT, Qwen, Mistral and Gemma used as encoders.
 *
 *   n = norm(x);   x = x + out(attention(split(qkv(n))));   n = norm(x);   x = x + ffn(n);   at the end x = final_norm(x)
 *
 * with grouped key/value heads, q and k normalised per head before they are rotated, rotation and window per layer, causal or not; and
 * with each part's result normalised before it is added, x = x + norm(part).
 * On packed rows without padding, two meetings of the team per layer as in post_norm.h; a token's result depends on its own sequence
 * only, bit for bit. */
#ifndef MR_NN_PRE_NORM_H
#define MR_NN_PRE_NORM_H

#include "nn/layer_buffers.h"

typedef struct mr_pre_norm_layer {
    mr_norm attention_norm; /* n = 0: none */
    mr_linear qkv;          /* rows q | k | v */
    mr_norm q_norm, k_norm; /* RMSNorms over one head; n = 0: none */
    mr_linear out;
    mr_norm attention_post_norm; /* n = 0: none */
    mr_norm ffn_norm;
    mr_ffn ffn;
    mr_norm ffn_post_norm; /* n = 0: none */
    size_t rope;   /* which of the stack's */
    size_t window; /* of the attention; 0 = all keys */
} mr_pre_norm_layer;

#define MR_PRE_NORM_ROPES 2

typedef struct mr_pre_norm_stack {
    const mr_pre_norm_layer *layers;
    size_t layer_count;
    size_t hidden;
    bool rms_norm; /* attention_norm, ffn_norm and final_norm are RMSNorms */
    mr_rope ropes[MR_PRE_NORM_ROPES]; /* half = 0: none */
    mr_self_attention attention; /* window is the layer's */
    mr_norm final_norm; /* n = 0: none */
    bool first_rows; /* only each sequence's first row is wanted: what the last layer does after its attention's keys and values is done for
                        these alone */
} mr_pre_norm_stack;

typedef struct mr_pre_norm_buffers {
    mr_layer_buffers shared;
    mr_rope_tables ropes[MR_PRE_NORM_ROPES];
    float **part; /* [threads][panel, hidden], where results are normalised before they are added */
} mr_pre_norm_buffers;

/* Takes (or counts) everything mr_pre_norm_run needs for `tokens` rows on `threads` threads. */
void mr_pre_norm_lay_out(const mr_pre_norm_stack *stack, size_t tokens, size_t threads, mr_scratch *scratch, mr_pre_norm_buffers *out);

/* x [tokens, hidden], in place; with first_rows its first batch->count rows are the result. trace sees x before the final norm; it may
 * be NULL. */
void mr_pre_norm_run(const mr_pre_norm_stack *stack, const mr_token_batch *batch, const mr_pre_norm_buffers *buffers, float *x,
                     const mr_layer_trace *trace);

#endif
