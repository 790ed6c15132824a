#include "nn/pre_norm.h"

#include <string.h>

#include "core/trace.h"
#include "nn/team.h"

typedef struct layer_job {
    const mr_pre_norm_stack *stack;
    const mr_pre_norm_buffers *buffers;
    const mr_token_batch *batch;
    float *x;
    size_t rows; /* of x */
    size_t layer;
} layer_job;

void mr_pre_norm_lay_out(const mr_pre_norm_stack *stack, size_t tokens, size_t threads, mr_scratch *scratch, mr_pre_norm_buffers *out)
{
    const mr_pre_norm_layer *layer = &stack->layers[0];
    mr_layer_buffers_lay_out(&layer->qkv, &layer->out, &layer->ffn, stack->attention.head_dim, tokens, threads, scratch, &out->shared);
    for (size_t i = 0; i < stack->layer_count; i++) mr_self_attention_note(&stack->attention, stack->layers[i].window, 1, scratch->work);
    for (size_t i = 0; i < MR_PRE_NORM_ROPES; i++)
        if (stack->ropes[i].half > 0) mr_rope_lay_out(&stack->ropes[i], tokens, scratch, &out->ropes[i]);
    if (layer->attention_post_norm.n > 0 || layer->ffn_post_norm.n > 0)
        out->part = (float **)mr_scratch_take_per_member(scratch, threads, MR_PANEL_ROWS * stack->hidden * sizeof(float));
}

static void normalise(const mr_pre_norm_stack *stack, const mr_norm *norm, const float *x, float *y, size_t rows)
{
    const mr_kernels *kernels = stack->layers[0].out.kernels;
    (stack->rms_norm ? kernels->rms_norm_f32 : kernels->layer_norm_f32)(norm, x, norm->n, NULL, 0, y, norm->n, rows);
}

/* Each head of each row by itself: heads [rows, count, norm->n] at a row distance of ld. */
static void normalise_heads(const mr_kernels *kernels, const mr_norm *norm, float *heads, size_t count, size_t ld, size_t rows)
{
    for (size_t r = 0; r < rows; r++) kernels->rms_norm_f32(norm, heads + r * ld, norm->n, NULL, 0, heads + r * ld, norm->n, count);
}

/* x -> q, k, v of `layer` for the rows of one panel. */
static void project_rows(const layer_job *job, size_t index, size_t first, size_t rows, size_t member)
{
    const mr_pre_norm_stack *stack = job->stack;
    const mr_pre_norm_layer *layer = &stack->layers[index];
    const mr_self_attention *attention = &stack->attention;
    size_t width = layer->qkv.n;
    const float *from = job->x + first * stack->hidden;
    float *q = job->buffers->shared.qkv + first * width, *k = q + attention->heads * attention->head_dim;
    int64_t begin = mr_trace_begin();
    if (layer->attention_norm.n > 0) {
        float *normed = job->buffers->shared.narrow[member];
        normalise(stack, &layer->attention_norm, from, normed, rows);
        from = normed;
    }
    mr_linear_run(&layer->qkv, from, stack->hidden, q, width, rows, NULL, job->buffers->shared.linear[member]);
    if (layer->q_norm.n > 0) normalise_heads(layer->qkv.kernels, &layer->q_norm, q, attention->heads, width, rows);
    if (layer->k_norm.n > 0) normalise_heads(layer->qkv.kernels, &layer->k_norm, k, attention->kv_heads, width, rows);
    const mr_rope *rope = &stack->ropes[layer->rope];
    if (rope->half > 0)
        mr_rope_turn(rope, &job->buffers->ropes[layer->rope], q, width, rows, attention->heads + attention->kv_heads, attention->head_dim,
                     job->batch->positions + first);
    mr_trace_end(begin, "q, k and v", "rows", rows);
}

static void enter_panel(void *context, size_t panel, size_t member)
{
    const layer_job *job = context;
    mr_panel at = mr_panel_at(job->rows, panel);
    project_rows(job, 0, at.first, at.rows, member);
}

/* x += norm(part) */
static void add_normalised(const mr_pre_norm_stack *stack, const mr_norm *norm, float *part, float *x, size_t rows)
{
    normalise(stack, norm, part, part, rows);
    for (size_t i = 0; i < rows * stack->hidden; i++) x[i] += part[i];
}

