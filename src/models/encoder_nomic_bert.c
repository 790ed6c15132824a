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
#include "models/encoder.h"
#include "models/transformer_config.h"
#include "nn/embedding.h"

typedef struct nomic_config {
    size_t vocab_size, token_types, hidden, heads, inner, layers;
    size_t max_tokens; /* 0 = any */
    double eps, base;
} nomic_config;

typedef struct nomic_bert {
    const mr_tensor *words, *types;
    mr_norm embedding_norm;
    mr_post_norm_stack stack;
    mr_post_norm_layer layers[];
} nomic_bert;

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

static mr_status read_config(const json_t *config, const char *where, nomic_config *out, mr_error *error)
{
    nomic_config read = { 0 };
    double scaling = 0;
    MR_TRY(refuse_variants(config, where, error));
    MR_TRY(mr_config_size(config, "vocab_size", 30528, MR_CONFIG_MAX_VOCAB, &read.vocab_size, where, error));
    MR_TRY(mr_config_size(config, "type_vocab_size", 2, MR_CONFIG_MAX_VOCAB, &read.token_types, where, error));
    MR_TRY(mr_config_size(config, "n_embd", 768, MR_CONFIG_MAX_WIDTH, &read.hidden, where, error));
    MR_TRY(mr_config_size(config, "n_head", 12, MR_CONFIG_MAX_HEADS, &read.heads, where, error));
    MR_TRY(mr_config_size(config, "n_inner", 4 * read.hidden, MR_CONFIG_MAX_INNER, &read.inner, where, error));
    MR_TRY(mr_config_size(config, "n_layer", 12, MR_CONFIG_MAX_LAYERS, &read.layers, where, error));
    MR_TRY(mr_json_double(config, "layer_norm_epsilon", 1e-12, &read.eps, where, error));
    MR_TRY(mr_json_double(config, "rotary_emb_base", 1000, &read.base, where, error));
    MR_TRY(mr_json_double(config, "rotary_scaling_factor", 0, &scaling, where, error));
    if (scaling != 0) MR_TRY(mr_config_size(config, "max_trained_positions", 2048, MR_CONFIG_MAX_POSITIONS, &read.max_tokens, where, error));
    if (read.hidden % (2 * read.heads) != 0 || !(read.base > 1 && read.base < 1e12) || !(read.eps >= 0 && read.eps < 1))
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"n_embd\" %zu, \"n_head\" %zu, \"rotary_emb_base\" %g, \"layer_norm_epsilon\" %g", where,
                            read.hidden, read.heads, read.base, read.eps);
    *out = read;
    return MR_OK;
}

static mr_status limits(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error)
{
    nomic_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    *out = (mr_encoder_limits){ .hidden_size = read.hidden, .vocab_size = read.vocab_size, .max_tokens = read.max_tokens };
    return MR_OK;
}

static mr_status open_layer(mr_params *params, const nomic_config *config, mr_post_norm_layer *layer, mr_error *error)
{
    const mr_linear_part qkv = { .name = "attn.Wqkv", .rows = 3 * config->hidden }, out = { .name = "attn.out_proj", .rows = config->hidden };
    const mr_linear_part up = { .name = "mlp.fc11", .rows = config->inner }, gate = { .name = "mlp.fc12", .rows = config->inner };
    const mr_linear_part down = { .name = "mlp.fc2", .rows = config->hidden };
    MR_TRY(mr_params_linear(params, &qkv, 1, config->hidden, &layer->qkv, error));
    MR_TRY(mr_params_linear(params, &out, 1, config->hidden, &layer->out, error));
    MR_TRY(mr_params_norm(params, "norm1", config->hidden, config->eps, true, &layer->attention_norm, error));
    MR_TRY(mr_params_linear(params, &up, 1, config->hidden, &layer->ffn.up, error));
    MR_TRY(mr_params_linear(params, &gate, 1, config->hidden, &layer->ffn.gate, error));
    MR_TRY(mr_params_linear(params, &down, 1, config->inner, &layer->ffn.down, error));
    layer->ffn.activation = MR_ACTIVATION_SILU;
    return mr_params_norm(params, "norm2", config->hidden, config->eps, true, &layer->ffn_norm, error);
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    nomic_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    void *memory = NULL;
    MR_TRY(mr_params_alloc(params, 1, sizeof(nomic_bert) + read.layers * sizeof(mr_post_norm_layer), &memory, error));
    nomic_bert *model = memory;
    const mr_transformer_sizes sizes = { .heads = read.heads, .head_dim = read.hidden / read.heads };
    model->stack = (mr_post_norm_stack){ .layers = model->layers, .layer_count = read.layers, .hidden = read.hidden,
                                         .attention = mr_config_full_attention(&sizes) };
    MR_TRY(mr_rope_make(params, sizes.head_dim, read.base, &model->stack.rope, error));
    MR_TRY(mr_params_table(params, "embeddings.word_embeddings.weight", read.vocab_size, read.hidden, &model->words, error));
    MR_TRY(mr_params_table(params, "embeddings.token_type_embeddings.weight", read.token_types, read.hidden, &model->types, error));
    MR_TRY(mr_params_norm(params, "emb_ln", read.hidden, read.eps, true, &model->embedding_norm, error));
    for (size_t n = 0; n < read.layers; n++) {
        mr_params_set_scope(params, "encoder.layers.%zu.", n);
        MR_TRY(open_layer(params, &read, &model->layers[n], error));
    }
    *out = model;
    return MR_OK;
}

static void forward(const void *opaque, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                    const mr_layer_trace *trace)
{
    const nomic_bert *model = opaque;
    mr_post_norm_buffers buffers;
    mr_post_norm_lay_out(&model->stack, batch->tokens, threads, scratch, &buffers);
    if (!scratch->arena || scratch->failed) return;
    const mr_embedding_table tables[] = { { model->words, batch->ids }, { model->types, NULL } };
    mr_embedding_run(tables, 2, &model->embedding_norm, batch->tokens, threads, hidden);
    mr_post_norm_run(&model->stack, batch, &buffers, hidden, trace);
}

const mr_encoder_architecture mr_encoder_nomic_bert = { "nomic_bert", matches, limits, open_model, forward };
