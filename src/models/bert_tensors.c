#include "models/bert_tensors.h"

mr_status mr_bert_open_attention(mr_params *params, const mr_transformer_sizes *sizes, mr_post_norm_layer *layer, mr_error *error)
{
    size_t hidden = sizes->hidden;
    const mr_linear_part qkv[] = {
        { .name = "attention.self.query", .rows = hidden, .has_bias = true },
        { .name = "attention.self.key", .rows = hidden, .has_bias = true },
        { .name = "attention.self.value", .rows = hidden, .has_bias = true },
    };
    const mr_linear_part out = { .name = "attention.output.dense", .rows = hidden, .has_bias = true };
    MR_TRY(mr_params_linear(params, qkv, 3, hidden, &layer->qkv, error));
    MR_TRY(mr_params_linear(params, &out, 1, hidden, &layer->out, error));
    return mr_params_norm(params, "attention.output.LayerNorm", hidden, sizes->norm_eps, true, &layer->attention_norm, error);
}

mr_status mr_bert_open_ffn(mr_params *params, const mr_transformer_sizes *sizes, mr_post_norm_layer *layer, mr_error *error)
{
    const mr_linear_part up = { .name = "intermediate.dense", .rows = sizes->inner, .has_bias = true };
    const mr_linear_part down = { .name = "output.dense", .rows = sizes->hidden, .has_bias = true };
    MR_TRY(mr_params_linear(params, &up, 1, sizes->hidden, &layer->ffn.up, error));
    MR_TRY(mr_params_linear(params, &down, 1, sizes->inner, &layer->ffn.down, error));
    layer->ffn.activation = sizes->activation;
    return mr_params_norm(params, "output.LayerNorm", sizes->hidden, sizes->norm_eps, true, &layer->ffn_norm, error);
}
