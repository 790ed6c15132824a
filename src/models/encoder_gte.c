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
#include "models/encoder.h"
#include "models/transformer_config.h"
#include "nn/embedding.h"

typedef struct gte_config {
    mr_transformer_sizes sizes;
    size_t token_types;
    size_t positions;
    bool absolute; /* a table of positions instead of rope */
    double theta, factor, mixed_b; /* mixed_b 0: the plain form of NTK */
    bool rms_norm, packed, logn, logn_clip;
} gte_config;

typedef struct gte {
    gte_config config;
    const mr_tensor *words, *types, *positions; /* the last two may be NULL */
    mr_norm embedding_norm;
    mr_post_norm_stack stack;
    mr_post_norm_layer layers[];
} gte;

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
    static const mr_transformer_sizes defaults = {
        .vocab_size = 30528, .hidden = 768, .layers = 12, .heads = 12, .inner = 3072, .activation = MR_ACTIVATION_GELU, .norm_eps = 1e-12,
    };
    MR_TRY(mr_config_sizes(config, where, &defaults, &read.sizes, error));
    MR_TRY(mr_config_size(config, "max_position_embeddings", 2048, MR_CONFIG_MAX_POSITIONS, &read.positions, where, error));
    MR_TRY(mr_json_size(config, "type_vocab_size", 1, &read.token_types, where, error));
    MR_TRY(mr_json_bool(config, "pack_qkv", true, &read.packed, where, error));
    MR_TRY(mr_json_bool(config, "logn_attention_scale", false, &read.logn, where, error));
    MR_TRY(mr_json_bool(config, "logn_attention_clip1", false, &read.logn_clip, where, error));
    MR_TRY(read_choice(config, "layer_norm_type", "layer_norm", "rms_norm", &read.rms_norm, where, error));
    MR_TRY(read_choice(config, "position_embedding_type", "rope", "absolute", &read.absolute, where, error));
    if (!read.absolute) MR_TRY(read_rope(config, where, &read, error));
    if (read.sizes.head_dim % 2 != 0 || (read.logn && read.positions < 2))
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: heads of %zu values, %zu positions", where, read.sizes.head_dim, read.positions);
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    gte_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size,
                                .max_tokens = read.absolute ? read.positions : 0 };
    return MR_OK;
}

/* Plain NTK: (theta s)^(-2i/d) / s^(2/d). mixed_b = b: theta^(-2i/d) / exp(a (i + 1)^b) with a = ln s / (d/2)^b. Both are
 * theta^(-2i/d) for s = 1. */
