/* The tensors of a transformer layer by name, and the linear layers and norms made of them. The params' scope is the layer. */
#ifndef MR_MODELS_LAYER_TENSORS_H
#define MR_MODELS_LAYER_TENSORS_H

#include "models/transformer_config.h"
#include "nn/ffn.h"
#include "nn/params.h"

typedef struct mr_linear_name {
    const char *name; /* NULL: not there */
    bool bias;
} mr_linear_name;

/* H hidden, I inner, q = heads * head_dim, kv = kv_heads * head_dim. */
typedef struct mr_layer_names {
    mr_linear_name q, k, v; /* [q, H], [kv, H], [kv, H] */
    mr_linear_name qkv;     /* or one with the rows of all three */
    mr_linear_name out;     /* [H, q] */
    mr_linear_name up;      /* [I, H] */
    mr_linear_name gate;    /* [I, H]; activated and multiplied with up; without one up itself is activated */
    mr_linear_name gate_up, up_gate; /* or both as the halves of one [2I, H], in this order */
    mr_linear_name down;    /* [H, I] */
    const char *attention_norm, *ffn_norm; /* [H] */
    const char *out_scale, *down_scale; /* [H], by which a part's result is multiplied before it is added */
    const char *q_norm, *k_norm;
    const char *second_norm;                         /* post-norm layers: of their second residual */
    const char *attention_post_norm, *ffn_post_norm; /* pre-norm layers: of a part's result, before it is added */
    bool norm_bias; /* of all norms above */
} mr_layer_names;

/* With a name of NULL `*out` stays as it is: n = 0, no norm. */
mr_status mr_layer_open_norm(mr_params *params, const char *name, size_t n, double eps, bool bias, mr_norm *out, mr_error *error);
mr_status mr_layer_open_attention(mr_params *params, const mr_layer_names *names, const mr_transformer_sizes *sizes, mr_linear *qkv, mr_linear *out,
                                  mr_error *error);
mr_status mr_layer_open_ffn(mr_params *params, const mr_layer_names *names, const mr_transformer_sizes *sizes, mr_ffn *ffn, mr_error *error);

#endif
