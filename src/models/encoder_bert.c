/* BERT: all-MiniLM, bge-*-en, e5-*, multilingual-e5-small.
 *
 * Reference: huggingface/transformers src/transformers/models/bert/modeling_bert.py, release 5.23.0 (BertModel, eager attention).
 *
 *   e = word[ids] + type[0] + position[0 ..];   x = LayerNorm(e)
 *   per layer:  a = LayerNorm(x + out(attention(q, k, v)));   x = LayerNorm(a + down(act(up(a))))
 *   result: x of the last layer; no final norm; the pooler is not applied.
 *
 * Tensors (prefix "" or "bert."; V vocabulary, P positions, T token types, H hidden, I inner)
 *   embeddings.word_embeddings.weight                             [V, H]
 *   embeddings.position_embeddings.weight                         [P, H]
 *   embeddings.token_type_embeddings.weight                       [T, H]
 *   embeddings.LayerNorm.{weight|gamma, bias|beta}                [H]
 *   encoder.layer.N.attention.self.{query,key,value}.{weight,bias} [H, H] [H]
 *   encoder.layer.N.attention.output.dense.{weight,bias}          [H, H] [H]
 *   encoder.layer.N.attention.output.LayerNorm.*                  [H]
 *   encoder.layer.N.intermediate.dense.{weight,bias}              [I, H] [I]
 *   encoder.layer.N.output.dense.{weight,bias}                    [H, I] [H]
 *   encoder.layer.N.output.LayerNorm.*                            [H]
 * Not read: embeddings.position_ids, pooler.*, cls.*.
 *
 * Easily confused: "gelu" is the erf form; row 0 of the token types is added to every token; eps is 1e-12; "cls" pooling
 * takes the raw first row, not the pooler's. JinaBERT also says model_type "bert" (position_embedding_type "alibi"). */
#include "core/json.h"
#include "models/bert_tensors.h"
#include "models/encoder.h"
#include "nn/embedding.h"

typedef struct bert_config {
    mr_transformer_sizes sizes;
    size_t positions;
    size_t token_types;
} bert_config;

typedef struct bert {
    bert_config config;
    const mr_tensor *words, *types, *positions;
    mr_norm embedding_norm;
    mr_post_norm_stack stack;
    mr_post_norm_layer layers[];
} bert;

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "bert") && !mr_config_is(config, "position_embedding_type", "alibi") &&
           !mr_config_code_is(config, "jina-bert");
}

static mr_status read_config(const json_t *config, const char *where, bert_config *out, mr_error *error)
{
    bert_config read = { 0 };
    static const mr_transformer_sizes defaults = {
        .vocab_size = 30522, .hidden = 768, .layers = 12, .heads = 12, .inner = 3072, .activation = MR_ACTIVATION_GELU, .norm_eps = 1e-12,
    };
    MR_TRY(mr_config_sizes(config, where, &defaults, &read.sizes, error));
    MR_TRY(mr_config_size(config, "max_position_embeddings", 512, MR_CONFIG_MAX_POSITIONS, &read.positions, where, error));
    MR_TRY(mr_config_size(config, "type_vocab_size", 2, MR_CONFIG_MAX_VOCAB, &read.token_types, where, error));
    MR_TRY(mr_config_expect(config, "position_embedding_type", "absolute", where, error));
    MR_TRY(mr_config_refuse(config, "is_decoder", where, error));
    MR_TRY(mr_config_refuse(config, "add_cross_attention", where, error));
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    bert_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size, .max_tokens = read.positions };
    return MR_OK;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    bert_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    size_t hidden = read.sizes.hidden;
    void *memory = NULL;
    MR_TRY(mr_params_alloc(params, 1, sizeof(bert) + read.sizes.layers * sizeof(mr_post_norm_layer), &memory, error));
    bert *model = memory;
    model->config = read;
    model->stack = (mr_post_norm_stack){
        .layers = model->layers,
        .layer_count = read.sizes.layers,
        .hidden = hidden,
        .attention = mr_config_full_attention(&read.sizes),
    };
    static const char *const prefixes[] = { "", "bert.", NULL };
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

static void forward(const void *opaque, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                    const mr_layer_trace *trace)
{
    const bert *model = opaque;
    mr_post_norm_buffers buffers;
    mr_post_norm_lay_out(&model->stack, batch->tokens, threads, scratch, &buffers);
    if (!scratch->arena || scratch->failed) return;
    const mr_embedding_table tables[] = { { model->words, batch->ids }, { model->types, NULL }, { model->positions, batch->positions } };
    mr_embedding_run(tables, 3, &model->embedding_norm, batch->tokens, threads, hidden);
    mr_post_norm_run(&model->stack, batch, &buffers, hidden, trace);
}

const mr_encoder_architecture mr_encoder_bert = { "bert", matches, limits, open_model, forward };
