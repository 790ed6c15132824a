/* Gemma 3 as an encoder: embeddinggemma-300m.
 *
 * Reference: huggingface/transformers src/transformers/models/gemma3/modeling_gemma3.py, release 5.23.0 (Gemma3TextModel with
 * use_bidirectional_attention).
 *
 *   x = embed[ids] sqrt(H);   per layer:  x = x + norm(o(attention(rope(norm(q)), rope(norm(k)), v))), q, k, v = linear(norm(x))
 *   x = x + norm(down(act(gate(norm(x))) * up(norm(x))));   result norm(x)
 *
 * Tensors (prefix "model." or ""): as Qwen3 (encoder_qwen.c) but for the four norms of a layer
 *   layers.N.{input_layernorm,post_attention_layernorm,pre_feedforward_layernorm,post_feedforward_layernorm}.weight [H]
 *
 * Easily confused: post_attention_layernorm is applied to the attention's result, not to x; every RMSNorm multiplies by 1 + weight; the
 * scale is 1 / sqrt(query_pre_attn_scalar), not of head_dim; layers n with (n + 1) % sliding_window_pattern != 0 see only
 * |i - j| <= sliding_window / 2 and rotate with rope_local_base_freq; the GELU is the tanh form; two Dense modules follow the mean. */
#include <math.h>

#include "core/json.h"
#include "models/pre_norm_encoder.h"

enum { GLOBAL, LOCAL }; /* index into the stack's ropes */

typedef struct gemma_config {
    mr_transformer_sizes sizes;
    double thetas[2];
    double scalar; /* scores are divided by its root */
    size_t pattern, window;
} gemma_config;

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "gemma3_text");
}

static mr_status refuse_variants(const json_t *config, const char *where, mr_error *error)
{
    bool bidirectional = false;
    double softcap = 0;
    MR_TRY(mr_json_bool(config, "use_bidirectional_attention", false, &bidirectional, where, error));
    if (!bidirectional) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"use_bidirectional_attention\" is not true: a text generator", where);
    MR_TRY(mr_json_double(config, "attn_logit_softcapping", 0, &softcap, where, error));
    if (softcap != 0) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"attn_logit_softcapping\" is set, which is not supported", where);
    const json_t *scaling = json_object_get(config, "rope_scaling");
    if (scaling && !json_is_null(scaling)) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"rope_scaling\" is set, which is not supported", where);
    return mr_config_refuse(config, "attention_bias", where, error);
}

static mr_status read_config(const json_t *config, const char *where, gemma_config *out, mr_error *error)
{
    gemma_config read = { 0 };
    size_t window = 0;
    static const mr_transformer_sizes defaults = {
        .vocab_size = 262208, .hidden = 2304, .layers = 26, .heads = 8, .inner = 9216, .activation = MR_ACTIVATION_GELU_TANH, .norm_eps = 1e-6,
        .activation_key = "hidden_activation", .eps_key = "rms_norm_eps", .decoder = true,
    };
    MR_TRY(refuse_variants(config, where, error));
    MR_TRY(mr_config_sizes(config, where, &defaults, &read.sizes, error));
    MR_TRY(mr_config_layer_theta(config, "rope_theta", "full_attention", 1e6, &read.thetas[GLOBAL], where, error));
    MR_TRY(mr_config_layer_theta(config, "rope_local_base_freq", "sliding_attention", 1e4, &read.thetas[LOCAL], where, error));
    MR_TRY(mr_json_double(config, "query_pre_attn_scalar", 256, &read.scalar, where, error));
    MR_TRY(mr_config_size(config, "sliding_window", 4096, MR_CONFIG_MAX_POSITIONS, &window, where, error));
    MR_TRY(mr_config_size(config, "_sliding_window_pattern", 6, MR_CONFIG_MAX_LAYERS, &read.pattern, where, error));
    MR_TRY(mr_config_size(config, "sliding_window_pattern", read.pattern, MR_CONFIG_MAX_LAYERS, &read.pattern, where, error));
    read.window = window / 2;
    if (read.sizes.head_dim % 2 != 0 || read.window == 0 || !(read.scalar > 0))
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: heads of %zu values, \"sliding_window\" %zu, \"query_pre_attn_scalar\" %g", where,
                            read.sizes.head_dim, window, read.scalar);
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    gemma_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size };
    return MR_OK;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    gemma_config read = { 0 };
    mr_pre_norm_names names = mr_llama_names;
    void *memory = NULL;
    names.layer.q_norm = "self_attn.q_norm";
    names.layer.k_norm = "self_attn.k_norm";
    names.layer.attention_post_norm = "post_attention_layernorm";
    names.layer.ffn_norm = "pre_feedforward_layernorm";
    names.layer.ffn_post_norm = "post_feedforward_layernorm";
    MR_TRY(read_config(config, where, &read, error));
    MR_TRY(mr_params_alloc(params, 1, sizeof(mr_pre_norm_encoder), &memory, error));
    mr_pre_norm_encoder *encoder = memory;
    mr_params_set_norm_offset(params, 1);
    MR_TRY(mr_pre_norm_encoder_open(params, &names, &read.sizes, true, encoder, error));
    for (size_t i = 0; i < 2; i++) MR_TRY(mr_rope_make(params, read.sizes.head_dim, read.thetas[i], &encoder->stack.ropes[i], error));
    for (size_t n = 0; n < read.sizes.layers; n++) {
        bool local = (n + 1) % read.pattern != 0;
        MR_TRY(mr_config_layer_is_local(config, n, &local, where, error));
        encoder->layers[n].rope = local ? LOCAL : GLOBAL;
        encoder->layers[n].window = local ? read.window : 0;
    }
    encoder->embedding_scale = sqrtf((float)read.sizes.hidden);
    encoder->stack.attention.scale = (float)(1 / sqrt(read.scalar));
    *out = encoder;
    return MR_OK;
}

const mr_encoder_architecture mr_encoder_gemma = { "gemma", matches, limits, open_model, mr_pre_norm_encoder_forward };
