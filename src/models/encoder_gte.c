/* The "new" architecture of Alibaba's GTE: gte-base-en-v1.5, gte-large-en-v1.5, gte-multilingual-base, stella_en_400M_v5,
 * snowflake-arctic-embed-m-v2.0.
 *
 * References: Alibaba-NLP/new-impl modeling.py; huggingface/text-embeddings-inference backends/candle/src/models/gte.rs (0d124dc);
 * huggingface/transformers src/transformers/models/gte, release 5.23.0 (GteModel).
 *
 *   x = LayerNorm(word[ids] (+ type[0]) (+ position));   per layer:
 *   a = norm(x + out(attention(rope(q), rope(k), v)));   x = norm(a + down(up(a) * act(gate(a))))
 *
 * Tensors (prefix "new." or ""; H hidden, I inner, T = type_vocab_size)
 *   embeddings.word_embeddings.weight [V, H]; embeddings.token_type_embeddings.weight [T, H] unless T = 0;
 *   embeddings.position_embeddings.weight [P, H] only with "absolute"; embeddings.LayerNorm.{weight,bias} [H]
 *   encoder.layer.N.attention.qkv_proj.{weight,bias} [3H, H] [3H], or q_proj, k_proj, v_proj [H, H] [H] each
 *   encoder.layer.N.attention.o_proj.{weight,bias} [H, H] [H];  attn_ln.*, mlp_ln.* [H] (no bias with rms_norm)
 *   encoder.layer.N.mlp.up_gate_proj.weight [2I, H] without bias;  mlp.down_proj.{weight,bias} [H, I] [H]
 * Not read: pooler.*, lm_head.*, classifier.*. Files of transformers' own class (layers.N.self_attn...) have other names.
 *
 * Easily confused: the second half of up_gate_proj is activated; NTK scaling holds at every length, and divides the frequencies by
 * factor^(2/d) besides changing the base; the embedding norm is a LayerNorm with bias also with rms_norm; the RMSNorm's eps is
 * layer_norm_eps; gte-base has no token types at all; with rope max_position_embeddings is no limit, only the base of log-n scaling. */
#include <math.h>
#include <string.h>

#include "core/json.h"
#include "models/post_norm_encoder.h"

typedef struct gte_config {
    mr_post_norm_shape shape;
    size_t positions;
    bool absolute; /* a table of positions instead of rope */
    double theta, factor, mixed_b; /* mixed_b 0: the plain form of NTK */
    bool packed, logn, logn_clip;
} gte_config;

static const mr_layer_names gte_layer = {
    .qkv = { "attention.qkv_proj", true }, /* pack_qkv; else the next three */
    .q = { "attention.q_proj", true },
    .k = { "attention.k_proj", true },
    .v = { "attention.v_proj", true },
    .out = { "attention.o_proj", true },
    .attention_norm = "attn_ln",
    .up_gate = { "mlp.up_gate_proj", false },
    .down = { "mlp.down_proj", true },
    .ffn_norm = "mlp_ln",
    .norm_bias = true,
};

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "new") || mr_config_is(config, "model_type", "gte");
}

/* One of two spellings: *second tells which. */
static mr_status read_choice(const json_t *config, const char *key, const char *first, const char *other, bool *second, const char *where,
                             mr_error *error)
{
    const char *text = NULL;
    MR_TRY(mr_json_string(config, key, first, &text, where, error));
    *second = strcmp(text, other) == 0;
    if (*second || strcmp(text, first) == 0) return MR_OK;
    return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"%s\" is \"%s\", known are %s and %s", where, key, text, first, other);
}

static mr_status read_rope(const json_t *config, const char *where, gte_config *out, mr_error *error)
{
    const json_t *scaling = NULL;
    const char *type = NULL;
    MR_TRY(mr_config_rope(config, 10000, &out->theta, &scaling, where, error));
    out->factor = 1;
    if (scaling) {
        MR_TRY(mr_json_string(scaling, "rope_type", "default", &type, where, error));
        MR_TRY(mr_json_string(scaling, "type", type, &type, where, error));
        bool ntk = strcmp(type, "ntk") == 0;
        if (!ntk && strcmp(type, "default") != 0)
            return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"rope_scaling\" of type \"%s\" is not supported, ntk is", where, type);
        if (ntk) MR_TRY(mr_json_double(scaling, "factor", 1, &out->factor, where, error));
        MR_TRY(mr_json_double(scaling, "mixed_b", 0, &out->mixed_b, where, error));
    }
    if (!(out->factor >= 1 && out->factor <= 1024) || !(out->mixed_b >= 0 && out->mixed_b <= 10))
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"rope_scaling\" with factor %g, mixed_b %g", where, out->factor, out->mixed_b);
    return MR_OK;
}

