#include "nn/post_norm.h"

#include "core/trace.h"
#include "nn/team.h"

typedef struct layer_job {
    const mr_post_norm_stack *stack;
    const mr_post_norm_buffers *buffers;
    const mr_token_batch *batch;
    float *x;
    size_t layer;
} layer_job;

void mr_post_norm_lay_out(const mr_post_norm_stack *stack, size_t tokens, size_t threads, mr_scratch *scratch, mr_post_norm_buffers *out)
{
    const mr_post_norm_layer *layer = &stack->layers[0];
    mr_layer_buffers_lay_out(&layer->qkv, &layer->out, &layer->ffn, stack->attention.head_dim, tokens, threads, scratch, &out->shared);
    mr_self_attention_note(&stack->attention, stack->attention.window, stack->layer_count, scratch->work);
    if (stack->rope.half > 0) mr_rope_lay_out(&stack->rope, tokens, scratch, &out->rope);
}

static void project_rows(const layer_job *job, size_t layer, size_t first, size_t rows, size_t member)
{
    const mr_post_norm_layer *from = &job->stack->layers[layer];
    const mr_linear *qkv = &from->qkv;
    float *q = job->buffers->shared.qkv + first * qkv->n, *k = q + from->q_norm.n;
    int64_t begin = mr_trace_begin();
    mr_linear_run(qkv, job->x + first * qkv->k, qkv->k, q, qkv->n, rows, NULL, job->buffers->shared.linear[member]);
    if (from->q_norm.n > 0) qkv->kernels->layer_norm_f32(&from->q_norm, q, qkv->n, NULL, 0, q, qkv->n, rows);
    if (from->k_norm.n > 0) qkv->kernels->layer_norm_f32(&from->k_norm, k, qkv->n, NULL, 0, k, qkv->n, rows);
    const mr_self_attention *attention = &job->stack->attention;
    if (job->stack->rope.half > 0)
        mr_rope_turn(&job->stack->rope, &job->buffers->rope, q, qkv->n, rows, attention->heads + attention->kv_heads, attention->head_dim,
                     job->batch->positions + first);
    mr_trace_end(begin, "q, k and v", "rows", rows);
}

/* y = norm(x + residual) on dense rows; y may be x. */
static void normalise(const layer_job *job, const mr_norm *norm, const float *x, const float *residual, float *y, size_t rows)
{
    const mr_kernels *kernels = job->stack->layers[0].out.kernels;
    size_t n = norm->n;
    (job->stack->rms_norm ? kernels->rms_norm_f32 : kernels->layer_norm_f32)(norm, x, n, residual, n, y, n, rows);
}

static void enter_panel(void *context, size_t panel, size_t member)
{
    const layer_job *job = context;
    mr_panel at = mr_panel_at(job->batch->tokens, panel);
    project_rows(job, 0, at.first, at.rows, member);
}

static void finish_panel(void *context, size_t panel, size_t member)
{
    const layer_job *job = context;
    const mr_post_norm_layer *layer = &job->stack->layers[job->layer];
    mr_panel at = mr_panel_at(job->batch->tokens, panel);
    size_t hidden = job->stack->hidden, first = at.first, rows = at.rows, inner = layer->out.k;
    float *x = job->x + first * hidden, *a = job->buffers->shared.narrow[member], *wide = job->buffers->shared.wide[member];
    void *scratch = job->buffers->shared.linear[member];

    int64_t begin = mr_trace_begin();
    mr_linear_run(&layer->out, job->buffers->shared.context + first * inner, inner, a, hidden, rows, NULL, scratch);
    normalise(job, &layer->attention_norm, a, x, a, rows);
    if (layer->second_norm.n > 0) normalise(job, &layer->second_norm, a, x, a, rows);
    mr_trace_end(begin, "attention output", "rows", rows);
    mr_epilogue add = { .residual = a, .ld_residual = hidden };
    mr_ffn_run(&layer->ffn, a, x, rows, wide, &add, scratch);
    normalise(job, &layer->ffn_norm, x, NULL, x, rows);
    if (job->layer + 1 < job->stack->layer_count) project_rows(job, job->layer + 1, first, rows, member);
}

void mr_post_norm_run(const mr_post_norm_stack *stack, const mr_token_batch *batch, const mr_post_norm_buffers *buffers, float *x,
                      const mr_layer_trace *trace)
{
    layer_job job = { .stack = stack, .buffers = buffers, .batch = batch, .x = x };
    const mr_layer_buffers *shared = &buffers->shared;
    size_t panels = mr_panel_count(batch->tokens), threads = shared->threads;
    if (trace) trace->layer(trace->context, 0, x, batch->tokens, stack->hidden);
    if (stack->rope.half > 0) mr_rope_fill(&stack->rope, batch, &buffers->rope);
    mr_team_run(threads, panels, enter_panel, &job);
    for (job.layer = 0; job.layer < stack->layer_count; job.layer++) {
        int64_t begin = mr_trace_begin();
        mr_self_attention attention = stack->attention;
        attention.bf16 = stack->layers[job.layer].qkv.format != MR_LINEAR_F32;
        mr_self_attention_run(&attention, batch, shared->qkv, shared->context, threads, shared->attention);
        mr_team_run(threads, panels, finish_panel, &job);
        mr_trace_end(begin, "layer", "index", job.layer);
        if (trace) trace->layer(trace->context, job.layer + 1, x, batch->tokens, stack->hidden);
    }
}
