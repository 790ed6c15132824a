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
#include "models/class_tower.h"
#include "models/joint_config.h"
#include "models/pre_norm_encoder.h"

typedef struct clip_config {
    mr_vision_shape shape;
    size_t projection; /* 0: none */
} clip_config;

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

static mr_status open_patches(mr_params *params, const mr_vision_shape *shape, mr_class_tower *tower, mr_error *error)
{
    size_t patch = shape->patch, hidden = shape->sizes.hidden, patches = shape->grid * shape->grid;
    const mr_linear_part part = { .name = "embeddings.patch_embedding", .rows = hidden, .kernel = { 3, patch, patch } };
    const float *class_token = NULL, *positions = NULL;
    MR_TRY(mr_params_array(params, "embeddings.class_embedding", 1, &hidden, &class_token, error));
    MR_TRY(mr_params_array(params, "embeddings.position_embedding.weight", 2, (size_t[]){ patches + 1, hidden }, &positions, error));
    tower->patches = (mr_patch_embedding){ .width = shape->image_size, .patch = patch, .rows = shape->grid, .columns = shape->grid };
    MR_TRY(mr_class_tower_set_positions(tower, params, class_token, positions, shape->grid, error));
    return mr_params_linear(params, &part, 1, 3 * patch * patch, &tower->patches.linear, error);
}

static const char *const prefixes[] = { "vision_model.", "", NULL };

static mr_status open_layers(const mr_vision_config *config, mr_params *params, void **out, mr_error *error)
{
    clip_config read = { 0 };
    mr_class_tower *tower = NULL;
    MR_TRY(read_config(config->json, config->where, &read, error));
    const mr_transformer_sizes *sizes = &read.shape.sizes;
    MR_TRY(mr_class_tower_create(params, sizes, &tower, error));
    MR_TRY(mr_params_set_prefix(params, prefixes, "embeddings.class_embedding", error));
    for (size_t n = 0; n < sizes->layers; n++) {
        mr_params_set_scope(params, "encoder.layers.%zu.", n);
        MR_TRY(mr_pre_norm_layer_open(params, &mr_clip_layer_names, sizes, &tower->layers[n], error));
    }
    *out = tower;
    return MR_OK;
}

static mr_status open_ends(const mr_vision_config *config, mr_params *params, void *opaque, mr_error *error)
{
    clip_config read = { 0 };
    mr_class_tower *tower = opaque;
    MR_TRY(read_config(config->json, config->where, &read, error));
    const mr_transformer_sizes *sizes = &read.shape.sizes;
    const mr_linear_part projection = { .name = "visual_projection", .rows = read.projection };
    if (read.projection > 0) MR_TRY(mr_params_linear(params, &projection, 1, sizes->hidden, &tower->projection, error));
    MR_TRY(mr_params_set_prefix(params, prefixes, "embeddings.class_embedding", error));
    MR_TRY(open_patches(params, &read.shape, tower, error));
    MR_TRY(mr_params_norm(params, "pre_layrnorm", sizes->hidden, sizes->norm_eps, true, &tower->pre_norm, error));
    return mr_params_norm(params, "post_layernorm", sizes->hidden, sizes->norm_eps, true, &tower->post_norm, error);
}

const mr_vision_architecture mr_tower_clip = { "clip", matches, limits, open_layers, open_ends, mr_class_tower_forward };
