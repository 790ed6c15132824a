#include "models/pre_norm_encoder.h"

#include "nn/embedding.h"

mr_status mr_pre_norm_layer_open(mr_params *params, const mr_layer_names *names, const mr_transformer_sizes *sizes, mr_pre_norm_layer *layer,
                                 mr_error *error)
{
    size_t hidden = sizes->hidden, head = sizes->head_dim;
    double eps = sizes->norm_eps;
    MR_TRY(mr_layer_open_norm(params, names->attention_norm, hidden, eps, names->norm_bias, &layer->attention_norm, error));
    MR_TRY(mr_layer_open_attention(params, names, sizes, &layer->qkv, &layer->out, error));
    MR_TRY(mr_layer_open_norm(params, names->q_norm, head, eps, names->norm_bias, &layer->q_norm, error));
    MR_TRY(mr_layer_open_norm(params, names->k_norm, head, eps, names->norm_bias, &layer->k_norm, error));
    MR_TRY(mr_layer_open_norm(params, names->attention_post_norm, hidden, eps, names->norm_bias, &layer->attention_post_norm, error));
    MR_TRY(mr_params_norm(params, names->ffn_norm, hidden, eps, names->norm_bias, &layer->ffn_norm, error));
    MR_TRY(mr_layer_open_ffn(params, names, sizes, &layer->ffn, error));
    MR_TRY(mr_layer_open_norm(params, names->ffn_post_norm, hidden, eps, names->norm_bias, &layer->ffn_post_norm, error));
    return mr_params_finish_scope(params, error);
}

mr_status mr_pre_norm_encoder_open(mr_params *params, const mr_pre_norm_names *names, const mr_transformer_sizes *sizes, bool rms_norm,
                                   mr_pre_norm_encoder *out, mr_error *error)
{
    size_t hidden = sizes->hidden;
    void *layers = NULL;
    /* The class a model was saved with puts its own name for the backbone before all others. */
    static const char *const prefixes[] = { "", "model.", "embedding_model.", NULL };
    MR_TRY(mr_params_alloc(params, sizes->layers, sizeof(mr_pre_norm_layer), &layers, error));
    mr_pre_norm_encoder encoder = { .layers = layers };
    encoder.stack = (mr_pre_norm_stack){ .layers = layers, .layer_count = sizes->layers, .hidden = hidden, .rms_norm = rms_norm,
                                         .attention = mr_config_full_attention(sizes) };
    MR_TRY(mr_params_set_prefix(params, prefixes, names->words, error));
    MR_TRY(mr_params_table(params, names->words, sizes->vocab_size, hidden, &encoder.words, error));
    MR_TRY(mr_layer_open_norm(params, names->embedding_norm, hidden, sizes->norm_eps, names->layer.norm_bias, &encoder.embedding_norm, error));
    MR_TRY(mr_params_norm(params, names->final_norm, hidden, sizes->norm_eps, names->layer.norm_bias, &encoder.stack.final_norm, error));
    for (size_t n = 0; n < sizes->layers; n++) {
        mr_layer_names layer = names->layer;
        if (n == 0 && names->embedding_norm) layer.attention_norm = NULL; /* x is normalised already */
        mr_params_set_scope(params, "%s.%zu.", names->layers, n);
        MR_TRY(mr_pre_norm_layer_open(params, &layer, sizes, &encoder.layers[n], error));
    }
    *out = encoder;
    return MR_OK;
}

void mr_pre_norm_encoder_forward(const void *opaque, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                                 const mr_layer_trace *trace)
{
    const mr_pre_norm_encoder *encoder = opaque;
    mr_pre_norm_buffers buffers;
    mr_pre_norm_lay_out(&encoder->stack, batch->tokens, threads, scratch, &buffers);
    if (!scratch->arena || scratch->failed) return;
    const mr_embedding_table tables[] = { { encoder->words, batch->ids }, { encoder->positions, batch->positions } };
    mr_embedding_run(tables, encoder->positions ? 2 : 1, encoder->embedding_norm.n > 0 ? &encoder->embedding_norm : NULL, batch->tokens, threads, hidden);
    if (encoder->embedding_scale > 0)
        for (size_t i = 0; i < batch->tokens * encoder->stack.hidden; i++) hidden[i] *= encoder->embedding_scale;
    mr_pre_norm_run(&encoder->stack, batch, &buffers, hidden, trace);
}
