/* The text towers of CLIP and SigLIP: openai/clip-vit-*, OpenCLIP and LAION checkpoints in Hugging Face layout; google/siglip-*.
 *
 * References: huggingface/transformers src/transformers/models/clip/modeling_clip.py and models/siglip/modeling_siglip.py, release 5.23.0.
 *
 *   x = token[ids] + position;   per layer:  x = x + out(attention(qkv(LN(x))));   x = x + fc2(act(fc1(LN(x))));   result LN(x)
 *   CLIP    causal; embedding = text_projection(row of the end token), no bias
 *   SigLIP  no mask of any kind; every text is filled up to 64 tokens; embedding = head(last row), be it padding
 *
 * Tensors (prefix "text_model."; D hidden, I inner, E projection)
 *   embeddings.token_embedding.weight [V, D]; embeddings.position_embedding.weight [positions, D]; final_layer_norm [D]
 *   encoder.layers.N.*: as the vision tower's (tower_clip.c)
 *   text_projection.weight [E, D] without prefix; SigLIP: head.{weight [E, D], bias}
 *
 * Easily confused: with CLIP's "eos_token_id" 2, which all of OpenAI's files have, the end is the first token with the largest id. */
#include "core/json.h"
#include "models/joint_config.h"
#include "models/pre_norm_encoder.h"
#include "models/vision_tower.h"

#define OPENAI_EOS_TOKEN_ID 2

typedef struct tower_kind {
    const char *model, *text_model; /* model_type of both towers together, of this one alone */
    bool is_siglip;
    mr_transformer_sizes defaults;
    size_t positions;
} tower_kind;

static const tower_kind kinds[] = {
    { "clip", "clip_text_model", false,
      { .vocab_size = 49408, .hidden = 512, .layers = 12, .heads = 8, .inner = 2048, .activation = MR_ACTIVATION_QUICK_GELU, .norm_eps = 1e-5 }, 77 },
    { "siglip", "siglip_text_model", true,
      { .vocab_size = 32000, .hidden = 768, .layers = 12, .heads = 12, .inner = 3072, .activation = MR_ACTIVATION_GELU_TANH, .norm_eps = 1e-6 }, 64 },
};

typedef struct tower_config {
    const tower_kind *kind;
    mr_transformer_sizes sizes;
    size_t positions;
    mr_text_tower tower;
} tower_config;

static const tower_kind *find_kind(const json_t *config)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (mr_config_is(config, "model_type", kinds[i].model) || mr_config_is(config, "model_type", kinds[i].text_model)) return &kinds[i];
    return NULL;
}

static bool matches(const json_t *config) { return find_kind(config) != NULL; }

static mr_status read_clip_tower(const json_t *config, const json_t *half, size_t vocab_size, mr_text_tower *out, const char *where, mr_error *error)
{
    size_t end = 0;
    *out = (mr_text_tower){ .projection = "text_projection", .has_end = true };
    MR_TRY(mr_config_size(config, "projection_dim", 512, MR_CONFIG_MAX_WIDTH, &out->outputs, where, error));
    MR_TRY(mr_config_size(half, "eos_token_id", vocab_size - 1, vocab_size - 1, &end, where, error));
    out->end_id = end == OPENAI_EOS_TOKEN_ID ? -1 : (int32_t)end;
    return MR_OK;
}

static mr_status read_siglip_tower(const json_t *half, const tower_config *read, mr_text_tower *out, const char *where, mr_error *error)
{
    size_t padding = 0;
    *out = (mr_text_tower){ .projection = "text_model.head", .has_bias = true, .padded_length = read->positions };
    MR_TRY(mr_config_size(half, "projection_size", read->sizes.hidden, MR_CONFIG_MAX_WIDTH, &out->outputs, where, error));
    MR_TRY(mr_config_size(half, "pad_token_id", 1, read->sizes.vocab_size - 1, &padding, where, error));
    out->padding_id = (int32_t)padding;
    return MR_OK;
}

static mr_status read_half(const json_t *config, const json_t *half, const char *where, tower_config *out, mr_error *error)
{
    MR_TRY(mr_config_sizes(half, where, &out->kind->defaults, &out->sizes, error));
    MR_TRY(mr_config_size(half, "max_position_embeddings", out->kind->positions, MR_CONFIG_MAX_POSITIONS, &out->positions, where, error));
    if (out->kind->is_siglip) return read_siglip_tower(half, out, &out->tower, where, error);
    return read_clip_tower(config, half, out->sizes.vocab_size, &out->tower, where, error);
}

static mr_status read_config(const json_t *config, const char *where, tower_config *out, mr_error *error)
{
    tower_config read = { .kind = find_kind(config) };
    json_t *half = NULL;
    MR_TRY(mr_config_half(config, "text_config", read.kind->text_model, &half, where, error));
    mr_status status = read_half(config, half, where, &read, error);
    json_decref(half);
    if (status == MR_OK) *out = read;
    return status;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    tower_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size, .max_tokens = read.positions, .tower = read.tower };
    return MR_OK;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    const mr_pre_norm_names names = { .words = "text_model.embeddings.token_embedding.weight", .final_norm = "text_model.final_layer_norm",
                                      .layers = "text_model.encoder.layers", .layer = mr_clip_layer_names };
    tower_config read = { 0 };
    void *memory = NULL;
    MR_TRY(read_config(config, where, &read, error));
    MR_TRY(mr_params_alloc(params, 1, sizeof(mr_pre_norm_encoder), &memory, error));
    mr_pre_norm_encoder *encoder = memory;
    MR_TRY(mr_pre_norm_encoder_open(params, &names, &read.sizes, false, encoder, error));
    mr_params_set_scope(params, "%s", "");
    MR_TRY(mr_params_table(params, "text_model.embeddings.position_embedding.weight", read.positions, read.sizes.hidden, &encoder->positions, error));
    encoder->stack.attention.causal = !read.kind->is_siglip;
    *out = encoder;
    return MR_OK;
}

const mr_encoder_architecture mr_encoder_clip = { "clip", matches, limits, open_model, mr_pre_norm_encoder_forward };
