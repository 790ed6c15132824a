#include "models/class_tower.h"

#include "nn/position_grid.h"

mr_status mr_class_tower_create(mr_params *params, const mr_transformer_sizes *sizes, mr_class_tower **out, mr_error *error)
{
    void *memory = NULL;
    MR_TRY(mr_params_alloc(params, 1, sizeof(mr_class_tower) + sizes->layers * sizeof(mr_pre_norm_layer), &memory, error));
    mr_class_tower *tower = memory;
    tower->stack = (mr_pre_norm_stack){ .layers = tower->layers, .layer_count = sizes->layers, .hidden = sizes->hidden,
                                        .attention = mr_config_full_attention(sizes), .first_rows = true };
    *out = tower;
    return MR_OK;
}

mr_status mr_class_tower_set_positions(mr_class_tower *tower, mr_params *params, const float *class_token, const float *positions, size_t trained_grid,
                                       mr_error *error)
{
    mr_patch_embedding *patches = &tower->patches;
    size_t hidden = tower->stack.hidden;
    float *class_row = NULL, *resampled = NULL;
    MR_TRY(mr_params_values(params, hidden, &class_row, error));
    for (size_t i = 0; class_row && i < hidden; i++) class_row[i] = class_token[i] + positions[i];
    patches->leading_rows = 1;
    patches->leading = class_row;
    patches->positions = positions ? positions + hidden : NULL;
    if (patches->rows == trained_grid) return MR_OK;
    MR_TRY(mr_params_values(params, patches->rows * patches->columns * hidden, &resampled, error));
    if (resampled) mr_position_grid_resample(patches->positions, trained_grid, resampled, patches->rows, hidden);
    patches->positions = resampled;
    return MR_OK;
}

/* The class rows x [images, hidden], normalised and projected: few enough for one thread. */
static void pool(const mr_class_tower *tower, const float *x, size_t images, float *pooled, void *linear, float *embeddings)
{
    size_t hidden = tower->stack.hidden;
    float *normed = tower->projection.n > 0 ? pooled : embeddings;
    mr_kernels_get()->layer_norm_f32(&tower->post_norm, x, hidden, NULL, 0, normed, hidden, images);
    if (tower->projection.n > 0) mr_linear_run(&tower->projection, pooled, hidden, embeddings, tower->projection.n, images, NULL, linear);
}

void mr_class_tower_forward(const void *opaque, const mr_pixel_batch *batch, size_t threads, mr_scratch *scratch, float *embeddings,
                            const mr_layer_trace *trace)
{
    const mr_class_tower *tower = opaque;
    size_t hidden = tower->stack.hidden, tokens = mr_patch_embedding_tokens(&tower->patches), rows = batch->count * tokens;
    mr_patch_buffers patches;
    mr_pre_norm_buffers buffers;
    size_t *starts = mr_scratch_take(scratch, batch->count + 1, sizeof *starts);
    float *x = mr_scratch_take(scratch, rows, hidden * sizeof *x), *pooled = mr_scratch_take(scratch, batch->count, hidden * sizeof *pooled);
    void *linear = mr_scratch_take(scratch, tower->projection.n > 0 ? mr_linear_scratch_bytes(&tower->projection, batch->count) : 0, 1);
    mr_patch_embedding_lay_out(&tower->patches, threads, scratch, &patches);
    mr_pre_norm_lay_out(&tower->stack, rows, threads, scratch, &buffers);
    if (!scratch->arena || scratch->failed) return;
    for (size_t i = 0; i <= batch->count; i++) starts[i] = i * tokens;
    const mr_token_batch batch_tokens = { .starts = starts, .tokens = rows, .count = batch->count };
    mr_patch_embedding_run(&tower->patches, batch, &patches, threads, x);
    if (tower->pre_norm.n > 0) mr_kernels_get()->layer_norm_f32(&tower->pre_norm, x, hidden, NULL, 0, x, hidden, rows);
    mr_pre_norm_run(&tower->stack, &batch_tokens, &buffers, x, trace);
    pool(tower, x, batch->count, pooled, linear, embeddings);
}
