/* DINOv2: facebook/dinov2-{small,base,large,giant}.
 *
 * Reference: huggingface/transformers src/transformers/models/dinov2/modeling_dinov2.py, release 5.23.0.
 *
 *   x = [class; patches] + positions;   per layer:  x = x + scale1 * out(attention(qkv(LN(x))));   x = x + scale2 * ffn(LN(x))
 *   ffn = fc2(gelu(fc1)), or weights_out(silu(gate) * up) in giant;   embedding = LN(x[0])
 *
 * Tensors (D hidden, I inner, P patch, g config's image_size / patch; prefix "dinov2." or none)
 *   embeddings.cls_token [1, 1, D]; position_embeddings [1, g g + 1, D]; patch_embeddings.projection.{weight [D, 3, P, P], bias}
 *   encoder.layer.N.norm1, norm2 [D]; layer_scale1.lambda1, layer_scale2.lambda1 [D]
 *   encoder.layer.N.attention.attention.{query,key,value} [D, D], attention.output.dense [D, D]
 *   encoder.layer.N.mlp.fc1 [I, D], fc2 [D, I]; with use_swiglu_ffn mlp.weights_in [2I, D] (rows gate | up), weights_out [D, I]
 *   as transformers 5 writes them: attention.{q,k,v,o}_proj; mlp.{gate,up}_proj [I, D], down_proj [D, I]
 *   layernorm [D]
 * Not read: embeddings.mask_token.
 *
 * Easily confused: config's image_size is that of the training, 518; images come as large as preprocessor_config.json makes them, 224, and the
 * positions are resampled to their grid. The scales are multiplied into the weights when these are packed. */
#include "core/json.h"
#include "models/class_tower.h"
#include "models/joint_config.h"
#include "models/pre_norm_encoder.h"

typedef struct dinov2_config {
    mr_vision_shape shape; /* its grid is that of the training */
    bool gated;
    bool qkv_bias;
} dinov2_config;

static bool matches(const json_t *config) { return mr_config_is(config, "model_type", "dinov2"); }

/* Not in the file: a multiple of hidden_size, and of that 2/3 rounded up to 8 when gated. */
static mr_status read_inner(const json_t *config, bool gated, mr_transformer_sizes *defaults, const char *where, mr_error *error)
{
    size_t hidden = 0, ratio = 0;
    MR_TRY(mr_config_size(config, "hidden_size", defaults->hidden, MR_CONFIG_MAX_WIDTH, &hidden, where, error));
    MR_TRY(mr_config_size(config, "mlp_ratio", 4, MR_CONFIG_MAX_INNER / MR_CONFIG_MAX_WIDTH, &ratio, where, error));
    defaults->inner = gated ? (hidden * ratio * 2 / 3 + 7) / 8 * 8 : hidden * ratio;
    return MR_OK;
}

static mr_status read_config(const json_t *config, const char *where, dinov2_config *out, mr_error *error)
{
    mr_vision_shape defaults = {
        .sizes = { .vocab_size = 1, .hidden = 768, .layers = 12, .heads = 12, .activation = MR_ACTIVATION_GELU, .norm_eps = 1e-6 },
        .image_size = 224, .patch = 16,
    };
    dinov2_config read = { 0 };
    MR_TRY(mr_json_bool(config, "use_swiglu_ffn", false, &read.gated, where, error));
    MR_TRY(mr_json_bool(config, "qkv_bias", true, &read.qkv_bias, where, error));
    MR_TRY(read_inner(config, read.gated, &defaults.sizes, where, error));
    MR_TRY(mr_vision_shape_read(config, where, &defaults, &read.shape, error));
    if (read.gated) read.shape.sizes.activation = MR_ACTIVATION_SILU; /* hidden_act does not count then */
    *out = read;
    return MR_OK;
}

static mr_status limits(const mr_vision_config *config, mr_vision_limits *out, mr_error *error)
{
    dinov2_config read = { 0 };
    MR_TRY(read_config(config->json, config->where, &read, error));
    size_t grid = config->image_size / read.shape.patch;
    if (grid == 0)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"patch_size\" is %zu, images have %zu pixels a side", config->where, read.shape.patch,
                            config->image_size);
    *out = (mr_vision_limits){ .image_size = config->image_size, .tokens = grid * grid + 1, .dimension = read.shape.sizes.hidden };
    return MR_OK;
}