static void finish_panel(void *context, size_t panel, size_t member)
{
    const layer_job *job = context;
    const mr_layer_buffers *buffers = &job->buffers->shared;
    const mr_pre_norm_layer *layer = &job->stack->layers[job->layer];
    mr_panel at = mr_panel_at(job->rows, panel);
    size_t hidden = job->stack->hidden, first = at.first, rows = at.rows, inner = layer->out.k;
    float *x = job->x + first * hidden, *normed = buffers->narrow[member];
    /* A part's result goes on top of x as it is computed, or aside first. */
    const mr_epilogue add = { .residual = x, .ld_residual = hidden };
    bool attention_aside = layer->attention_post_norm.n > 0, ffn_aside = layer->ffn_post_norm.n > 0;
    float *part = attention_aside || ffn_aside ? job->buffers->part[member] : NULL;
    int64_t begin = mr_trace_begin();
    mr_linear_run(&layer->out, buffers->context + first * inner, inner, attention_aside ? part : x, hidden, rows, attention_aside ? NULL : &add,
                  buffers->linear[member]);
    if (attention_aside) add_normalised(job->stack, &layer->attention_post_norm, part, x, rows);
    normalise(job->stack, &layer->ffn_norm, x, normed, rows);
    mr_trace_end(begin, "attention output", "rows", rows);
    mr_ffn_run(&layer->ffn, normed, ffn_aside ? part : x, rows, buffers->wide[member], ffn_aside ? NULL : &add, buffers->linear[member]);
    if (ffn_aside) add_normalised(job->stack, &layer->ffn_post_norm, part, x, rows);
    if (job->layer + 1 < job->stack->layer_count) project_rows(job, job->layer + 1, first, rows, member);
}

static void leave_panel(void *context, size_t panel, size_t member)
{
    (void)member;
    const layer_job *job = context;
    mr_panel at = mr_panel_at(job->rows, panel);
    float *x = job->x + at.first * job->stack->hidden;
    normalise(job->stack, &job->stack->final_norm, x, x, at.rows);
}

/* The first rows of all sequences, moved to the front. */
static void keep_first_rows(const mr_token_batch *batch, float *rows, size_t width)
{
    for (size_t i = 0; i < batch->count; i++) memmove(rows + i * width, rows + batch->starts[i] * width, width * sizeof *rows);
}

static void attend(layer_job *job, bool first_rows)
{
    const mr_layer_buffers *buffers = &job->buffers->shared;
    const mr_pre_norm_layer *layer = &job->stack->layers[job->layer];
    mr_self_attention attention = job->stack->attention;
    attention.window = layer->window;
    attention.bf16 = layer->qkv.format != MR_LINEAR_F32;
    attention.first_rows = first_rows;
    mr_self_attention_run(&attention, job->batch, buffers->qkv, buffers->context, buffers->threads, buffers->attention);
    if (!first_rows) return;
    keep_first_rows(job->batch, buffers->context, layer->out.k);
    keep_first_rows(job->batch, job->x, job->stack->hidden);
    job->rows = job->batch->count;
}

void mr_pre_norm_run(const mr_pre_norm_stack *stack, const mr_token_batch *batch, const mr_pre_norm_buffers *buffers, float *x,
                     const mr_layer_trace *trace)
{
    layer_job job = { .stack = stack, .buffers = buffers, .batch = batch, .x = x, .rows = batch->tokens };
    size_t threads = buffers->shared.threads;
    for (size_t i = 0; i < MR_PRE_NORM_ROPES; i++)
        if (stack->ropes[i].half > 0) mr_rope_fill(&stack->ropes[i], batch, &buffers->ropes[i]);
    if (trace) trace->layer(trace->context, 0, x, job.rows, stack->hidden);
    mr_team_run(threads, mr_panel_count(job.rows), enter_panel, &job);
    for (job.layer = 0; job.layer < stack->layer_count; job.layer++) {
        int64_t begin = mr_trace_begin();
        attend(&job, stack->first_rows && job.layer + 1 == stack->layer_count);
        mr_team_run(threads, mr_panel_count(job.rows), finish_panel, &job);
        mr_trace_end(begin, "layer", "index", job.layer);
        if (trace) trace->layer(trace->context, job.layer + 1, x, job.rows, stack->hidden);
    }
    if (stack->final_norm.n > 0) mr_team_run(threads, mr_panel_count(job.rows), leave_panel, &job);
}
