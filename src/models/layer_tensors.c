#include "models/layer_tensors.h"

mr_status mr_layer_open_norm(mr_params *params, const char *name, size_t n, double eps, bool bias, mr_norm *out, mr_error *error)
{
    return name ? mr_params_norm(params, name, n, eps, bias, out, error) : MR_OK;
}

static mr_status open_linear(mr_params *params, const mr_linear_name *name, const char *scale, size_t rows, size_t k, mr_linear *out, mr_error *error)
{
    const mr_linear_part part = { .name = name->name, .rows = rows, .has_bias = name->bias, .scale = scale };
    return mr_params_linear(params, &part, 1, k, out, error);
}

mr_status mr_layer_open_attention(mr_params *params, const mr_layer_names *names, const mr_transformer_sizes *sizes, mr_linear *qkv, mr_linear *out,
                                  mr_error *error)
{
    size_t hidden = sizes->hidden, q = sizes->heads * sizes->head_dim, kv = sizes->kv_heads * sizes->head_dim;
    const mr_linear_part parts[] = {
        { .name = names->q.name, .rows = q, .has_bias = names->q.bias },
        { .name = names->k.name, .rows = kv, .has_bias = names->k.bias },
        { .name = names->v.name, .rows = kv, .has_bias = names->v.bias },
    };
    if (names->qkv.name) MR_TRY(open_linear(params, &names->qkv, NULL, q + 2 * kv, hidden, qkv, error));
    else MR_TRY(mr_params_linear(params, parts, 3, hidden, qkv, error));
    return open_linear(params, &names->out, names->out_scale, hidden, q, out, error);
}

/* One of the two halves of a stored [2 inner, hidden]. */
static mr_status open_half(mr_params *params, const mr_linear_name *name, size_t half, const mr_transformer_sizes *sizes, mr_linear *out, mr_error *error)
{
    const mr_linear_part part = { .name = name->name, .rows = sizes->inner, .has_bias = name->bias, .first = half * sizes->inner,
                                  .stored_rows = 2 * sizes->inner };
    return mr_params_linear(params, &part, 1, sizes->hidden, out, error);
}

mr_status mr_layer_open_ffn(mr_params *params, const mr_layer_names *names, const mr_transformer_sizes *sizes, mr_ffn *ffn, mr_error *error)
{
    size_t hidden = sizes->hidden, inner = sizes->inner;
    const mr_linear_name *halves = names->gate_up.name ? &names->gate_up : &names->up_gate;
    if (halves->name) {
        size_t gate = halves == &names->gate_up ? 0 : 1;
        MR_TRY(open_half(params, halves, gate, sizes, &ffn->gate, error));
        MR_TRY(open_half(params, halves, 1 - gate, sizes, &ffn->up, error));
    } else {
        MR_TRY(open_linear(params, &names->up, NULL, inner, hidden, &ffn->up, error));
        if (names->gate.name) MR_TRY(open_linear(params, &names->gate, NULL, inner, hidden, &ffn->gate, error));
    }
    ffn->activation = sizes->activation;
    return open_linear(params, &names->down, names->down_scale, hidden, inner, &ffn->down, error);
}
