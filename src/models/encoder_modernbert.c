/* ModernBERT: gte-modernbert-base, modernbert-embed-base.
 *
 * Reference: huggingface/transformers src/transformers/models/modernbert/modeling_modernbert.py, release 5.23.0 (ModernBertModel, eager).
 *
 *   x = LN(tok[ids]);   per layer:  x = x + Wo(attention(rope(q), rope(k), v)), q, k, v = Wqkv(LN(x));
 *   x = x + mlp.Wo(act(first half) * second half), halves of mlp.Wi(LN(x));   result LN(x)
 *
 * Tensors (prefix "model." or ""; .bias beside every .weight of norms with norm_bias, of attn with attention_bias, of mlp with mlp_bias,
 * which the published ones all leave out)
 *   embeddings.tok_embeddings.weight [V, H]; embeddings.norm.weight, final_norm.weight [H]
 *   layers.N.attn_norm.weight [H] (not in layer 0: identity); layers.N.attn.Wqkv.weight [3H, H]; attn.Wo.weight [H, H]
 *   layers.N.mlp_norm.weight [H]; mlp.Wi.weight [2I, H]; mlp.Wo.weight [H, I]
 *
 * Easily confused: every global_attn_every_n_layers-th layer (0, 3, 6 ...) sees all tokens and rotates with global_rope_theta, the
 * others see |i - j| <= local_attention / 2 and rotate with local_rope_theta; of Wi the first half is activated; eps is norm_eps, the
 * config's layer_norm_eps and position_embedding_type mean nothing; LayerNorm, not RMSNorm. */
#include "core/json.h"
#include "models/pre_norm_encoder.h"

enum { GLOBAL, LOCAL }; /* index into the stack's ropes */

typedef struct modernbert_config {
    mr_transformer_sizes sizes;
    double thetas[2];
    size_t every;  /* global layers: n % every == 0, unless layer_types says otherwise */
    size_t window; /* of the local ones, to each side */
    bool norm_bias, attention_bias, mlp_bias;
} modernbert_config;

static const mr_pre_norm_names names_without_bias = {
    .words = "embeddings.tok_embeddings.weight",
    .embedding_norm = "embeddings.norm",
    .final_norm = "final_norm",
    .layers = "layers",
    .layer = {
        .attention_norm = "attn_norm",
        .qkv = { "attn.Wqkv", false },
        .out = { "attn.Wo", false },
        .ffn_norm = "mlp_norm",
        .gate_up = { "mlp.Wi", false },
        .down = { "mlp.Wo", false },
    },
};

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "modernbert");
}

static mr_status read_config(const json_t *config, const char *where, modernbert_config *out, mr_error *error)
{
    modernbert_config read = { 0 };
    size_t local = 0;
    static const mr_transformer_sizes defaults = {
        .vocab_size = 50368, .hidden = 768, .layers = 22, .heads = 12, .inner = 1152, .activation = MR_ACTIVATION_GELU, .norm_eps = 1e-5,
        .activation_key = "hidden_activation", .eps_key = "norm_eps",
    };
    MR_TRY(mr_config_sizes(config, where, &defaults, &read.sizes, error));
    MR_TRY(mr_config_size(config, "global_attn_every_n_layers", 3, MR_CONFIG_MAX_LAYERS, &read.every, where, error));
    MR_TRY(mr_config_size(config, "local_attention", 128, MR_CONFIG_MAX_POSITIONS, &local, where, error));
    MR_TRY(mr_config_layer_theta(config, "global_rope_theta", "full_attention", 160000, &read.thetas[GLOBAL], where, error));
    MR_TRY(mr_config_layer_theta(config, "local_rope_theta", "sliding_attention", 10000, &read.thetas[LOCAL], where, error));
    MR_TRY(mr_json_bool(config, "norm_bias", false, &read.norm_bias, where, error));
    MR_TRY(mr_json_bool(config, "attention_bias", false, &read.attention_bias, where, error));
    MR_TRY(mr_json_bool(config, "mlp_bias", false, &read.mlp_bias, where, error));
    read.window = local / 2;
    if (read.sizes.head_dim % 2 != 0 || read.window == 0)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: heads of %zu values, \"local_attention\" %zu", where, read.sizes.head_dim, local);
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    modernbert_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.sizes.hidden, .vocab_size = read.sizes.vocab_size };
    return MR_OK;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    modernbert_config read = { 0 };
    void *memory = NULL;
    MR_TRY(read_config(config, where, &read, error));
    MR_TRY(mr_params_alloc(params, 1, sizeof(mr_pre_norm_encoder), &memory, error));
    mr_pre_norm_encoder *encoder = memory;
    mr_pre_norm_names names = names_without_bias;
    names.layer.norm_bias = read.norm_bias;
    names.layer.qkv.bias = names.layer.out.bias = read.attention_bias;
    names.layer.gate_up.bias = names.layer.down.bias = read.mlp_bias;
    MR_TRY(mr_pre_norm_encoder_open(params, &names, &read.sizes, false, encoder, error));
    for (size_t i = 0; i < 2; i++) MR_TRY(mr_rope_make(params, read.sizes.head_dim, read.thetas[i], &encoder->stack.ropes[i], error));
    for (size_t n = 0; n < read.sizes.layers; n++) {
        bool local = n % read.every != 0;
        MR_TRY(mr_config_layer_is_local(config, n, &local, where, error));
        encoder->layers[n].rope = local ? LOCAL : GLOBAL;
        encoder->layers[n].window = local ? read.window : 0;
    }
    *out = encoder;
    return MR_OK;
}

const mr_encoder_architecture mr_encoder_modernbert = { "modernbert", matches, limits, open_model, mr_pre_norm_encoder_forward };
