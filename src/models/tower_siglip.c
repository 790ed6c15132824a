/* SigLIP's vision tower: google/siglip-*.
 *
 * Reference: huggingface/transformers src/transformers/models/siglip/modeling_siglip.py, release 5.23.0.
 *
 *   x = patches + positions;   per layer:  x = x + out(attention(qkv(LN(x))));   x = x + fc2(act(fc1(LN(x))));   x = LN(x)
 *   a = out(attention(probe, x, x));   embedding = a + fc2(act(fc1(LN(a))))       one learned query, the probe, sees all patches
 *
 * Tensors (D hidden, I inner, P patch, g image / patch)
 *   vision_model.embeddings.patch_embedding.{weight [D, 3, P, P], bias}; position_embedding.weight [g g, D]; post_layernorm [D]
 *   vision_model.encoder.layers.N.*: as CLIP's
 *   vision_model.head.probe [1, 1, D]; head.attention.in_proj_weight [3D, D], in_proj_bias; head.attention.out_proj; head.layernorm;
 *   head.mlp.fc1, fc2
 *
 * Easily confused: no class row; the norm at the end is applied to all rows, before they are pooled; eps is 1e-6, GELU is the tanh one. */
#include "core/json.h"
#include "models/joint_config.h"
#include "models/pre_norm_encoder.h"
#include "models/vision_tower.h"
#include "nn/team.h"

typedef struct probe_head {
    const float *query; /* [hidden]: the probe's, projected when the model is opened */
    mr_linear key_value; /* rows k | v */
    mr_linear out;
    mr_norm norm;
    mr_ffn ffn;
} probe_head;

typedef struct siglip_vision {
    size_t tokens; /* of an image */
    mr_patch_embedding patches;
    probe_head head;
    mr_pre_norm_stack stack;
    mr_pre_norm_layer layers[];
} siglip_vision;

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "siglip") || mr_config_is(config, "model_type", "siglip_vision_model");
}

static mr_status read_config(const json_t *config, const char *where, mr_vision_shape *out, mr_error *error)
{
    static const mr_vision_shape defaults = {
        .sizes = { .vocab_size = 1, .hidden = 768, .layers = 12, .heads = 12, .inner = 3072, .activation = MR_ACTIVATION_GELU_TANH, .norm_eps = 1e-6 },
        .image_size = 224, .patch = 16,
    };
    json_t *half = NULL;
    bool head = true;
    MR_TRY(mr_config_half(config, "vision_config", "siglip_vision_model", &half, where, error));
    mr_status status = mr_vision_shape_read(half, where, &defaults, out, error);
    if (status == MR_OK) status = mr_json_bool(half, "vision_use_head", true, &head, where, error);
    json_decref(half);
    if (status == MR_OK && !head) status = mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"vision_use_head\" is false: nothing to embed with", where);
    return status;
}

static mr_status limits(const mr_vision_config *config, mr_vision_limits *out, mr_error *error)
{
    mr_vision_shape shape = { 0 };
    MR_TRY(read_config(config->json, config->where, &shape, error));
    *out = (mr_vision_limits){ .image_size = shape.image_size, .tokens = shape.grid * shape.grid, .dimension = shape.sizes.hidden };
    return MR_OK;
}

static mr_status open_patches(mr_params *params, const mr_vision_shape *shape, mr_patch_embedding *out, mr_error *error)
{
    size_t patch = shape->patch, hidden = shape->sizes.hidden, patches = shape->grid * shape->grid;
    const mr_linear_part part = { .name = "embeddings.patch_embedding", .rows = hidden, .has_bias = true, .kernel = { 3, patch, patch } };
    *out = (mr_patch_embedding){ .width = shape->image_size, .patch = patch, .rows = shape->grid, .columns = shape->grid };
    MR_TRY(mr_params_array(params, "embeddings.position_embedding.weight", 2, (size_t[]){ patches, hidden }, &out->positions, error));
    return mr_params_linear(params, &part, 1, 3 * patch * patch, &out->linear, error);
}