static mr_status read_config(const json_t *config, const char *where, gte_config *out, mr_error *error)
{
    gte_config read = { 0 };
    mr_post_norm_shape *shape = &read.shape;
    static const mr_transformer_sizes defaults = {
        .vocab_size = 30528, .hidden = 768, .layers = 12, .heads = 12, .inner = 3072, .activation = MR_ACTIVATION_GELU, .norm_eps = 1e-12,
    };
    MR_TRY(mr_config_sizes(config, where, &defaults, &shape->sizes, error));
    MR_TRY(mr_config_size(config, "max_position_embeddings", 2048, MR_CONFIG_MAX_POSITIONS, &read.positions, where, error));
    MR_TRY(mr_json_size(config, "type_vocab_size", 1, &shape->token_types, where, error));
    MR_TRY(mr_json_bool(config, "pack_qkv", true, &read.packed, where, error));
    MR_TRY(mr_json_bool(config, "logn_attention_scale", false, &read.logn, where, error));
    MR_TRY(mr_json_bool(config, "logn_attention_clip1", false, &read.logn_clip, where, error));
    MR_TRY(read_choice(config, "layer_norm_type", "layer_norm", "rms_norm", &shape->rms_norm, where, error));
    MR_TRY(read_choice(config, "position_embedding_type", "rope", "absolute", &read.absolute, where, error));
    if (read.absolute) shape->positions = read.positions;
    else MR_TRY(read_rope(config, where, &read, error));
    if (shape->sizes.head_dim % 2 != 0 || (read.logn && read.positions < 2))
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: heads of %zu values, %zu positions", where, shape->sizes.head_dim, read.positions);
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    gte_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.shape.sizes.hidden, .vocab_size = read.shape.sizes.vocab_size, .max_tokens = read.shape.positions };
    return MR_OK;
}

/* Plain NTK: (theta s)^(-2i/d) / s^(2/d). mixed_b = b: theta^(-2i/d) / exp(a (i + 1)^b) with a = ln s / (d/2)^b. Both are
 * theta^(-2i/d) for s = 1. */
static mr_status make_rope(mr_params *params, const gte_config *config, mr_rope *out, mr_error *error)
{
    double d = (double)config->shape.sizes.head_dim, s = config->factor, b = config->mixed_b;
    size_t half = config->shape.sizes.head_dim / 2;
    void *memory = NULL;
    MR_TRY(mr_params_alloc(params, half, sizeof(double), &memory, error));
    double *frequencies = memory;
    for (size_t i = 0; i < half; i++) {
        double exponent = -2.0 * (double)i / d;
        if (b > 0) frequencies[i] = pow(config->theta, exponent) / exp(log(s) / pow(d / 2, b) * pow((double)i + 1, b));
        else frequencies[i] = pow(config->theta * s, exponent) / pow(s, 2 / d);
    }
    *out = (mr_rope){ .half = half, .frequencies = frequencies };
    return MR_OK;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    gte_config read = { 0 };
    mr_post_norm_encoder *encoder = NULL;
    mr_post_norm_names names = mr_bert_names;
    names.layer = gte_layer;
    MR_TRY(read_config(config, where, &read, error));
    if (!read.packed) names.layer.qkv.name = NULL;
    names.layer.norm_bias = !read.shape.rms_norm;
    MR_TRY(mr_post_norm_encoder_open(params, &names, &read.shape, &encoder, error));
    if (!read.absolute) MR_TRY(make_rope(params, &read, &encoder->stack.rope, error));
    encoder->stack.attention.logn_base = read.logn ? (double)read.positions : 0;
    encoder->stack.attention.logn_clip = read.logn_clip;
    *out = encoder;
    return MR_OK;
}

const mr_encoder_architecture mr_encoder_gte = { "gte", matches, limits, open_model, mr_post_norm_encoder_forward };
