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
 *   layers.N.self_attn.q_proj.weight [A d, H], k_proj, v_proj [K d, H], each with .bias in Qwen2; o_proj.weight [H, A d]
 *   layers.N.self_attn.{q_norm,k_norm}.weight [d] in Qwen3
 *   layers.N.mlp.{gate_proj,up_proj}.weight [I, H]; mlp.down_proj.weight [H, I]
 * Not read: lm_head.weight, *.rotary_emb.inv_freq.
 *
 * Easily confused: whether it is causal (the config's is_causal; else not with the checkpoints' own modeling_qwen code, else yes); q and
 * k are normalised before they are rotated; query head h uses key/value head h / (A/K); A d is not H in Qwen3; max_position_embeddings
 * is no limit. */
#include "core/json.h"
#include "models/encoder.h"
#include "models/transformer_config.h"
#include "nn/embedding.h"
#include "nn/pre_norm.h"

typedef struct qwen_config {
    mr_transformer_sizes sizes;
    double theta;
    bool causal;
    bool bias;      /* of q, k and v */
    bool head_norm; /* q_norm and k_norm */
} qwen_config;

typedef struct qwen {
    const mr_tensor *words;
    mr_pre_norm_stack stack;
    mr_pre_norm_layer layers[];
} qwen;

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

static mr_status open_layer(mr_params *params, const qwen_config *config, mr_pre_norm_layer *layer, mr_error *error)
{
    const mr_transformer_sizes *sizes = &config->sizes;
    size_t hidden = sizes->hidden, q = sizes->heads * sizes->head_dim, kv = sizes->kv_heads * sizes->head_dim;
    const mr_linear_part qkv[] = {
        { .name = "self_attn.q_proj", .rows = q, .has_bias = config->bias },
        { .name = "self_attn.k_proj", .rows = kv, .has_bias = config->bias },
        { .name = "self_attn.v_proj", .rows = kv, .has_bias = config->bias },
    };
    const mr_linear_part out = { .name = "self_attn.o_proj", .rows = hidden };
    const mr_linear_part gate = { .name = "mlp.gate_proj", .rows = sizes->inner }, up = { .name = "mlp.up_proj", .rows = sizes->inner };
    const mr_linear_part down = { .name = "mlp.down_proj", .rows = hidden };
    MR_TRY(mr_params_norm(params, "input_layernorm", hidden, sizes->norm_eps, false, &layer->attention_norm, error));
    MR_TRY(mr_params_linear(params, qkv, 3, hidden, &layer->qkv, error));
    MR_TRY(mr_params_linear(params, &out, 1, q, &layer->out, error));
    MR_TRY(mr_params_norm(params, "post_attention_layernorm", hidden, sizes->norm_eps, false, &layer->ffn_norm, error));
    MR_TRY(mr_params_linear(params, &gate, 1, hidden, &layer->ffn.gate, error));
    MR_TRY(mr_params_linear(params, &up, 1, hidden, &layer->ffn.up, error));
    MR_TRY(mr_params_linear(params, &down, 1, sizes->inner, &layer->ffn.down, error));
    layer->ffn.activation = sizes->activation;
    if (!config->head_norm) return MR_OK;
    MR_TRY(mr_params_norm(params, "self_attn.q_norm", sizes->head_dim, sizes->norm_eps, false, &layer->q_norm, error));
    return mr_params_norm(params, "self_attn.k_norm", sizes->head_dim, sizes->norm_eps, false, &layer->k_norm, error);
}

static mr_status open_model(const json_t *config, const char *where, mr_params *params, void **out, mr_error *error)
{
    qwen_config read = { 0 };
    MR_TRY(read_config(config, where, &read, error));
    size_t hidden = read.sizes.hidden;
    void *memory = NULL;
    MR_TRY(mr_params_alloc(params, 1, sizeof(qwen) + read.sizes.layers * sizeof(mr_pre_norm_layer), &memory, error));
    qwen *model = memory;
    model->stack = (mr_pre_norm_stack){ .layers = model->layers, .layer_count = read.sizes.layers, .hidden = hidden, .rms_norm = true,
                                        .attention = mr_config_full_attention(&read.sizes) };
    model->stack.attention.causal = read.causal;
    static const char *const prefixes[] = { "model.", "", NULL };
    MR_TRY(mr_rope_make(params, read.sizes.head_dim, read.theta, &model->stack.ropes[0], error));
    MR_TRY(mr_params_set_prefix(params, prefixes, "embed_tokens.weight", error));
    MR_TRY(mr_params_table(params, "embed_tokens.weight", read.sizes.vocab_size, hidden, &model->words, error));
    MR_TRY(mr_params_norm(params, "norm", hidden, read.sizes.norm_eps, false, &model->stack.final_norm, error));
    for (size_t n = 0; n < read.sizes.layers; n++) {
        mr_params_set_scope(params, "layers.%zu.", n);
        MR_TRY(open_layer(params, &read, &model->layers[n], error));
    }
    *out = model;
    return MR_OK;
}

static void forward(const void *opaque, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                    const mr_layer_trace *trace)
{
    const qwen *model = opaque;
    mr_pre_norm_buffers buffers;
    mr_pre_norm_lay_out(&model->stack, batch->tokens, threads, scratch, &buffers);
    if (!scratch->arena || scratch->failed) return;
    const mr_embedding_table table = { model->words, batch->ids };
    mr_embedding_run(&table, 1, NULL, batch->tokens, threads, hidden);
    mr_pre_norm_run(&model->stack, batch, &buffers, hidden, trace);
}

const mr_encoder_architecture mr_encoder_qwen = { "qwen", matches, limits, open_model, forward };
