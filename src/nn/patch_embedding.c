#include "nn/patch_embedding.h"

#include <string.h>

#include "core/trace.h"
#include "nn/layer_buffers.h"
#include "nn/team.h"

typedef struct patch_job {
    const mr_patch_embedding *embedding;
    const mr_pixel_batch *batch;
    const mr_patch_buffers *buffers;
    float *x;
} patch_job;

static size_t patch_count(const mr_patch_embedding *embedding) { return embedding->rows * embedding->columns; }

size_t mr_patch_embedding_tokens(const mr_patch_embedding *embedding)
{
    return embedding->leading_rows + patch_count(embedding);
}

void mr_patch_embedding_lay_out(const mr_patch_embedding *embedding, size_t threads, mr_scratch *scratch, mr_patch_buffers *out)
{
    out->patches = (float **)mr_scratch_take_per_member(scratch, threads, MR_PANEL_ROWS * embedding->linear.k * sizeof(float));
    out->linear = mr_scratch_take_per_member(scratch, threads, mr_linear_scratch_bytes(&embedding->linear, MR_PANEL_ROWS));
    mr_scratch_note_f32(scratch, &embedding->linear);
}

/* One patch as a row of [channel, y, x]. */
static void flatten(const mr_patch_embedding *embedding, const mr_pixel_batch *batch, const uint8_t *image, size_t index, float *row)
{
    size_t side = embedding->patch, stride = 3 * embedding->width;
    const uint8_t *corner = image + index / embedding->columns * side * stride + index % embedding->columns * side * 3;
    for (size_t channel = 0; channel < 3; channel++) {
        const float *values = batch->values[channel];
        for (size_t y = 0; y < side; y++) {
            const uint8_t *pixel = corner + y * stride + channel;
            for (size_t x = 0; x < side; x++) *row++ = values[pixel[3 * x]];
        }
    }
}

/* A panel of one image's patches: never two images', so that every image is computed alike. */
static void embed_panel(void *context, size_t item, size_t member)
{
    const patch_job *job = context;
    const mr_patch_embedding *embedding = job->embedding;
    size_t panels = mr_panel_count(patch_count(embedding)), hidden = embedding->linear.n, k = embedding->linear.k;
    mr_panel at = mr_panel_at(patch_count(embedding), item % panels);
    size_t image = item / panels, first = at.first, rows = at.rows;
    float *patches = job->buffers->patches[member];
    float *x = job->x + image * mr_patch_embedding_tokens(embedding) * hidden;
    if (first == 0 && embedding->leading_rows > 0) memcpy(x, embedding->leading, embedding->leading_rows * hidden * sizeof *x);
    x += embedding->leading_rows * hidden;
    for (size_t i = 0; i < rows; i++) flatten(embedding, job->batch, job->batch->images[image], first + i, patches + i * k);
    const mr_epilogue add = { .residual = embedding->positions + first * hidden, .ld_residual = hidden };
    mr_linear_run(&embedding->linear, patches, k, x + first * hidden, hidden, rows, &add, job->buffers->linear[member]);
}

void mr_patch_embedding_run(const mr_patch_embedding *embedding, const mr_pixel_batch *batch, const mr_patch_buffers *buffers, size_t threads,
                            float *x)
{
    patch_job job = { embedding, batch, buffers, x };
    int64_t begin = mr_trace_begin();
    mr_team_run(threads, batch->count * mr_panel_count(patch_count(embedding)), embed_panel, &job);
    mr_trace_end(begin, "patches", "images", batch->count);
}