/* Of the gated kind. */
static const mr_layer_names hub_names = {
    .q = { "attention.attention.query", true }, .k = { "attention.attention.key", true }, .v = { "attention.attention.value", true },
    .out = { "attention.output.dense", true },  .gate_up = { "mlp.weights_in", true },    .down = { "mlp.weights_out", true },
    .out_scale = "layer_scale1.lambda1", .down_scale = "layer_scale2.lambda1", .attention_norm = "norm1", .ffn_norm = "norm2", .norm_bias = true,
};
static const mr_layer_names newer_names = {
    .q = { "attention.q_proj", true },   .k = { "attention.k_proj", true },  .v = { "attention.v_proj", true },
    .out = { "attention.o_proj", true }, .gate = { "mlp.gate_proj", true }, .up = { "mlp.up_proj", true }, .down = { "mlp.down_proj", true },
    .out_scale = "layer_scale1.lambda1", .down_scale = "layer_scale2.lambda1", .attention_norm = "norm1", .ffn_norm = "norm2", .norm_bias = true,
};

static mr_layer_names names_of(const dinov2_config *config, const mr_params *params)
{
    mr_layer_names names = mr_params_has(params, "attention.q_proj.weight") ? newer_names : hub_names;
    names.q.bias = names.k.bias = names.v.bias = config->qkv_bias;
    if (!config->gated) {
        names.up = (mr_linear_name){ "mlp.fc1", true };
        names.down = (mr_linear_name){ "mlp.fc2", true };
        names.gate = names.gate_up = (mr_linear_name){ 0 };
    }
    return names;
}

static const char *const prefixes[] = { "", "dinov2.", NULL };

static mr_status open_layers(const mr_vision_config *config, mr_params *params, void **out, mr_error *error)
{
    dinov2_config read = { 0 };
    mr_class_tower *tower = NULL;
    MR_TRY(read_config(config->json, config->where, &read, error));
    MR_TRY(mr_class_tower_create(params, &read.shape.sizes, &tower, error));
    MR_TRY(mr_params_set_prefix(params, prefixes, "embeddings.cls_token", error));
    for (size_t n = 0; n < read.shape.sizes.layers; n++) {
        mr_params_set_scope(params, "encoder.layer.%zu.", n);
        const mr_layer_names names = names_of(&read, params);
        MR_TRY(mr_pre_norm_layer_open(params, &names, &read.shape.sizes, &tower->layers[n], error));
    }
    *out = tower;
    return MR_OK;
}

static mr_status open_ends(const mr_vision_config *config, mr_params *params, void *opaque, mr_error *error)
{
    dinov2_config read = { 0 };
    mr_class_tower *tower = opaque;
    MR_TRY(read_config(config->json, config->where, &read, error));
    const mr_transformer_sizes *sizes = &read.shape.sizes;
    size_t patch = read.shape.patch, trained = read.shape.grid, grid = config->image_size / patch;
    const mr_linear_part part = { .name = "embeddings.patch_embeddings.projection", .rows = sizes->hidden, .has_bias = true,
                                  .kernel = { 3, patch, patch } };
    const float *class_token = NULL, *positions = NULL;
    MR_TRY(mr_params_set_prefix(params, prefixes, "embeddings.cls_token", error));
    MR_TRY(mr_params_array(params, "embeddings.cls_token", 3, (size_t[]){ 1, 1, sizes->hidden }, &class_token, error));
    MR_TRY(mr_params_array(params, "embeddings.position_embeddings", 3, (size_t[]){ 1, trained * trained + 1, sizes->hidden }, &positions, error));
    tower->patches = (mr_patch_embedding){ .width = config->image_size, .patch = patch, .rows = grid, .columns = grid };
    MR_TRY(mr_class_tower_set_positions(tower, params, class_token, positions, trained, error));
    MR_TRY(mr_params_linear(params, &part, 1, 3 * patch * patch, &tower->patches.linear, error));
    return mr_params_norm(params, "layernorm", sizes->hidden, sizes->norm_eps, true, &tower->post_norm, error);
}

const mr_vision_architecture mr_tower_dinov2 = { "dinov2", matches, limits, open_layers, open_ends, mr_class_tower_forward };