static mr_status make_rope(mr_params *params, const gte_config *config, mr_rope *out, mr_error *error)
{
    double d = (double)config->sizes.head_dim, s = config->factor, b = config->mixed_b;
    size_t half = config->sizes.head_dim / 2;
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

static mr_status open_qkv(mr_params *params, const gte_config *config, mr_linear *out, mr_error *error)
{
    size_t hidden = config->sizes.hidden;
    const mr_linear_part packed = { .name = "attention.qkv_proj", .rows = 3 * hidden, .has_bias = true };
    const mr_linear_part apart[] = {
        { .name = "attention.q_proj", .rows = hidden, .has_bias = true },
        { .name = "attention.k_proj", .rows = hidden, .has_bias = true },
        { .name = "attention.v_proj", .rows = hidden, .has_bias = true },
    };
    return config->packed ? mr_params_linear(params, &packed, 1, hidden, out, error) : mr_params_linear(params, apart, 3, hidden, out, error);
}

static mr_status open_layer(mr_params *params, const gte_config *config, mr_post_norm_layer *layer, mr_error *error)
{
    size_t hidden = config->sizes.hidden, inner = config->sizes.inner;
    double eps = config->sizes.norm_eps;
    const mr_linear_part out = { .name = "attention.o_proj", .rows = hidden, .has_bias = true };
    const mr_linear_part up = { .name = "mlp.up_gate_proj", .rows = inner, .first = 0, .stored_rows = 2 * inner };
    const mr_linear_part gate = { .name = "mlp.up_gate_proj", .rows = inner, .first = inner, .stored_rows = 2 * inner };
    const mr_linear_part down = { .name = "mlp.down_proj", .rows = hidden, .has_bias = true };
    MR_TRY(open_qkv(params, config, &layer->qkv, error));
    MR_TRY(mr_params_linear(params, &out, 1, hidden, &layer->out, error));
    MR_TRY(mr_params_norm(params, "attn_ln", hidden, eps, !config->rms_norm, &layer->attention_norm, error));
    MR_TRY(mr_params_linear(params, &up, 1, hidden, &layer->ffn.up, error));
    MR_TRY(mr_params_linear(params, &gate, 1, hidden, &layer->ffn.gate, error));
    MR_TRY(mr_params_linear(params, &down, 1, inner, &layer->ffn.down, error));
    layer->ffn.activation = config->sizes.activation;
    return mr_params_norm(params, "mlp_ln", hidden, eps, !config->rms_norm, &layer->ffn_norm, error);
}

static mr_status open_embeddings(mr_params *params, gte *model, mr_error *error)
{
    const gte_config *config = &model->config;
    size_t hidden = config->sizes.hidden;
    static const char *const prefixes[] = { "new.", "", NULL };
    MR_TRY(mr_params_set_prefix(params, prefixes, "embeddings.word_embeddings.weight", error));
    MR_TRY(mr_params_table(params, "embeddings.word_embeddings.weight", config->sizes.vocab_size, hidden, &model->words, error));
    if (config->token_types > 0)
        MR_TRY(mr_params_table(params, "embeddings.token_type_embeddings.weight", config->token_types, hidden, &model->types, error));
    if (!config->absolute) MR_TRY(make_rope(params, config, &model->stack.rope, error));
    else MR_TRY(mr_params_table(params, "embeddings.position_embeddings.weight", config->positions, hidden, &model->positions, error));
    return mr_params_norm(params, "embeddings.LayerNorm", hidden, config->sizes.norm_eps, true, &model->embedding_norm, error);
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    gte_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    void *memory = NULL;
    MR_TRY(mr_params_alloc(params, 1, sizeof(gte) + read.sizes.layers * sizeof(mr_post_norm_layer), &memory, error));
    gte *model = memory;
    model->config = read;
    model->stack = (mr_post_norm_stack){
        .layers = model->layers,
        .layer_count = read.sizes.layers,
        .hidden = read.sizes.hidden,
        .rms_norm = read.rms_norm,
        .attention = mr_config_full_attention(&read.sizes),
    };
    model->stack.attention.logn_base = read.logn ? (double)read.positions : 0;
    model->stack.attention.logn_clip = read.logn_clip;
    MR_TRY(open_embeddings(params, model, error));
    for (size_t n = 0; n < read.sizes.layers; n++) {
        mr_params_set_scope(params, "encoder.layer.%zu.", n);
        MR_TRY(open_layer(params, &read, &model->layers[n], error));
    }
    *out = model;
    return MR_OK;
}

static void forward(const void *opaque, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                    const mr_layer_trace *trace)
{
    const gte *model = opaque;
    mr_post_norm_buffers buffers;
    mr_post_norm_lay_out(&model->stack, batch->tokens, threads, scratch, &buffers);
    if (!scratch->arena || scratch->failed) return;
    mr_embedding_table tables[3] = { { model->words, batch->ids } };
    size_t count = 1;
    if (model->types) tables[count++] = (mr_embedding_table){ model->types, NULL };
    if (model->positions) tables[count++] = (mr_embedding_table){ model->positions, batch->positions };
    mr_embedding_run(tables, count, &model->embedding_norm, batch->tokens, threads, hidden);
    mr_post_norm_run(&model->stack, batch, &buffers, hidden, trace);
}

const mr_encoder_architecture mr_encoder_gte = { "gte", matches, limits, open_model, forward };
