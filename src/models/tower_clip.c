/* CLIP's vision tower: openai/clip-vit-*, OpenCLIP and LAION checkpoints in Hugging Face layout.
 *
 * Reference: huggingface/transformers src/transformers/models/clip/modeling_clip.py, release 5.23.0.
 *
 *   x = LN([class; patches] + positions);   per layer:  x = x + out(attention(qkv(LN(x))));   x = x + fc2(act(fc1(LN(x))))
 *   pooled = LN(x[0]);   embedding = visual_projection(pooled)
 *
 * Tensors (D hidden, I inner, P patch, g image / patch, E projection_dim)
 *   vision_model.embeddings.class_embedding [D]; patch_embedding.weight [D, 3, P, P]; position_embedding.weight [g g + 1, D]
 *   vision_model.pre_layrnorm (so spelled), post_layernorm .weight .bias [D]
 *   vision_model.encoder.layers.N.layer_norm1, layer_norm2 [D]; self_attn.{q,k,v,out}_proj [D, D]; mlp.fc1 [I, D]; mlp.fc2 [D, I]
 *   visual_projection.weight [E, D] (absent in CLIPVisionModel: the embedding is what is pooled)
 *
 * Easily confused: hidden_act is quick_gelu in OpenAI's checkpoints and gelu in OpenCLIP's; the class row is row 0; the norm at the end is
 * applied to that row alone. */
#include <string.h>

#include "core/json.h"
#include "models/joint_config.h"
#include "models/pre_norm_encoder.h"
#include "models/vision_tower.h"

typedef struct clip_config {
    mr_vision_shape shape;
    size_t projection; /* 0: none */
} clip_config;

typedef struct clip_vision {
    size_t tokens; /* of an image */
    mr_patch_embedding patches;
    mr_norm pre_norm, post_norm;
    mr_linear projection; /* n = 0: none */
    mr_pre_norm_stack stack;
    mr_pre_norm_layer layers[];
} clip_vision;

const mr_layer_names mr_clip_layer_names = {
    .q = { "self_attn.q_proj", true }, .k = { "self_attn.k_proj", true }, .v = { "self_attn.v_proj", true }, .out = { "self_attn.out_proj", true },
    .up = { "mlp.fc1", true },         .down = { "mlp.fc2", true },       .attention_norm = "layer_norm1",   .ffn_norm = "layer_norm2",
    .norm_bias = true,
};

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "clip") || mr_config_is(config, "model_type", "clip_vision_model");
}

/* A vision model alone projects when its class says so. */
static bool is_projected(const json_t *config)
{
    const char *class = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    return mr_config_is(config, "model_type", "clip") || (class && strcmp(class, "CLIPVisionModelWithProjection") == 0);
}

static mr_status read_config(const json_t *config, const char *where, clip_config *out, mr_error *error)
{
    static const mr_vision_shape defaults = {
        .sizes = { .vocab_size = 1, .hidden = 768, .layers = 12, .heads = 12, .inner = 3072, .activation = MR_ACTIVATION_QUICK_GELU, .norm_eps = 1e-5 },
        .image_size = 224, .patch = 32,
    };
    clip_config read = { 0 };
    json_t *half = NULL;
    MR_TRY(mr_config_half(config, "vision_config", "clip_vision_model", &half, where, error));
    mr_status status = mr_vision_shape_read(half, where, &defaults, &read.shape, error);
    json_decref(half);
    if (status == MR_OK && is_projected(config)) status = mr_config_size(config, "projection_dim", 512, MR_CONFIG_MAX_WIDTH, &read.projection, where, error);
    if (status == MR_OK) *out = read;
    return status;
}

static mr_status limits(const mr_vision_config *config, mr_vision_limits *out, mr_error *error)
{
    clip_config read = { 0 };
    MR_TRY(read_config(config->json, config->where, &read, error));
    const mr_vision_shape *shape = &read.shape;
    *out = (mr_vision_limits){ .image_size = shape->image_size, .tokens = shape->grid * shape->grid + 1,
                               .dimension = read.projection > 0 ? read.projection : shape->sizes.hidden };
    return MR_OK;
}

/* Class row and positions as they are added: the class token stands at position 0. */
static mr_status open_rows(mr_params *params, size_t patches, size_t hidden, mr_patch_embedding *out, mr_error *error)
{
    const float *class_token = NULL, *positions = NULL;
    float *class_row = NULL;
    MR_TRY(mr_params_array(params, "embeddings.class_embedding", 1, &hidden, &class_token, error));
    MR_TRY(mr_params_array(params, "embeddings.position_embedding.weight", 2, (size_t[]){ patches + 1, hidden }, &positions, error));
    MR_TRY(mr_params_values(params, hidden, &class_row, error));
    for (size_t i = 0; class_row && i < hidden; i++) class_row[i] = class_token[i] + positions[i];
    out->class_row = class_row;
    out->positions = positions ? positions + hidden : NULL;
    return MR_OK;
}

