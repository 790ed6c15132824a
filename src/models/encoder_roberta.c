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
#include "models/post_norm_encoder.h"

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "xlm-roberta") || mr_config_is(config, "model_type", "roberta") ||
           mr_config_is(config, "model_type", "camembert");
}

static mr_status read_config(const json_t *config, const char *where, mr_post_norm_shape *out, mr_error *error)
{
    mr_post_norm_shape read = { 0 };
    MR_TRY(mr_bert_read_config(config, where, &read, error));
    MR_TRY(mr_json_size(config, "pad_token_id", 1, &read.padding, where, error));
    read.counts_from_padding = true;
    if (read.padding >= read.sizes.vocab_size || read.positions < 2 || read.padding > read.positions - 2)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"pad_token_id\" %zu leaves no position of %zu to a token", where, read.padding,
                            read.positions);
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    mr_post_norm_shape read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size,
                                .max_tokens = read.positions - read.padding - 1 };
    return MR_OK;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    mr_post_norm_shape read = { 0 };
    mr_post_norm_encoder *encoder = NULL;
    MR_TRY(read_config(config, where, &read, error));
    MR_TRY(mr_post_norm_encoder_open(params, &mr_bert_names, &read, &encoder, error));
    *out = encoder;
    return MR_OK;
}

const mr_encoder_architecture mr_encoder_roberta = { "roberta", matches, limits, open_model, mr_post_norm_encoder_forward };
