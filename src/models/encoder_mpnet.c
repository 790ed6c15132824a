/* MPNet: all-mpnet-base-v2, multi-qa-mpnet-base-*, paraphrase-mpnet-base-v2.
 *
 * Reference: huggingface/transformers src/transformers/models/mpnet/modeling_mpnet.py, release 5.23.0 (MPNetModel).
 *
 * A RoBERTa (encoder_roberta.c) without token types, whose layers all add one bias to their scores, by head and by the bucket of the
 * distance key - query.
 *
 * Tensors (prefix "" or "mpnet."; A heads): embeddings and feed-forward parts as BERT (encoder_bert.c), and
 *   encoder.layer.N.attention.attn.{q,k,v,o}.{weight,bias} [H, H] [H]; encoder.layer.N.attention.LayerNorm.* [H]
 *   encoder.relative_attention_bias.weight [B, A], B = relative_attention_num_buckets
 * Not read: pooler.*, embeddings.position_ids.
 *
 * Easily confused: positions count from the padding id, but that is 1 whatever config.json says; the buckets are T5's, the second half
 * of them for keys after the query; the bias is not scaled. */
#include <math.h>

#include "models/post_norm_encoder.h"

#define PADDING 1
#define MAX_BUCKETS ((size_t)1 << 12)
#define FARTHEST 128 /* farther keys share a bucket */

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "mpnet");
}

static mr_status read_config(const json_t *config, const char *where, mr_post_norm_shape *out, size_t *buckets, mr_error *error)
{
    mr_post_norm_shape read = { 0 };
    MR_TRY(mr_bert_read_config(config, where, &read, error));
    MR_TRY(mr_config_size(config, "relative_attention_num_buckets", 32, MAX_BUCKETS, buckets, where, error));
    if (*buckets % 4 != 0 || read.positions < PADDING + 2)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"relative_attention_num_buckets\" %zu, \"max_position_embeddings\" %zu", where, *buckets, read.positions);
    read.token_types = 0;
    read.counts_from_padding = true;
    read.padding = PADDING;
    *out = read;
    return MR_OK;
}

static size_t most_tokens(const mr_post_norm_shape *shape)
{
    return shape->positions - PADDING - 1;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    mr_post_norm_shape read = { 0 };
    size_t buckets = 0;
    MR_TRY(read_config(config, where, &read, &buckets, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size, .max_tokens = most_tokens(&read) };
    return MR_OK;
}

/* Half of the buckets for each direction; of these, half for one distance each, half in steps of equal ratio up to FARTHEST. In f32,
 * as the reference: the steps' edges depend on it. */
static size_t bucket_of(size_t distance, bool after, size_t buckets)
{
    size_t side = buckets / 2, exact = side / 2, bucket = distance;
    if (distance >= exact) {
        float step = logf((float)distance / (float)exact) / (float)log((double)FARTHEST / (double)exact) * (float)(side - exact);
        bucket = exact + (size_t)step < side ? exact + (size_t)step : side - 1;
    }
    return bucket + (after ? side : 0);
}

static mr_status open_bias(mr_params *params, const mr_post_norm_shape *shape, size_t buckets, mr_self_attention *attention, mr_error *error)
{
    size_t heads = shape->sizes.heads, reach = most_tokens(shape) - 1, width = 2 * reach + 1;
    const mr_tensor *stored = NULL;
    float *table = NULL, *bias = NULL;
    mr_params_set_scope(params, "encoder.");
    MR_TRY(mr_params_table(params, "relative_attention_bias.weight", buckets, heads, &stored, error));
    MR_TRY(mr_params_values(params, buckets * heads, &table, error));
    MR_TRY(mr_params_values(params, heads * width, &bias, error));
    if (table) mr_tensor_to_f32(stored, table);
    for (size_t i = 0; table && i < width; i++) {
        size_t bucket = bucket_of(i > reach ? i - reach : reach - i, i > reach, buckets);
        for (size_t h = 0; h < heads; h++) bias[h * width + i] = table[bucket * heads + h];
    }
    attention->bias = bias;
    attention->bias_reach = reach;
    return MR_OK;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    mr_post_norm_shape read = { 0 };
    mr_post_norm_encoder *encoder = NULL;
    mr_post_norm_names names = mr_bert_names;
    size_t buckets = 0;
    names.layer.q = (mr_linear_name){ "attention.attn.q", true };
    names.layer.k = (mr_linear_name){ "attention.attn.k", true };
    names.layer.v = (mr_linear_name){ "attention.attn.v", true };
    names.layer.out = (mr_linear_name){ "attention.attn.o", true };
    names.layer.attention_norm = "attention.LayerNorm";
    MR_TRY(read_config(config, where, &read, &buckets, error));
    MR_TRY(mr_post_norm_encoder_open(params, &names, &read, &encoder, error));
    MR_TRY(open_bias(params, &read, buckets, &encoder->stack.attention, error));
    *out = encoder;
    return MR_OK;
}

const mr_encoder_architecture mr_encoder_mpnet = { "mpnet", matches, limits, open_model, mr_post_norm_encoder_forward };
