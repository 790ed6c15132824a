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
#include "models/bert_tensors.h"
#include "models/encoder.h"
#include "nn/embedding.h"

typedef struct jina_config {
    mr_transformer_sizes sizes;
    size_t token_types;
    bool gated;
    mr_activation gate; /* the function applied to it */
} jina_config;

typedef struct jina_bert {
    const mr_tensor *words, *types;
    mr_norm embedding_norm;
    mr_post_norm_stack stack;
    mr_post_norm_layer layers[];
} jina_bert;

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "bert") && (mr_config_is(config, "position_embedding_type", "alibi") || mr_config_code_is(config, "jina-bert"));
}

static mr_status read_config(const json_t *config, const char *where, jina_config *out, mr_error *error)
{
    jina_config read = { 0 };
    const char *kind = NULL;
    static const mr_transformer_sizes defaults = {
        .vocab_size = 30522, .hidden = 768, .layers = 12, .heads = 12, .inner = 3072, .activation = MR_ACTIVATION_GELU, .norm_eps = 1e-12,
    };
    MR_TRY(mr_config_sizes(config, where, &defaults, &read.sizes, error));
    MR_TRY(mr_config_size(config, "type_vocab_size", 2, MR_CONFIG_MAX_VOCAB, &read.token_types, where, error));
    MR_TRY(mr_config_expect(config, "position_embedding_type", "alibi", where, error));
    MR_TRY(mr_config_refuse(config, "is_decoder", where, error));
    MR_TRY(mr_json_string(config, "feed_forward_type", "original", &kind, where, error));
    read.gated = strcmp(kind, "original") != 0;
    read.gate = strcmp(kind, "reglu") == 0 ? MR_ACTIVATION_RELU : MR_ACTIVATION_GELU;
    if (read.gated && strcmp(kind, "geglu") != 0 && strcmp(kind, "reglu") != 0)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"feed_forward_type\" is \"%s\", known are geglu, reglu and original", where, kind);
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    jina_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
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

/* One stored [2 inner, hidden] matrix whose halves are gate and multiplier. */
static mr_status open_gated(mr_params *params, const jina_config *config, const char *name, bool gate_first, mr_ffn *ffn, mr_error *error)
{
    size_t inner = config->sizes.inner;
    const mr_linear_part gate = { .name = name, .rows = inner, .first = gate_first ? 0 : inner, .stored_rows = 2 * inner };
    const mr_linear_part up = { .name = name, .rows = inner, .first = gate_first ? inner : 0, .stored_rows = 2 * inner };
    MR_TRY(mr_params_linear(params, &gate, 1, config->sizes.hidden, &ffn->gate, error));
    ffn->activation = config->gate;
    return mr_params_linear(params, &up, 1, config->sizes.hidden, &ffn->up, error);
}

static mr_status open_down(mr_params *params, const jina_config *config, const char *name, mr_ffn *ffn, mr_error *error)
{
    const mr_linear_part down = { .name = name, .rows = config->sizes.hidden, .has_bias = true };
    return mr_params_linear(params, &down, 1, config->sizes.inner, &ffn->down, error);
}

static mr_status open_v2_ffn(mr_params *params, const jina_config *config, mr_post_norm_layer *layer, mr_error *error)
{
    if (!config->gated) return mr_bert_open_ffn(params, &config->sizes, layer, error);
    MR_TRY(open_gated(params, config, "mlp.gated_layers", true, &layer->ffn, error));
    MR_TRY(open_down(params, config, "mlp.wo", &layer->ffn, error));
    return mr_params_norm(params, "mlp.layernorm", config->sizes.hidden, config->sizes.norm_eps, true, &layer->ffn_norm, error);
}

static mr_status open_qk_post_norm(mr_params *params, const jina_config *config, mr_post_norm_layer *layer, mr_error *error)
{
    size_t hidden = config->sizes.hidden;
    double eps = config->sizes.norm_eps;
    MR_TRY(mr_params_norm(params, "attention.self.layer_norm_q", hidden, eps, true, &layer->q_norm, error));
    MR_TRY(mr_params_norm(params, "attention.self.layer_norm_k", hidden, eps, true, &layer->k_norm, error));
    MR_TRY(mr_params_norm(params, "layer_norm_1", hidden, eps, true, &layer->second_norm, error));
    MR_TRY(mr_params_norm(params, "layer_norm_2", hidden, eps, true, &layer->ffn_norm, error));
    MR_TRY(open_down(params, config, "mlp.down_layer", &layer->ffn, error));
    if (config->gated) return open_gated(params, config, "mlp.up_gated_layer", false, &layer->ffn, error);
    const mr_linear_part up = { .name = "mlp.up_layer", .rows = config->sizes.inner };
    layer->ffn.activation = config->sizes.activation;
    return mr_params_linear(params, &up, 1, hidden, &layer->ffn.up, error);
}

static mr_status open_layer(mr_params *params, const jina_config *config, mr_post_norm_layer *layer, mr_error *error)
{
    MR_TRY(mr_bert_open_attention(params, &config->sizes, layer, error));
    if (mr_params_has(params, "attention.self.layer_norm_q.weight")) return open_qk_post_norm(params, config, layer, error);
    return open_v2_ffn(params, config, layer, error);
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    jina_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    size_t hidden = read.sizes.hidden;
    void *memory = NULL, *slopes = NULL;
    MR_TRY(mr_params_alloc(params, 1, sizeof(jina_bert) + read.sizes.layers * sizeof(mr_post_norm_layer), &memory, error));
    MR_TRY(mr_params_alloc(params, read.sizes.heads, sizeof(float), &slopes, error));
    fill_slopes(slopes, read.sizes.heads);
    jina_bert *model = memory;
    model->stack = (mr_post_norm_stack){
        .layers = model->layers,
        .layer_count = read.sizes.layers,
        .hidden = hidden,
        .attention = mr_config_full_attention(&read.sizes),
    };
    model->stack.attention.alibi = slopes;
    static const char *const prefixes[] = { "", "bert.", NULL };
    MR_TRY(mr_params_set_prefix(params, prefixes, "embeddings.word_embeddings.weight", error));
    MR_TRY(mr_params_table(params, "embeddings.word_embeddings.weight", read.sizes.vocab_size, hidden, &model->words, error));
    MR_TRY(mr_params_table(params, "embeddings.token_type_embeddings.weight", read.token_types, hidden, &model->types, error));
    MR_TRY(mr_params_norm(params, "embeddings.LayerNorm", hidden, read.sizes.norm_eps, true, &model->embedding_norm, error));
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
    const jina_bert *model = opaque;
    mr_post_norm_buffers buffers;
    mr_post_norm_lay_out(&model->stack, batch->tokens, threads, scratch, &buffers);
    if (!scratch->arena || scratch->failed) return;
    const mr_embedding_table tables[] = { { model->words, batch->ids }, { model->types, NULL } };
    mr_embedding_run(tables, 2, &model->embedding_norm, batch->tokens, threads, hidden);
    mr_post_norm_run(&model->stack, batch, &buffers, hidden, trace);
}

const mr_encoder_architecture mr_encoder_jina_bert = { "jina_bert", matches, limits, open_model, forward };
