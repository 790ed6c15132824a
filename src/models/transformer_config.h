/* Reading a transformer's config.json: sizes checked against what any published model has, options we do not implement refused. */
#ifndef MR_MODELS_TRANSFORMER_CONFIG_H
#define MR_MODELS_TRANSFORMER_CONFIG_H

#include <jansson.h>

#include "nn/self_attention.h"

/* An order of magnitude above the largest known model: anything larger is a broken or hostile file. */
#define MR_CONFIG_MAX_WIDTH ((size_t)1 << 17)
#define MR_CONFIG_MAX_INNER ((size_t)1 << 20)
#define MR_CONFIG_MAX_VOCAB ((size_t)1 << 23)
#define MR_CONFIG_MAX_LAYERS ((size_t)1 << 10)
#define MR_CONFIG_MAX_HEADS ((size_t)1 << 10)
#define MR_CONFIG_MAX_POSITIONS ((size_t)1 << 24)

/* The numbers every transformer has, under nearly the same keys. */
typedef struct mr_transformer_sizes {
    size_t vocab_size;
    size_t hidden;
    size_t layers;
    size_t heads;
    size_t kv_heads; /* divides heads */
    size_t head_dim;
    size_t inner;
    mr_activation activation;
    double norm_eps;
    /* Set in the defaults only. */
    const char *activation_key; /* NULL = hidden_act */
    const char *eps_key;        /* NULL = layer_norm_eps */
    bool decoder;               /* num_key_value_heads and head_dim count; otherwise heads share hidden evenly */
} mr_transformer_sizes;

/* Keys vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size and those above. */
mr_status mr_config_sizes(const json_t *config, const char *where, const mr_transformer_sizes *defaults, mr_transformer_sizes *out,
                          mr_error *error);

/* A size in 1 .. max; MODEL_UNSUPPORTED naming the key otherwise. */
mr_status mr_config_size(const json_t *config, const char *key, size_t fallback, size_t max, size_t *out, const char *where, mr_error *error);

/* True when the string member `key` equals `value`. */
bool mr_config_is(const json_t *config, const char *key, const char *value);
/* True when _name_or_path or a value of auto_map contains `text`: how models that share a model_type are told apart. */
bool mr_config_code_is(const json_t *config, const char *text);
/* MODEL_UNSUPPORTED unless the string member `key` is absent or equals `value`. */
mr_status mr_config_expect(const json_t *config, const char *key, const char *value, const char *where, mr_error *error);
/* MODEL_UNSUPPORTED when the boolean member `key` is true. */
mr_status mr_config_refuse(const json_t *config, const char *key, const char *where, mr_error *error);

/* rope_theta, and the rope_scaling object (borrowed; NULL when absent), from the top level or from rope_parameters, where newer
 * files keep both. */
mr_status mr_config_rope(const json_t *config, double default_theta, double *theta, const json_t **scaling, const char *where, mr_error *error);

/* Where layers see all tokens or only near ones by turns: rope_theta of one kind, from `key` or from rope_parameters.<kind>, and
 * *local from layer_types[n], left as it is when there is none. Kinds: full_attention, sliding_attention. */
mr_status mr_config_layer_theta(const json_t *config, const char *key, const char *kind, double fallback, double *theta, const char *where,
                                mr_error *error);
mr_status mr_config_layer_is_local(const json_t *config, size_t n, bool *local, const char *where, mr_error *error);

/* hidden_act spellings -> mr_activation; MODEL_UNSUPPORTED naming the key. */
mr_status mr_config_activation(const char *text, const char *key, mr_activation *out, const char *where, mr_error *error);

/* Every token sees every token of its sequence, scale 1 / sqrt(head_dim). kv_heads 0 = heads. */
mr_self_attention mr_config_full_attention(const mr_transformer_sizes *sizes);

#endif