static mr_status open_head(mr_params *params, const mr_transformer_sizes *sizes, probe_head *head, mr_error *error)
{
    size_t hidden = sizes->hidden;
    const mr_linear_part query = { .name = "attention.in_proj", .rows = hidden, .has_bias = true, .stored_rows = 3 * hidden };
    const mr_linear_part key_value = { .name = "attention.in_proj", .rows = 2 * hidden, .has_bias = true, .first = hidden, .stored_rows = 3 * hidden };
    const mr_linear_part out = { .name = "attention.out_proj", .rows = hidden, .has_bias = true };
    const float *probe = NULL;
    float *projected = NULL;
    mr_params_set_scope(params, "head.");
    MR_TRY(mr_params_array(params, "probe", 3, (size_t[]){ 1, 1, hidden }, &probe, error));
    MR_TRY(mr_params_values(params, hidden, &projected, error));
    MR_TRY(mr_params_project(params, &query, hidden, probe, 1, projected, error));
    head->query = projected;
    MR_TRY(mr_params_linear(params, &key_value, 1, hidden, &head->key_value, error));
    MR_TRY(mr_params_linear(params, &out, 1, hidden, &head->out, error));
    MR_TRY(mr_params_norm(params, "layernorm", hidden, sizes->norm_eps, true, &head->norm, error));
    MR_TRY(mr_layer_open_ffn(params, &mr_clip_layer_names, sizes, &head->ffn, error));
    mr_params_set_scope(params, "%s", "");
    return MR_OK;
}

static const char *const prefixes[] = { "vision_model.", "", NULL };

static mr_status open_layers(const mr_vision_config *config, mr_params *params, void **out, mr_error *error)
{
    mr_vision_shape shape = { 0 };
    MR_TRY(read_config(config->json, config->where, &shape, error));
    const mr_transformer_sizes *sizes = &shape.sizes;
    void *memory = NULL;
    MR_TRY(mr_params_alloc(params, 1, sizeof(siglip_vision) + sizes->layers * sizeof(mr_pre_norm_layer), &memory, error));
    siglip_vision *model = memory;
    model->stack = (mr_pre_norm_stack){ .layers = model->layers, .layer_count = sizes->layers, .hidden = sizes->hidden,
                                        .attention = mr_config_full_attention(sizes) };
    MR_TRY(mr_params_set_prefix(params, prefixes, "post_layernorm.weight", error));
    for (size_t n = 0; n < sizes->layers; n++) {
        mr_params_set_scope(params, "encoder.layers.%zu.", n);
        MR_TRY(mr_pre_norm_layer_open(params, &mr_clip_layer_names, sizes, &model->layers[n], error));
    }
    *out = model;
    return MR_OK;
}

static mr_status open_ends(const mr_vision_config *config, mr_params *params, void *opaque, mr_error *error)
{
    mr_vision_shape shape = { 0 };
    siglip_vision *model = opaque;
    MR_TRY(read_config(config->json, config->where, &shape, error));
    const mr_transformer_sizes *sizes = &shape.sizes;
    MR_TRY(mr_params_set_prefix(params, prefixes, "post_layernorm.weight", error));
    MR_TRY(open_patches(params, &shape, &model->patches, error));
    MR_TRY(mr_params_norm(params, "post_layernorm", sizes->hidden, sizes->norm_eps, true, &model->stack.final_norm, error));
    MR_TRY(open_head(params, sizes, &model->head, error));
    model->tokens = mr_patch_embedding_tokens(&model->patches);
    return MR_OK;
}

/* ---------------------------------------------------------------- the head */

/* Each for one member of the team. */
typedef struct head_buffers {
    float **key_value; /* [tokens, 2 hidden] */
    float **row;       /* [3, hidden]: attention's result, projected, normalised */
    float **wide;
    void **linear, **attention;
} head_buffers;

typedef struct head_job {
    const siglip_vision *model;
    const head_buffers *buffers;
    const float *x;
    float *embeddings;
} head_job;

