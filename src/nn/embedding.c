#include "nn/embedding.h"

#include "core/trace.h"
#include "nn/team.h"

/* Values decoded at a time for adding: a stack buffer. */
#define CHUNK 256

static void add_slice(const mr_tensor *table, size_t start, size_t n, float *y)
{
    float values[CHUNK];
    for (size_t done = 0; done < n; done += CHUNK) {
        size_t step = n - done < CHUNK ? n - done : CHUNK;
        mr_tensor_slice_to_f32(table, start + done, step, values);
        for (size_t i = 0; i < step; i++) y[done + i] += values[i];
    }
}

typedef struct embedding_job {
    const mr_embedding_table *tables;
    size_t count;
    const mr_norm *norm;
    size_t tokens;
    float *y;
} embedding_job;

static void embed_panel(void *context, size_t panel, size_t member)
{
    (void)member;
    const embedding_job *job = context;
    size_t n = job->tables[0].table->shape[1], first = panel * MR_LINEAR_PANEL_ROWS, last = first + MR_LINEAR_PANEL_ROWS;
    if (last > job->tokens) last = job->tokens;
    for (size_t token = first; token < last; token++) {
        float *y = job->y + token * n;
        for (size_t i = 0; i < job->count; i++) {
            const mr_embedding_table *from = &job->tables[i];
            size_t start = from->ids ? (size_t)from->ids[token] * n : 0;
            if (i == 0) mr_tensor_slice_to_f32(from->table, start, n, y);
            else add_slice(from->table, start, n, y);
        }
    }
    float *rows = job->y + first * n;
    if (job->norm) mr_kernels_get()->layer_norm_f32(job->norm, rows, n, NULL, 0, rows, n, last - first);
}

void mr_embedding_run(const mr_embedding_table *tables, size_t count, const mr_norm *norm, size_t tokens, size_t threads, float *y)
{
    embedding_job job = { tables, count, norm, tokens, y };
    int64_t begin = mr_trace_begin();
    mr_team_run(threads, (tokens + MR_LINEAR_PANEL_ROWS - 1) / MR_LINEAR_PANEL_ROWS, embed_panel, &job);
    mr_trace_end(begin, "embedding", "tokens", tokens);
}
