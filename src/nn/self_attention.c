#include "nn/self_attention.h"

#include <math.h>

#include "core/trace.h"
#include "nn/team.h"

/* With at least this many sequences per member a whole sequence is a fair piece of work; below, its heads are split. */
#define SEQUENCES_PER_MEMBER 8

typedef struct attention_job {
    const mr_self_attention *attention;
    const mr_token_batch *batch;
    const float *qkv;
    float *out;
    void *const *scratch;
    size_t pieces; /* per sequence: 1 or heads */
} attention_job;

size_t mr_self_attention_width(const mr_self_attention *attention)
{
    return (attention->heads + 2 * attention->kv_heads) * attention->head_dim;
}

void mr_self_attention_note(const mr_self_attention *attention, size_t window, size_t count, mr_work *work)
{
    if (!work) return;
    mr_work_add_attention(work, (mr_work_attention){ .heads = attention->heads, .kv_heads = attention->kv_heads, .head_dim = attention->head_dim,
                                                     .window = window, .causal = attention->causal, .count = count });
}

static float scale_for(const mr_self_attention *attention, size_t length)
{
    if (attention->logn_base <= 1) return attention->scale;
    double factor = log((double)length) / log(attention->logn_base);
    if (attention->logn_clip && factor < 1) factor = 1;
    return (float)((double)attention->scale * factor);
}

static void attend(void *context, size_t item, size_t member)
{
    const attention_job *job = context;
    const mr_self_attention *attention = job->attention;
    size_t sequence = item / job->pieces, piece = item % job->pieces;
    size_t start = job->batch->starts[sequence], length = job->batch->starts[sequence + 1] - start;
    size_t width = mr_self_attention_width(attention), q_width = attention->heads * attention->head_dim;
    const float *q = job->qkv + start * width;
    mr_attention call = {
        .q = q,
        .k = q + q_width,
        .v = q + q_width + attention->kv_heads * attention->head_dim,
        .out = job->out + start * q_width,
        .ldq = width,
        .ldk = width,
        .ldv = width,
        .ldout = q_width,
        .queries = attention->first_rows ? 1 : length,
        .keys = length,
        .heads = attention->heads,
        .kv_heads = attention->kv_heads,
        .first_head = job->pieces == 1 ? 0 : piece,
        .last_head = job->pieces == 1 ? attention->heads : piece + 1,
        .head_dim = attention->head_dim,
        .scale = scale_for(attention, length),
        .alibi = attention->alibi,
        .bias = attention->bias,
        .bias_reach = attention->bias_reach,
        .causal = attention->causal,
        .window = attention->window,
        .bf16 = attention->bf16,
    };
    mr_attention_run(mr_kernels_get(), &call, job->scratch[member]);
}

void mr_self_attention_run(const mr_self_attention *attention, const mr_token_batch *batch, const float *qkv, float *out, size_t threads,
                           void *const *scratch)
{
    bool split = threads > 1 && batch->count < threads * SEQUENCES_PER_MEMBER;
    attention_job job = { attention, batch, qkv, out, scratch, split ? attention->heads : 1 };
    int64_t begin = mr_trace_begin();
    mr_team_run(threads, batch->count * job.pieces, attend, &job);
    mr_trace_end(begin, "attention", "tokens", batch->tokens);
}