static void lay_out_head(const siglip_vision *model, size_t threads, mr_scratch *scratch, head_buffers *out)
{
    const probe_head *head = &model->head;
    size_t hidden = model->stack.hidden, linear = mr_linear_scratch_bytes(&head->key_value, MR_PANEL_ROWS);
    if (mr_ffn_scratch_bytes(&head->ffn, 1) > linear) linear = mr_ffn_scratch_bytes(&head->ffn, 1);
    out->key_value = (float **)mr_scratch_take_per_member(scratch, threads, model->tokens * 2 * hidden * sizeof(float));
    out->row = (float **)mr_scratch_take_per_member(scratch, threads, 3 * hidden * sizeof(float));
    out->wide = (float **)mr_scratch_take_per_member(scratch, threads, mr_ffn_wide_floats(&head->ffn, 1) * sizeof(float));
    out->linear = mr_scratch_take_per_member(scratch, threads, linear);
    out->attention = mr_scratch_take_per_member(scratch, threads, mr_attention_scratch_bytes(model->stack.attention.head_dim));
    mr_scratch_note_f32(scratch, &head->key_value); /* the rest of the head sees one row per image */
}

static void pool_image(void *context, size_t image, size_t member)
{
    const head_job *job = context;
    const probe_head *head = &job->model->head;
    const head_buffers *buffers = job->buffers;
    const mr_self_attention *shape = &job->model->stack.attention;
    size_t hidden = job->model->stack.hidden, tokens = job->model->tokens;
    const float *x = job->x + image * tokens * hidden;
    float *key_value = buffers->key_value[member], *attended = buffers->row[member], *projected = attended + hidden, *normed = projected + hidden;
    mr_linear_run(&head->key_value, x, hidden, key_value, 2 * hidden, tokens, NULL, buffers->linear[member]);
    const mr_attention attention = {
        .q = head->query, .k = key_value, .v = key_value + hidden, .out = attended, .ldq = hidden, .ldk = 2 * hidden, .ldv = 2 * hidden, .ldout = hidden,
        .queries = 1, .keys = tokens, .heads = shape->heads, .kv_heads = shape->heads, .last_head = shape->heads, .head_dim = shape->head_dim,
        .scale = shape->scale,
    };
    mr_attention_run(head->out.kernels, &attention, buffers->attention[member]);
    mr_linear_run(&head->out, attended, hidden, projected, hidden, 1, NULL, buffers->linear[member]);
    head->out.kernels->layer_norm_f32(&head->norm, projected, hidden, NULL, 0, normed, hidden, 1);
    const mr_epilogue add = { .residual = projected, .ld_residual = hidden };
    mr_ffn_run(&head->ffn, normed, job->embeddings + image * hidden, 1, buffers->wide[member], &add, buffers->linear[member]);
}

static void forward(const void *opaque, const mr_pixel_batch *batch, size_t threads, mr_scratch *scratch, float *embeddings,
                    const mr_layer_trace *trace)
{
    const siglip_vision *model = opaque;
    size_t hidden = model->stack.hidden, rows = batch->count * model->tokens;
    mr_patch_buffers patches;
    mr_pre_norm_buffers buffers;
    head_buffers head;
    size_t *starts = mr_scratch_take(scratch, batch->count + 1, sizeof *starts);
    float *x = mr_scratch_take(scratch, rows, hidden * sizeof *x);
    mr_patch_embedding_lay_out(&model->patches, threads, scratch, &patches);
    mr_pre_norm_lay_out(&model->stack, rows, threads, scratch, &buffers);
    lay_out_head(model, threads, scratch, &head);
    if (!scratch->arena || scratch->failed) return;
    for (size_t i = 0; i <= batch->count; i++) starts[i] = i * model->tokens;
    const mr_token_batch tokens = { .starts = starts, .tokens = rows, .count = batch->count };
    mr_patch_embedding_run(&model->patches, batch, &patches, threads, x);
    mr_pre_norm_run(&model->stack, &tokens, &buffers, x, trace);
    head_job job = { model, &head, x, embeddings };
    mr_team_run(threads, batch->count, pool_image, &job);
}

const mr_vision_architecture mr_tower_siglip = { "siglip", matches, limits, open_layers, open_ends, forward };
