/* NV-Embed's latent attention: every token's vector attends to a fixed set of learned vectors, whose keys and values are computed once
 * when the model is opened.
 *
 *   h = h + out(attention(query(norm(h)), K, V));   h = h + ffn(norm(h))        K, V [latents, heads * head_dim], no mask */
#ifndef MR_NN_LATENT_ATTENTION_H
#define MR_NN_LATENT_ATTENTION_H

#include "nn/ffn.h"
#include "nn/scratch.h"

typedef struct mr_latent_attention {
    size_t latents, heads, head_dim;
    mr_norm query_norm; /* LayerNorms */
    mr_linear query;
    const float *keys, *values;
    mr_linear out;
    mr_norm ffn_norm;
    mr_ffn ffn;
} mr_latent_attention;

typedef struct mr_latent_member {
    float *query, *context; /* [panel, heads * head_dim] */
    float *narrow;          /* [panel, hidden] */
    float *wide;
    void *linear, *attention;
} mr_latent_member;

/* Takes (or counts) the memory of `threads` threads; *out [threads]. */
void mr_latent_attention_lay_out(const mr_latent_attention *block, size_t threads, mr_scratch *scratch, mr_latent_member **out);

/* x [tokens, hidden], in place. */
void mr_latent_attention_run(const mr_latent_attention *block, const mr_latent_member *members, size_t threads, float *x, size_t tokens);

#endif
