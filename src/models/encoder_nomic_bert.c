/* nomic-bert: nomic-embed-text-v1 and v1.5.
 *
 * Reference: huggingface/transformers src/transformers/models/nomic_bert, release 5.23.0 (NomicBertModel), which loads the hub's names;
 * huggingface/text-embeddings-inference backends/candle/src/models/nomic.rs (0d124dc).
 *
 *   x = LayerNorm(word[ids] + type[0]);   per layer:
 *   a = LayerNorm(x + out(attention(rope(q), rope(k), v)));   x = LayerNorm(a + fc2(fc11(a) * silu(fc12(a))))
 *
 * Tensors (no prefix; H = n_embd, I = n_inner), none with a bias but the norms
 *   embeddings.word_embeddings.weight [V, H]; embeddings.token_type_embeddings.weight [T, H]; emb_ln.{weight,bias} [H]
 *   encoder.layers.N.attn.Wqkv.weight [3H, H]; attn.out_proj.weight [H, H]; norm1.*, norm2.* [H]
 *   encoder.layers.N.mlp.fc11.weight, mlp.fc12.weight [I, H]; mlp.fc2.weight [H, I]
 *
 * Easily confused: fc12 is the activated one; the keys are GPT-2's (n_embd, n_head, layer_norm_epsilon), not BERT's; the rope base is
 * 1000; the rows of Wqkv are all q, all k, all v; the published checkpoints want a task prefix in front of every text.
 * With rotary_scaling_factor the base changes with the length of texts beyond max_trained_positions; such texts are cut there. */
#include "core/json.h"
#include "models/post_norm_encoder.h"

typedef struct nomic_config {
    mr_post_norm_shape shape;
    size_t max_tokens; /* 0 = any */
    double base;
} nomic_config;

static const mr_post_norm_names names = {
    .words = "embeddings.word_embeddings.weight",
    .types = "embeddings.token_type_embeddings.weight",
    .embedding_norm = "emb_ln",
    .layers = "encoder.layers",
    .layer = {
        .qkv = { "attn.Wqkv", false },
        .out = { "attn.out_proj", false },
        .attention_norm = "norm1",
        .up = { "mlp.fc11", false },
        .gate = { "mlp.fc12", false },
        .down = { "mlp.fc2", false },
        .ffn_norm = "norm2",
        .norm_bias = true,
    },
};

static bool matches(const json_t *config)
{
    return mr_config_is(config, "model_type", "nomic_bert");
}

/* Variants of the code base this file does not wire: refused by name. */
static mr_status refuse_variants(const json_t *config, const char *where, mr_error *error)
{
    static const char *const flags[] = { "prenorm",      "qkv_proj_bias", "mlp_fc1_bias",  "mlp_fc2_bias", "rotary_emb_interleaved",
                                         "use_rms_norm", "causal",        "parallel_block" };
    static const char *const numbers[] = { "rotary_emb_scale_base", "moe_every_n_layers" };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) MR_TRY(mr_config_refuse(config, flags[i], where, error));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        double value = 0;
        MR_TRY(mr_json_double(config, numbers[i], 0, &value, where, error));
        if (value != 0) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"%s\" is set, which is not supported", where, numbers[i]);
    }
    MR_TRY(mr_config_expect(config, "activation_function", "swiglu", where, error));
    double fraction = 1;
    MR_TRY(mr_json_double(config, "rotary_emb_fraction", 1, &fraction, where, error));
    if (fraction != 1) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"rotary_emb_fraction\" is %g, only 1 is supported", where, fraction);
    return MR_OK;
}

/* GPT-2's spelling of the sizes. */
static mr_status read_sizes(const json_t *config, const char *where, mr_transformer_sizes *out, mr_error *error)
{
    mr_transformer_sizes read = { .activation = MR_ACTIVATION_SILU };
    MR_TRY(mr_config_size(config, "vocab_size", 30528, MR_CONFIG_MAX_VOCAB, &read.vocab_size, where, error));
    MR_TRY(mr_config_size(config, "n_embd", 768, MR_CONFIG_MAX_WIDTH, &read.hidden, where, error));
    MR_TRY(mr_config_size(config, "n_head", 12, MR_CONFIG_MAX_HEADS, &read.heads, where, error));
    MR_TRY(mr_config_size(config, "n_inner", 4 * read.hidden, MR_CONFIG_MAX_INNER, &read.inner, where, error));
    MR_TRY(mr_config_size(config, "n_layer", 12, MR_CONFIG_MAX_LAYERS, &read.layers, where, error));
    MR_TRY(mr_json_double(config, "layer_norm_epsilon", 1e-12, &read.norm_eps, where, error));
    if (read.hidden % (2 * read.heads) != 0 || !(read.norm_eps >= 0 && read.norm_eps < 1))
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"n_embd\" %zu, \"n_head\" %zu, \"layer_norm_epsilon\" %g", where, read.hidden, read.heads,
                            read.norm_eps);
    read.kv_heads = read.heads;
    read.head_dim = read.hidden / read.heads;
    *out = read;
    return MR_OK;
}

static mr_status read_config(const json_t *config, const char *where, nomic_config *out, mr_error *error)
{
    nomic_config read = { 0 };
    double scaling = 0;
    MR_TRY(refuse_variants(config, where, error));
    MR_TRY(read_sizes(config, where, &read.shape.sizes, error));
    MR_TRY(mr_config_size(config, "type_vocab_size", 2, MR_CONFIG_MAX_VOCAB, &read.shape.token_types, where, error));
    MR_TRY(mr_json_double(config, "rotary_emb_base", 1000, &read.base, where, error));
    MR_TRY(mr_json_double(config, "rotary_scaling_factor", 0, &scaling, where, error));
    if (scaling != 0) MR_TRY(mr_config_size(config, "max_trained_positions", 2048, MR_CONFIG_MAX_POSITIONS, &read.max_tokens, where, error));
    if (!(read.base > 1 && read.base < 1e12)) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"rotary_emb_base\" is %g", where, read.base);
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    nomic_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.shape.sizes.hidden, .vocab_size = read.shape.sizes.vocab_size, .max_tokens = read.max_tokens };
    return MR_OK;
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    nomic_config read = { 0 };
    mr_post_norm_encoder *encoder = NULL;
    MR_TRY(read_config(config, where, &read, error));
    MR_TRY(mr_post_norm_encoder_open(params, &names, &read.shape, &encoder, error));
    MR_TRY(mr_rope_make(params, read.shape.sizes.head_dim, read.base, &encoder->stack.rope, error));
    *out = encoder;
    return MR_OK;
}

const mr_encoder_architecture mr_encoder_nomic_bert = { "nomic_bert", matches, limits, open_model, mr_post_norm_encoder_forward };