static mr_status open_patches(mr_params *params, const mr_vision_shape *shape, mr_patch_embedding *out, mr_error *error)
{
    size_t patch = shape->patch, hidden = shape->sizes.hidden;
    const mr_linear_part part = { .name = "embeddings.patch_embedding", .rows = hidden, .kernel = { 3, patch, patch } };
    *out = (mr_patch_embedding){ .width = shape->image_size, .patch = patch, .rows = shape->grid, .columns = shape->grid };
    MR_TRY(open_rows(params, shape->grid * shape->grid, hidden, out, error));
    return mr_params_linear(params, &part, 1, 3 * patch * patch, &out->linear, error);
}

static const char *const prefixes[] = { "vision_model.", "", NULL };

static mr_status open_layers(const mr_vision_config *config, mr_params *params, void **out, mr_error *error)
{
    clip_config read = { 0 };
    MR_TRY(read_config(config->json, config->where, &read, error));
    const mr_transformer_sizes *sizes = &read.shape.sizes;
    void *memory = NULL;
    MR_TRY(mr_params_alloc(params, 1, sizeof(clip_vision) + sizes->layers * sizeof(mr_pre_norm_layer), &memory, error));
    clip_vision *model = memory;
    model->stack = (mr_pre_norm_stack){ .layers = model->layers, .layer_count = sizes->layers, .hidden = sizes->hidden,
                                        .attention = mr_config_full_attention(sizes), .first_rows = true };
    MR_TRY(mr_params_set_prefix(params, prefixes, "embeddings.class_embedding", error));
    for (size_t n = 0; n < sizes->layers; n++) {
        mr_params_set_scope(params, "encoder.layers.%zu.", n);
        MR_TRY(mr_pre_norm_layer_open(params, &mr_clip_layer_names, sizes, &model->layers[n], error));
    }
    *out = model;
    return MR_OK;
}

static mr_status open_ends(const mr_vision_config *config, mr_params *params, void *opaque, mr_error *error)
{
    clip_config read = { 0 };
    clip_vision *model = opaque;
    MR_TRY(read_config(config->json, config->where, &read, error));
    const mr_transformer_sizes *sizes = &read.shape.sizes;
    const mr_linear_part projection = { .name = "visual_projection", .rows = read.projection };
    if (read.projection > 0) MR_TRY(mr_params_linear(params, &projection, 1, sizes->hidden, &model->projection, error));
    MR_TRY(mr_params_set_prefix(params, prefixes, "embeddings.class_embedding", error));
    MR_TRY(open_patches(params, &read.shape, &model->patches, error));
    MR_TRY(mr_params_norm(params, "pre_layrnorm", sizes->hidden, sizes->norm_eps, true, &model->pre_norm, error));
    MR_TRY(mr_params_norm(params, "post_layernorm", sizes->hidden, sizes->norm_eps, true, &model->post_norm, error));
    model->tokens = mr_patch_embedding_tokens(&model->patches);
    return MR_OK;
}

/* The class rows of all images [images, hidden], normalised and projected: few enough for one thread. */
static void pool(const clip_vision *model, const float *x, size_t images, float *pooled, void *linear, float *embeddings)
{
    size_t hidden = model->stack.hidden;
    float *normed = model->projection.n > 0 ? pooled : embeddings;
    mr_kernels_get()->layer_norm_f32(&model->post_norm, x, hidden, NULL, 0, normed, hidden, images);
    if (model->projection.n > 0) mr_linear_run(&model->projection, pooled, hidden, embeddings, model->projection.n, images, NULL, linear);
}

static void forward(const void *opaque, const mr_pixel_batch *batch, size_t threads, mr_scratch *scratch, float *embeddings,
                    const mr_layer_trace *trace)
{
    const clip_vision *model = opaque;
    size_t hidden = model->stack.hidden, rows = batch->count * model->tokens;
    mr_patch_buffers patches;
    mr_pre_norm_buffers buffers;
    size_t *starts = mr_scratch_take(scratch, batch->count + 1, sizeof *starts);
    float *x = mr_scratch_take(scratch, rows, hidden * sizeof *x), *pooled = mr_scratch_take(scratch, batch->count, hidden * sizeof *pooled);
    void *linear = mr_scratch_take(scratch, mr_linear_scratch_bytes(&model->projection, batch->count), 1);
    mr_patch_embedding_lay_out(&model->patches, threads, scratch, &patches);
    mr_pre_norm_lay_out(&model->stack, rows, threads, scratch, &buffers);
    if (!scratch->arena || scratch->failed) return;
    for (size_t i = 0; i <= batch->count; i++) starts[i] = i * model->tokens;
    const mr_token_batch tokens = { .starts = starts, .tokens = rows, .count = batch->count };
    mr_patch_embedding_run(&model->patches, batch, &patches, threads, x);
    mr_kernels_get()->layer_norm_f32(&model->pre_norm, x, hidden, NULL, 0, x, hidden, rows);
    mr_pre_norm_run(&model->stack, &tokens, &buffers, x, trace);
    pool(model, x, batch->count, pooled, linear, embeddings);
}

const mr_vision_architecture mr_tower_clip = { "clip", matches, limits, open_layers, open_ends, forward };
