#include "models/post_norm_encoder.h"

#include "nn/embedding.h"

static mr_status open_embeddings(mr_params *params, const mr_post_norm_names *names, mr_post_norm_encoder *encoder, mr_error *error)
{
    const mr_post_norm_shape *shape = &encoder->shape;
    size_t hidden = shape->sizes.hidden;
    /* The class a model was saved with puts its own name for the backbone before all others. */
    static const char *const prefixes[] = { "", "bert.", "roberta.", "xlm-roberta.", "camembert.", "mpnet.", "new.", NULL };
    MR_TRY(mr_params_set_prefix(params, prefixes, names->words, error));
    MR_TRY(mr_params_table(params, names->words, shape->sizes.vocab_size, hidden, &encoder->words, error));
    if (shape->token_types > 0) MR_TRY(mr_params_table(params, names->types, shape->token_types, hidden, &encoder->types, error));
    if (shape->positions > 0) MR_TRY(mr_params_table(params, names->positions, shape->positions, hidden, &encoder->positions, error));
    return mr_params_norm(params, names->embedding_norm, hidden, shape->sizes.norm_eps, true, &encoder->embedding_norm, error);
}

static mr_status open_layer(mr_params *params, const mr_layer_names *names, const mr_transformer_sizes *sizes, mr_post_norm_layer *layer, mr_error *error)
{
    size_t hidden = sizes->hidden, q = sizes->heads * sizes->head_dim;
    double eps = sizes->norm_eps;
    MR_TRY(mr_layer_open_attention(params, names, sizes, &layer->qkv, &layer->out, error));
    MR_TRY(mr_layer_open_norm(params, names->q_norm, q, eps, names->norm_bias, &layer->q_norm, error));
    MR_TRY(mr_layer_open_norm(params, names->k_norm, q, eps, names->norm_bias, &layer->k_norm, error));
    MR_TRY(mr_params_norm(params, names->attention_norm, hidden, eps, names->norm_bias, &layer->attention_norm, error));
    MR_TRY(mr_layer_open_norm(params, names->second_norm, hidden, eps, names->norm_bias, &layer->second_norm, error));
    MR_TRY(mr_layer_open_ffn(params, names, sizes, &layer->ffn, error));
    MR_TRY(mr_params_norm(params, names->ffn_norm, hidden, eps, names->norm_bias, &layer->ffn_norm, error));
    return mr_params_finish_scope(params, error);
}

mr_status mr_post_norm_encoder_open(mr_params *params, const mr_post_norm_names *names, const mr_post_norm_shape *shape, mr_post_norm_encoder **out,
                                    mr_error *error)
{
    const mr_transformer_sizes *sizes = &shape->sizes;
    void *memory = NULL, *layers = NULL;
    MR_TRY(mr_params_alloc(params, 1, sizeof(mr_post_norm_encoder), &memory, error));
    MR_TRY(mr_params_alloc(params, sizes->layers, sizeof(mr_post_norm_layer), &layers, error));
    mr_post_norm_encoder *encoder = memory;
    *encoder = (mr_post_norm_encoder){ .shape = *shape, .layers = layers };
    encoder->stack = (mr_post_norm_stack){ .layers = layers, .layer_count = sizes->layers, .hidden = sizes->hidden, .rms_norm = shape->rms_norm,
                                           .attention = mr_config_full_attention(sizes) };
    MR_TRY(open_embeddings(params, names, encoder, error));
    for (size_t n = 0; n < sizes->layers; n++) {
        mr_params_set_scope(params, "%s.%zu.", names->layers, n);
        MR_TRY(open_layer(params, &names->layer, sizes, &encoder->layers[n], error));
    }
    *out = encoder;
    return MR_OK;
}

static void count_positions(const mr_token_batch *batch, int32_t padding, int32_t *positions)
{
    for (size_t s = 0; s < batch->count; s++) {
        int32_t last = padding;
        for (size_t t = batch->starts[s]; t < batch->starts[s + 1]; t++) positions[t] = batch->ids[t] == padding ? padding : ++last;
    }
}

void mr_post_norm_encoder_forward(const void *opaque, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                                  const mr_layer_trace *trace)
{
    const mr_post_norm_encoder *encoder = opaque;
    bool counts = encoder->shape.counts_from_padding;
    mr_post_norm_buffers buffers;
    int32_t *counted = counts ? mr_scratch_take(scratch, batch->tokens, sizeof *counted) : NULL;
    mr_post_norm_lay_out(&encoder->stack, batch->tokens, threads, scratch, &buffers);
    if (!scratch->arena || scratch->failed) return;
    if (counts) count_positions(batch, (int32_t)encoder->shape.padding, counted);
    mr_embedding_table tables[3] = { { encoder->words, batch->ids } };
    size_t count = 1;
    if (encoder->types) tables[count++] = (mr_embedding_table){ encoder->types, NULL };
    if (encoder->positions) tables[count++] = (mr_embedding_table){ encoder->positions, counts ? counted : batch->positions };
    mr_embedding_run(tables, count, &encoder->embedding_norm, batch->tokens, threads, hidden);
    mr_post_norm_run(&encoder->stack, batch, &buffers, hidden, trace);
}
