/* RoBERTa and XLM-RoBERTa: multilingual-e5-base and -large, bge-m3 (dense), CamemBERT.
 *
 * Reference: huggingface/transformers src/transformers/models/xlm_roberta/modeling_xlm_roberta.py and models/roberta/modeling_roberta.py,
 * release 5.23.0 (XLMRobertaModel, eager attention).
 *
 * The layers and tensor names of BERT (encoder_bert.c; prefix "", "roberta.", "xlm-roberta." or "camembert."). Not read: lm_head.*,
 * pooler.*, embeddings.position_ids.
 *
 * Easily confused: positions count from the padding id p = pad_token_id: a token has p + (number of tokens up to and including it
 * whose id is not p), a token with id p itself has p; so the first has p + 1 = 2 and a text may have P - p - 1 tokens, not P.
 * Row 0 of the (single) token type is added. eps is 1e-5 in the published files. multilingual-e5-small has this tokenizer but is a
 * BERT (model_type), with positions from 0. */
#include "core/json.h"
#include "models/bert_tensors.h"
#include "models/encoder.h"
#include "nn/embedding.h"

typedef struct roberta_config {
    mr_transformer_sizes sizes;
    size_t positions;
    size_t token_types;
    size_t padding;
} roberta_config;

typedef struct roberta {
    roberta_config config;
    const mr_tensor *words, *types, *positions;
    mr_norm embedding_norm;
    mr_post_norm_stack stack;
    mr_post_norm_layer layers[];
} roberta;

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "xlm-roberta") || mr_config_is(config, "model_type", "roberta") ||
           mr_config_is(config, "model_type", "camembert");
}

static mr_status read_config(const json_t *config, const char *where, roberta_config *out, mr_error *error)
{
    roberta_config read = { 0 };
    static const mr_transformer_sizes defaults = {
        .vocab_size = 30522, .hidden = 768, .layers = 12, .heads = 12, .inner = 3072, .activation = MR_ACTIVATION_GELU, .norm_eps = 1e-12,
    };
    MR_TRY(mr_config_sizes(config, where, &defaults, &read.sizes, error));
    MR_TRY(mr_config_size(config, "max_position_embeddings", 512, MR_CONFIG_MAX_POSITIONS, &read.positions, where, error));
    MR_TRY(mr_config_size(config, "type_vocab_size", 2, MR_CONFIG_MAX_VOCAB, &read.token_types, where, error));
    MR_TRY(mr_json_size(config, "pad_token_id", 1, &read.padding, where, error));
    MR_TRY(mr_config_expect(config, "position_embedding_type", "absolute", where, error));
    MR_TRY(mr_config_refuse(config, "is_decoder", where, error));
    MR_TRY(mr_config_refuse(config, "add_cross_attention", where, error));
    if (read.padding >= read.sizes.vocab_size || read.positions < 2 || read.padding > read.positions - 2)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"pad_token_id\" %zu leaves no position of %zu to a token", where, read.padding,
                            read.positions);
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    roberta_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size,
                                .max_tokens = read.positions - read.padding - 1 };
    return MR_OK;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    roberta_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    size_t hidden = read.sizes.hidden;
    void *memory = NULL;
    MR_TRY(mr_params_alloc(params, 1, sizeof(roberta) + read.sizes.layers * sizeof(mr_post_norm_layer), &memory, error));
    roberta *model = memory;
    model->config = read;
    model->stack = (mr_post_norm_stack){
        .layers = model->layers,
        .layer_count = read.sizes.layers,
        .hidden = hidden,
        .attention = mr_config_full_attention(&read.sizes),
    };
    static const char *const prefixes[] = { "", "roberta.", "xlm-roberta.", "camembert.", NULL };
    MR_TRY(mr_params_set_prefix(params, prefixes, "embeddings.word_embeddings.weight", error));
    MR_TRY(mr_params_table(params, "embeddings.word_embeddings.weight", read.sizes.vocab_size, hidden, &model->words, error));
    MR_TRY(mr_params_table(params, "embeddings.token_type_embeddings.weight", read.token_types, hidden, &model->types, error));
    MR_TRY(mr_params_table(params, "embeddings.position_embeddings.weight", read.positions, hidden, &model->positions, error));
    MR_TRY(mr_params_norm(params, "embeddings.LayerNorm", hidden, read.sizes.norm_eps, true, &model->embedding_norm, error));
    for (size_t n = 0; n < read.sizes.layers; n++) {
        mr_params_set_scope(params, "encoder.layer.%zu.", n);
        MR_TRY(mr_bert_open_attention(params, &read.sizes, &model->layers[n], error));
        MR_TRY(mr_bert_open_ffn(params, &read.sizes, &model->layers[n], error));
    }
    *out = model;
    return MR_OK;
}

static void count_positions(const mr_token_batch *batch, int32_t padding, int32_t *positions)
{
    for (size_t s = 0; s < batch->count; s++) {
        int32_t last = padding;
        for (size_t t = batch->starts[s]; t < batch->starts[s + 1]; t++) positions[t] = batch->ids[t] == padding ? padding : ++last;
    }
}

static void forward(const void *opaque, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                    const mr_layer_trace *trace)
{
    const roberta *model = opaque;
    mr_post_norm_buffers buffers;
    int32_t *positions = mr_scratch_take(scratch, batch->tokens, sizeof *positions);
    mr_post_norm_lay_out(&model->stack, batch->tokens, threads, scratch, &buffers);
    if (!scratch->arena || scratch->failed) return;
    count_positions(batch, (int32_t)model->config.padding, positions);
    const mr_embedding_table tables[] = { { model->words, batch->ids }, { model->types, NULL }, { model->positions, positions } };
    mr_embedding_run(tables, 3, &model->embedding_norm, batch->tokens, threads, hidden);
    mr_post_norm_run(&model->stack, batch, &buffers, hidden, trace);
}

const mr_encoder_architecture mr_encoder_roberta = { "roberta", matches, limits, open_model, forward };
