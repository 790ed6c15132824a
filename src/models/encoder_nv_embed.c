/* NV-Embed-v2: a Mistral backbone without causal mask, and latent attention over its output.
 *
 * References: nvidia/NV-Embed-v2 modeling_nvembed.py; huggingface/candle candle-transformers/src/models/nvembed_v2 (2a13b0f), which
 * differs in its GELU.
 *
 * Tensors (d head_dim, A heads, K key/value heads, M latents, E = num_cross_heads * cross_dim_head)
 *   embedding_model.embed_tokens.weight [V, H]; embedding_model.norm.weight [H]
 *   embedding_model.layers.N.{input_layernorm,post_attention_layernorm}.weight [H]
 *   embedding_model.layers.N.self_attn.{q_proj [A d, H], k_proj, v_proj [K d, H], o_proj [H, A d]}.weight
 *   embedding_model.layers.N.mlp.{gate_proj,up_proj [I, H], down_proj [H, I]}.weight
 *   latent_attention_model.latents [M, H]; below latent_attention_model.cross_attend_blocks.
 *     0.norm.*, 0.norm_context.*, 1.norm.* [H]; 0.fn.to_q.weight [E, H]; 0.fn.to_kv.weight [2E, H]; 0.fn.to_out.weight [H, E]
 *     1.fn.net.0.{weight,bias} [8H, H] [8H]; 1.fn.net.2.{weight,bias} [H, 4H] [H]
 *
 * Easily confused: sliding_window is ignored, nothing is masked; each latent head has cross_dim_head values (as many as H in the
 * published model), the scale is its root; k is the first half of to_kv; the second half of net.0 is activated, with the erf GELU; the
 * latents are normalised before to_kv; LayerNorm's eps is torch's 1e-5, the backbone's RMSNorm has its own. The text ends with a literal
 * end-of-sequence token, and the prompt's tokens are left out of the mean (src/embed/). */
#include "core/json.h"
#include "models/pre_norm_encoder.h"
#include "nn/latent_attention.h"

#define LATENT_EPS 1e-5
#define FFN_FACTOR 4

typedef struct nv_config {
    mr_transformer_sizes sizes;
    double theta;
    size_t latents, cross_heads, cross_dim;
} nv_config;

typedef struct nv_embed {
    mr_pre_norm_encoder backbone;
    mr_latent_attention latent;
} nv_embed;

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "nvembed");
}

static mr_status read_latent(const json_t *config, const char *where, nv_config *out, mr_error *error)
{
    size_t hidden_dim = 0, latent_dim = 0, hidden = out->sizes.hidden;
    MR_TRY(mr_config_size(config, "num_latents_value", 512, MR_CONFIG_MAX_WIDTH, &out->latents, where, error));
    MR_TRY(mr_config_size(config, "num_cross_heads", 8, MR_CONFIG_MAX_HEADS, &out->cross_heads, where, error));
    MR_TRY(mr_config_size(config, "cross_dim_head", 4096, MR_CONFIG_MAX_WIDTH, &out->cross_dim, where, error));
    MR_TRY(mr_config_size(config, "hidden_dim", 4096, MR_CONFIG_MAX_WIDTH, &hidden_dim, where, error));
    MR_TRY(mr_config_size(config, "latent_dim", 4096, MR_CONFIG_MAX_WIDTH, &latent_dim, where, error));
    if (hidden_dim != hidden || latent_dim != hidden)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"hidden_dim\" %zu and \"latent_dim\" %zu must be the backbone's \"hidden_size\" %zu", where,
                            hidden_dim, latent_dim, hidden);
    return MR_OK;
}

static mr_status read_config(const json_t *config, const char *where, nv_config *out, mr_error *error)
{
    nv_config read = { 0 };
    const json_t *text = json_object_get(config, "text_config"), *scaling = NULL;
    static const mr_transformer_sizes defaults = {
        .vocab_size = 32000, .hidden = 4096, .layers = 32, .heads = 32, .inner = 14336, .activation = MR_ACTIVATION_SILU, .norm_eps = 1e-5,
        .eps_key = "rms_norm_eps", .decoder = true,
    };
    if (!json_is_object(text)) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: no \"text_config\" object", where);
    MR_TRY(mr_config_sizes(text, where, &defaults, &read.sizes, error));
    MR_TRY(mr_config_rope(text, 10000, &read.theta, &scaling, where, error));
    if (scaling) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"rope_scaling\" is set, which is not supported", where);
    MR_TRY(mr_config_expect(config, "mask_type", "b", where, error));
    MR_TRY(read_latent(json_object_get(config, "latent_attention_config"), where, &read, error));
    if (read.sizes.head_dim % 2 != 0)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: heads of %zu values cannot be rotated", where, read.sizes.head_dim);
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    nv_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size };
    return MR_OK;
}

