#include "core/work.h"

void mr_work_add_linear(mr_work *work, mr_work_linear layer)
{
    for (size_t i = 0; i < work->linear_count; i++) {
        mr_work_linear *known = &work->linear[i];
        if (known->n != layer.n || known->k != layer.k || known->f32 != layer.f32) continue;
        known->count += layer.count;
        return;
    }
    if (work->linear_count < MR_WORK_LINEAR_MAX) work->linear[work->linear_count++] = layer;
}

void mr_work_add_attention(mr_work *work, mr_work_attention layer)
{
    for (size_t i = 0; i < work->attention_count; i++) {
        mr_work_attention *known = &work->attention[i];
        if (known->heads != layer.heads || known->kv_heads != layer.kv_heads || known->head_dim != layer.head_dim || known->window != layer.window ||
            known->keys != layer.keys || known->causal != layer.causal) continue;
        known->count += layer.count;
        return;
    }
    if (work->attention_count < MR_WORK_ATTENTION_MAX) work->attention[work->attention_count++] = layer;
}

static double layer_flops(const mr_work_linear *layer) { return 2.0 * (double)layer->n * (double)layer->k * (double)layer->count; }

double mr_work_linear_flops(const mr_work *work)
{
    double flops = 0.0;
    for (size_t i = 0; i < work->linear_count; i++) flops += layer_flops(&work->linear[i]);
    return flops;
}

double mr_work_f32_flops(const mr_work *work)
{
    double flops = 0.0;
    for (size_t i = 0; i < work->linear_count; i++)
        if (work->linear[i].f32) flops += layer_flops(&work->linear[i]);
    return flops;
}

double mr_work_one_attention_flops(const mr_work_attention *layer, size_t length)
{
    double n = (double)length, w = (double)layer->window;
    double pairs = n * n; /* of a query and a key */
    if (layer->keys > 0) pairs = n * (double)layer->keys;
    else if (layer->window > 0 && layer->window < length) pairs = n * (2.0 * w + 1.0) - w * (w + 1.0);
    if (layer->causal) pairs = (pairs + n) / 2.0;
    return 4.0 * (double)layer->heads * (double)layer->head_dim * pairs;
}

double mr_work_attention_flops(const mr_work *work, size_t length)
{
    double flops = 0.0;
    for (size_t i = 0; i < work->attention_count; i++) flops += (double)work->attention[i].count * mr_work_one_attention_flops(&work->attention[i], length);
    return flops;
}
