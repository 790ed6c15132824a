/* Qwen2 and Qwen3 used as encoders: gte-Qwen2-*-instruct, stella_en_1.5B_v5, Qwen3-Embedding-*.
 *
 * References: huggingface/transformers src/transformers/models/qwen2/modeling_qwen2.py and models/qwen3/modeling_qwen3.py, release
 * 5.23.0; modeling_qwen.py as shipped with stella_en_1.5B_v5.
 *
 *   x = embed[ids];   per layer:  n = RMSNorm(x);  q, k, v = linear(n);  [Qwen3: q, k = RMSNorm per head]
 *   x = x + o(attention(rope(q), rope(k), v));   x = x + down(silu(gate(n')) * up(n')), n' = RMSNorm(x);   result RMSNorm(x)
 *
 * Tensors (prefix "model." or ""; d head_dim, A heads, K key/value heads)
 *   embed_tokens.weight [V, H]; norm.weight [H]
 *   layers.N.{input_layernorm,post_attention_layernorm}.weight [H]
 *   layers.N.self_attn.q_proj.weight [A d, H], k_proj, v_proj [K d, H], each with .bias in Qwen2; o_proj.weight [H, A d];
 *   in Qwen3 all four have .bias, or none, as attention_bias says
 *   layers.N.self_attn.{q_norm,k_norm}.weight [d] in Qwen3
 *   layers.N.mlp.{gate_proj,up_proj}.weight [I, H]; mlp.down_proj.weight [H, I]
 * Not read: lm_head.weight, *.rotary_emb.inv_freq.
 *
 * Easily confused: whether it is causal (the config's is_causal; else not with the checkpoints' own modeling_qwen code, else yes); q and
 * k are normalised before they are rotated; query head h uses key/value head h / (A/K); A d is not H in Qwen3; max_position_embeddings
 * is no limit. */
#include "core/json.h"
#include "models/pre_norm_encoder.h"

typedef struct qwen_config {
    mr_transformer_sizes sizes;
    double theta;
    bool causal;
    bool bias;      /* of q, k and v; in Qwen3 of the output too */
    bool head_norm; /* q_norm and k_norm */
} qwen_config;

const mr_pre_norm_names mr_llama_names = {
    .words = "embed_tokens.weight",
    .final_norm = "norm",
    .layers = "layers",
    .layer = {
        .attention_norm = "input_layernorm",
        .q = { "self_attn.q_proj", false },
        .k = { "self_attn.k_proj", false },
        .v = { "self_attn.v_proj", false },
        .out = { "self_attn.o_proj", false },
        .ffn_norm = "post_attention_layernorm",
        .gate = { "mlp.gate_proj", false },
        .up = { "mlp.up_proj", false },
        .down = { "mlp.down_proj", false },
    },
};

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "qwen2") || mr_config_is(config, "model_type", "qwen3");
}

static mr_status read_config(const json_t *config, const char *where, qwen_config *out, mr_error *error)
{
    qwen_config read = { 0 };
    const json_t *scaling = NULL;
    static const mr_transformer_sizes defaults = {
        .vocab_size = 151936, .hidden = 4096, .layers = 32, .heads = 32, .inner = 22016, .activation = MR_ACTIVATION_SILU, .norm_eps = 1e-6,
        .eps_key = "rms_norm_eps", .decoder = true,
    };
    read.head_norm = mr_config_is(config, "model_type", "qwen3");
    MR_TRY(mr_config_sizes(config, where, &defaults, &read.sizes, error));
    MR_TRY(mr_config_rope(config, 10000, &read.theta, &scaling, where, error));
    if (scaling && !mr_config_is(scaling, "rope_type", "default"))
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"rope_scaling\" is set, which is not supported", where);
    MR_TRY(mr_config_refuse(config, "use_sliding_window", where, error));
    MR_TRY(mr_json_bool(config, "is_causal", !mr_config_code_is(config, "modeling_qwen.Qwen2Model"), &read.causal, where, error));
    MR_TRY(mr_json_bool(config, "attention_bias", !read.head_norm, &read.bias, where, error));
    if (read.sizes.head_dim % 2 != 0)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: heads of %zu values cannot be rotated", where, read.sizes.head_dim);
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    qwen_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size };
    return MR_OK;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    qwen_config read = { 0 };
    mr_pre_norm_names names = mr_llama_names;
    void *memory = NULL;
    MR_TRY(read_config(config, where, &read, error));
    names.layer.q.bias = names.layer.k.bias = names.layer.v.bias = read.bias;
    names.layer.out.bias = read.bias && read.head_norm;
    if (read.head_norm) {
        names.layer.q_norm = "self_attn.q_norm";
        names.layer.k_norm = "self_attn.k_norm";
    }
    MR_TRY(mr_params_alloc(params, 1, sizeof(mr_pre_norm_encoder), &memory, error));
    mr_pre_norm_encoder *encoder = memory;
    MR_TRY(mr_pre_norm_encoder_open(params, &names, &read.sizes, true, encoder, error));
    MR_TRY(mr_rope_make(params, read.sizes.head_dim, read.theta, &encoder->stack.ropes[0], error));
    encoder->stack.attention.causal = read.causal;
    *out = encoder;
    return MR_OK;
}

const mr_encoder_architecture mr_encoder_qwen = { "qwen", matches, limits, open_model, mr_pre_norm_encoder_forward };