/* K and V of the latents: the halves of to_kv applied to their normalised vectors. */
static mr_status project_latents(mr_params *params, const nv_config *config, mr_latent_attention *out, mr_error *error)
{
    size_t hidden = config->sizes.hidden, width = config->cross_heads * config->cross_dim;
    const mr_linear_part keys = { .name = "0.fn.to_kv", .rows = width, .first = 0, .stored_rows = 2 * width };
    const mr_linear_part values = { .name = "0.fn.to_kv", .rows = width, .first = width, .stored_rows = 2 * width };
    const mr_tensor *latents = NULL;
    mr_norm norm;
    float *normed = NULL, *k = NULL, *v = NULL;
    MR_TRY(mr_params_table(params, "latents", config->latents, hidden, &latents, error));
    mr_params_set_scope(params, "cross_attend_blocks.");
    MR_TRY(mr_params_norm(params, "0.norm_context", hidden, LATENT_EPS, true, &norm, error));
    MR_TRY(mr_params_values(params, config->latents * hidden, &normed, error));
    MR_TRY(mr_params_values(params, config->latents * width, &k, error));
    MR_TRY(mr_params_values(params, config->latents * width, &v, error));
    if (normed) {
        mr_tensor_to_f32(latents, normed);
        mr_kernels_get()->layer_norm_f32(&norm, normed, hidden, NULL, 0, normed, hidden, config->latents);
    }
    MR_TRY(mr_params_project(params, &keys, hidden, normed, config->latents, k, error));
    MR_TRY(mr_params_project(params, &values, hidden, normed, config->latents, v, error));
    out->keys = k;
    out->values = v;
    return MR_OK;
}

static mr_status open_latent(mr_params *params, const nv_config *config, mr_latent_attention *out, mr_error *error)
{
    size_t hidden = config->sizes.hidden, width = config->cross_heads * config->cross_dim, inner = FFN_FACTOR * hidden;
    const mr_linear_part query = { .name = "0.fn.to_q", .rows = width }, back = { .name = "0.fn.to_out", .rows = hidden };
    const mr_linear_part up = { .name = "1.fn.net.0", .rows = inner, .has_bias = true, .first = 0, .stored_rows = 2 * inner };
    const mr_linear_part gate = { .name = "1.fn.net.0", .rows = inner, .has_bias = true, .first = inner, .stored_rows = 2 * inner };
    const mr_linear_part down = { .name = "1.fn.net.2", .rows = hidden, .has_bias = true };
    static const char *const prefixes[] = { "latent_attention_model.", NULL };
    mr_params_set_scope(params, "%s", "");
    MR_TRY(mr_params_set_prefix(params, prefixes, "latents", error));
    *out = (mr_latent_attention){ .latents = config->latents, .heads = config->cross_heads, .head_dim = config->cross_dim };
    MR_TRY(project_latents(params, config, out, error));
    MR_TRY(mr_params_norm(params, "0.norm", hidden, LATENT_EPS, true, &out->query_norm, error));
    MR_TRY(mr_params_linear(params, &query, 1, hidden, &out->query, error));
    MR_TRY(mr_params_linear(params, &back, 1, width, &out->out, error));
    MR_TRY(mr_params_norm(params, "1.norm", hidden, LATENT_EPS, true, &out->ffn_norm, error));
    MR_TRY(mr_params_linear(params, &up, 1, hidden, &out->ffn.up, error));
    MR_TRY(mr_params_linear(params, &gate, 1, hidden, &out->ffn.gate, error));
    out->ffn.activation = MR_ACTIVATION_GELU;
    return mr_params_linear(params, &down, 1, inner, &out->ffn.down, error);
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    nv_config read = { 0 };
    void *memory = NULL;
    MR_TRY(read_config(config, where, &read, error));
    MR_TRY(mr_params_alloc(params, 1, sizeof(nv_embed), &memory, error));
    nv_embed *model = memory;
    MR_TRY(mr_pre_norm_encoder_open(params, &mr_llama_names, &read.sizes, true, &model->backbone, error));
    MR_TRY(mr_rope_make(params, read.sizes.head_dim, read.theta, &model->backbone.stack.ropes[0], error));
    MR_TRY(open_latent(params, &read, &model->latent, error));
    *out = model;
    return MR_OK;
}

static void forward(const void *opaque, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                    const mr_layer_trace *trace)
{
    const nv_embed *model = opaque;
    mr_latent_member *members = NULL;
    mr_latent_attention_lay_out(&model->latent, threads, scratch, &members);
    mr_pre_norm_encoder_forward(&model->backbone, batch, threads, scratch, hidden, trace);
    if (!scratch->arena || scratch->failed) return;
    mr_latent_attention_run(&model->latent, members, threads, hidden, batch->tokens);
}

const mr_encoder_architecture mr_encoder_nv_embed = { "nv_embed", matches, limits, open_model, forward };
