/* Attention of a packed batch: every sequence sees itself only. Split over the team by sequences and heads. */
#ifndef MR_NN_SELF_ATTENTION_H
#define MR_NN_SELF_ATTENTION_H

#include "core/work.h"
#include "kernels/kernels.h"
#include "nn/token_batch.h"

typedef struct mr_self_attention {
    size_t heads;
    size_t kv_heads;
    size_t head_dim;
    float scale;
    const float *alibi; /* [heads] slopes, or NULL */
    const float *bias;  /* [heads, 2 * bias_reach + 1] by distance key - query, or NULL; sequences have at most bias_reach + 1 tokens */
    size_t bias_reach;
    bool causal;
    double logn_base; /* > 1: scores are scaled by ln(length of the sequence) / ln(logn_base); 0 = off */
    bool logn_clip;   /* that factor is at least 1 */
    size_t window; /* keys farther away than this are not seen; 0 = all are */
    bool first_rows; /* only each sequence's first row is computed */
    bool bf16;     /* q, k, v and probabilities rounded to bf16, sums in f32: in step with linear layers that are not f32 */
} mr_self_attention;

/* Row width of qkv: heads * head_dim of q, then kv_heads * head_dim each of k and v. */
size_t mr_self_attention_width(const mr_self_attention *attention);

/* Adds `count` of them; work NULL: nothing. */
void mr_self_attention_note(const mr_self_attention *attention, size_t window, size_t count, mr_work *work);

/* qkv [tokens, width], out [tokens, heads * head_dim]. scratch [threads]: mr_attention_scratch_bytes(head_dim) each. */
void mr_self_attention_run(const mr_self_attention *attention, const mr_token_batch *batch, const float *qkv, float *out, size_t threads,
                           void *const *scratch);

#endif
