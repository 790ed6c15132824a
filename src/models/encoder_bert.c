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
#include "models/post_norm_encoder.h"

const mr_transformer_sizes mr_bert_sizes = {
    .vocab_size = 30522, .hidden = 768, .layers = 12, .heads = 12, .inner = 3072, .activation = MR_ACTIVATION_GELU, .norm_eps = 1e-12,
};

const mr_post_norm_names mr_bert_names = {
    .words = "embeddings.word_embeddings.weight",
    .types = "embeddings.token_type_embeddings.weight",
    .positions = "embeddings.position_embeddings.weight",
    .embedding_norm = "embeddings.LayerNorm",
    .layers = "encoder.layer",
    .layer = {
        .q = { "attention.self.query", true },
        .k = { "attention.self.key", true },
        .v = { "attention.self.value", true },
        .out = { "attention.output.dense", true },
        .attention_norm = "attention.output.LayerNorm",
        .up = { "intermediate.dense", true },
        .down = { "output.dense", true },
        .ffn_norm = "output.LayerNorm",
        .norm_bias = true,
    },
};

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "bert") && !mr_config_is(config, "position_embedding_type", "alibi") &&
           !mr_config_code_is(config, "jina-bert");
}

mr_status mr_bert_read_config(const json_t *config, const char *where, mr_post_norm_shape *out, mr_error *error)
{
    mr_post_norm_shape read = { 0 };
    MR_TRY(mr_config_sizes(config, where, &mr_bert_sizes, &read.sizes, error));
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
    mr_post_norm_shape read = { 0 };
    MR_TRY(mr_bert_read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size, .max_tokens = read.positions };
    return MR_OK;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    mr_post_norm_shape read = { 0 };
    mr_post_norm_encoder *encoder = NULL;
    MR_TRY(mr_bert_read_config(config, where, &read, error));
    MR_TRY(mr_post_norm_encoder_open(params, &mr_bert_names, &read, &encoder, error));
    *out = encoder;
    return MR_OK;
}

const mr_encoder_architecture mr_encoder_bert = { "bert", matches, limits, open_model, mr_post_norm_encoder_forward };
