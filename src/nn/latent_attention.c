#include "nn/latent_attention.h"

#include <math.h>

#include "nn/layer_buffers.h"
#include "nn/team.h"

typedef struct latent_job {
    const mr_latent_attention *block;
    const mr_latent_member *members;
    float *x;
    size_t tokens;
} latent_job;

static size_t linear_scratch(const mr_latent_attention *block)
{
    size_t largest = mr_ffn_scratch_bytes(&block->ffn, MR_PANEL_ROWS);
    size_t query = mr_linear_scratch_bytes(&block->query, MR_PANEL_ROWS), out = mr_linear_scratch_bytes(&block->out, MR_PANEL_ROWS);
    if (query > largest) largest = query;
    return out > largest ? out : largest;
}

void mr_latent_attention_lay_out(const mr_latent_attention *block, size_t threads, mr_scratch *scratch, mr_latent_member **out)
{
    size_t width = block->heads * block->head_dim;
    const mr_work_attention work = { .heads = block->heads, .kv_heads = block->heads, .head_dim = block->head_dim, .keys = block->latents, .count = 1 };
    if (scratch->work) mr_work_add_attention(scratch->work, work);
    mr_latent_member *members = mr_scratch_take(scratch, threads, sizeof *members);
    for (size_t i = 0; i < threads; i++) {
        const mr_latent_member member = {
            .query = mr_scratch_take(scratch, MR_PANEL_ROWS, width * sizeof(float)),
            .context = mr_scratch_take(scratch, MR_PANEL_ROWS, width * sizeof(float)),
            .narrow = mr_scratch_take(scratch, MR_PANEL_ROWS, block->out.n * sizeof(float)),
            .wide = mr_scratch_take(scratch, mr_ffn_wide_floats(&block->ffn, MR_PANEL_ROWS), sizeof(float)),
            .linear = mr_scratch_take(scratch, linear_scratch(block), 1),
            .attention = mr_scratch_take(scratch, mr_attention_scratch_bytes(block->head_dim), 1),
        };
        if (members) members[i] = member;
    }
    *out = members;
}

static void attend_panel(void *context, size_t panel, size_t index)
{
    const latent_job *job = context;
    const mr_latent_attention *block = job->block;
    const mr_latent_member *member = &job->members[index];
    const mr_kernels *kernels = block->query.kernels;
    mr_panel at = mr_panel_at(job->tokens, panel);
    size_t hidden = block->out.n, width = block->heads * block->head_dim, rows = at.rows;
    float *x = job->x + at.first * hidden;
    const mr_epilogue add = { .residual = x, .ld_residual = hidden };
    const mr_attention attention = {
        .q = member->query, .k = block->keys, .v = block->values, .out = member->context,
        .ldq = width, .ldk = width, .ldv = width, .ldout = width,
        .queries = rows, .keys = block->latents,
        .heads = block->heads, .kv_heads = block->heads, .last_head = block->heads,
        .head_dim = block->head_dim, .scale = 1.0F / sqrtf((float)block->head_dim),
    };
    kernels->layer_norm_f32(&block->query_norm, x, hidden, NULL, 0, member->narrow, hidden, rows);
    mr_linear_run(&block->query, member->narrow, hidden, member->query, width, rows, NULL, member->linear);
    mr_attention_run(kernels, &attention, member->attention);
    mr_linear_run(&block->out, member->context, width, x, hidden, rows, &add, member->linear);
    kernels->layer_norm_f32(&block->ffn_norm, x, hidden, NULL, 0, member->narrow, hidden, rows);
    mr_ffn_run(&block->ffn, member->narrow, x, rows, member->wide, &add, member->linear);
}

void mr_latent_attention_run(const mr_latent_attention *block, const mr_latent_member *members, size_t threads, float *x, size_t tokens)
{
    latent_job job = { block, members, x, tokens };
    mr_team_run(threads, mr_panel_count(tokens), attend_panel, &job);
}
