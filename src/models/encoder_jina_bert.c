/* JinaBERT v2: jina-embeddings-v2-*, and its "qk-post-norm" variant (-base-code, -de, -es, -zh).
 *
 * References: jinaai/jina-bert-implementation modeling_bert.py as ported in huggingface/candle
 * candle-transformers/src/models/jina_bert.rs (2a13b0f) and text-embeddings-inference backends/candle/src/models/jina.rs,
 * jina_code.rs (0d124dc); jinaai/jina-bert-v2-qk-post-norm modeling_bert.py.
 *
 * A BERT (encoder_bert.c) without position table: the scores get -slope_h |i - j| instead, and the feed-forward part is gated.
 *
 * Tensors (prefix "" or "bert."; H hidden, I inner): word and token type embeddings, embeddings.LayerNorm and
 * encoder.layer.N.attention.* as BERT, then below encoder.layer.N.
 *   v2:            mlp.gated_layers.weight [2I, H]; mlp.wo.{weight,bias} [H, I] [H]; mlp.layernorm.* [H]
 *                  ("feed_forward_type": "original" has BERT's intermediate.* and output.* instead)
 *   qk-post-norm:  attention.self.layer_norm_{q,k}.* [H]; layer_norm_1.*, layer_norm_2.* [H];
 *                  mlp.up_gated_layer.weight [2I, H] or mlp.up_layer.weight [I, H]; mlp.down_layer.{weight,bias} [H, I] [H]
 * Not read: pooler.*.
 *
 * Easily confused: of [2I, H] the first half is activated in v2, the second half in qk-post-norm; the gated layer has no bias;
 * the gate's function follows feed_forward_type, not hidden_act; the slopes of a number of heads that is no power of two are not
 * sorted; the bias is symmetric in |i - j|; qk-post-norm has two residuals around the attention; its norms of q and k span all heads.
 * max_position_embeddings is no limit: there is no table. The tensors decide between the variants, as published configs disagree. */
#include <math.h>
#include <string.h>

#include "core/json.h"
#include "models/post_norm_encoder.h"

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "bert") && (mr_config_is(config, "position_embedding_type", "alibi") || mr_config_code_is(config, "jina-bert"));
}

/* *gated: the feed-forward part has a gate, whose function becomes the sizes' activation. */
static mr_status read_config(const json_t *config, const char *where, mr_post_norm_shape *out, bool *gated, mr_error *error)
{
    mr_post_norm_shape read = { 0 };
    const char *kind = NULL;
    MR_TRY(mr_config_sizes(config, where, &mr_bert_sizes, &read.sizes, error));
    MR_TRY(mr_config_size(config, "type_vocab_size", 2, MR_CONFIG_MAX_VOCAB, &read.token_types, where, error));
    MR_TRY(mr_config_expect(config, "position_embedding_type", "alibi", where, error));
    MR_TRY(mr_config_refuse(config, "is_decoder", where, error));
    MR_TRY(mr_json_string(config, "feed_forward_type", "original", &kind, where, error));
    bool original = strcmp(kind, "original") == 0, relu = strcmp(kind, "reglu") == 0;
    if (!original && !relu && strcmp(kind, "geglu") != 0)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"feed_forward_type\" is \"%s\", known are geglu, reglu and original", where, kind);
    if (!original) read.sizes.activation = relu ? MR_ACTIVATION_RELU : MR_ACTIVATION_GELU;
    *gated = !original;
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    mr_post_norm_shape read = { 0 };
    bool gated = false;
    MR_TRY(read_config(config, where, &read, &gated, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size };
    return MR_OK;
}

/* 2^(-8 (k + 1) / n) for k < n, n the largest power of two up to `heads`; the rest are every other slope of 2n heads. */
static void fill_slopes(float *slopes, size_t heads)
{
    size_t n = 1;
    while (2 * n <= heads) n *= 2;
    for (size_t k = 0; k < n; k++) slopes[k] = (float)exp2(-8.0 * (double)(k + 1) / (double)n);
    for (size_t k = n; k < heads; k++) slopes[k] = (float)exp2(-8.0 * (double)(2 * (k - n) + 1) / (double)(2 * n));
}

static mr_post_norm_names names_for(bool qk_post_norm, bool gated)
{
    mr_post_norm_names names = mr_bert_names;
    mr_layer_names *layer = &names.layer;
    if (qk_post_norm) {
        layer->q_norm = "attention.self.layer_norm_q";
        layer->k_norm = "attention.self.layer_norm_k";
        layer->second_norm = "layer_norm_1";
        if (gated) layer->up_gate = (mr_linear_name){ "mlp.up_gated_layer", false };
        layer->up = (mr_linear_name){ "mlp.up_layer", false };
        layer->down = (mr_linear_name){ "mlp.down_layer", true };
        layer->ffn_norm = "layer_norm_2";
    } else if (gated) {
        layer->gate_up = (mr_linear_name){ "mlp.gated_layers", false };
        layer->down = (mr_linear_name){ "mlp.wo", true };
        layer->ffn_norm = "mlp.layernorm";
    }
    return names;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    mr_post_norm_shape read = { 0 };
    mr_post_norm_encoder *encoder = NULL;
    void *slopes = NULL;
    bool gated = false;
    MR_TRY(read_config(config, where, &read, &gated, error));
    bool qk_post_norm = mr_params_has(params, "encoder.layer.0.attention.self.layer_norm_q.weight") ||
                        mr_params_has(params, "bert.encoder.layer.0.attention.self.layer_norm_q.weight");
    const mr_post_norm_names names = names_for(qk_post_norm, gated);
    MR_TRY(mr_post_norm_encoder_open(params, &names, &read, &encoder, error));
    MR_TRY(mr_params_alloc(params, read.sizes.heads, sizeof(float), &slopes, error));
    fill_slopes(slopes, read.sizes.heads);
    encoder->stack.attention.alibi = slopes;
    *out = encoder;
    return MR_OK;
}

const mr_encoder_architecture mr_encoder_jina_bert = { "jina_bert", matches, limits, open_model, mr_post_norm_encoder_forward };
