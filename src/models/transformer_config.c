#include "models/transformer_config.h"

#include <math.h>
#include <string.h>

#include "core/json.h"

mr_status mr_config_size(const json_t *config, const char *key, size_t fallback, size_t max, size_t *out, const char *where, mr_error *error)
{
    size_t value = 0;
    MR_TRY(mr_json_size(config, key, fallback, &value, where, error));
    if (value == 0 || value > max) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"%s\" is %zu, supported are 1 to %zu", where, key, value, max);
    *out = value;
    return MR_OK;
}

bool mr_config_is(const json_t *config, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(config, key));
    return text && strcmp(text, value) == 0;
}

bool mr_config_code_is(const json_t *config, const char *text)
{
    const char *path = json_string_value(json_object_get(config, "_name_or_path"));
    if (path && strstr(path, text)) return true;
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(config, "auto_map"), key, value) {
        const char *code = json_string_value(value);
        if (code && strstr(code, text)) return true;
    }
    return false;
}

mr_status mr_config_expect(const json_t *config, const char *key, const char *value, const char *where, mr_error *error)
{
    const char *text = NULL;
    MR_TRY(mr_json_string(config, key, value, &text, where, error));
    if (strcmp(text, value) == 0) return MR_OK;
    return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"%s\" is \"%s\", only \"%s\" is supported", where, key, text, value);
}

mr_status mr_config_refuse(const json_t *config, const char *key, const char *where, mr_error *error)
{
    bool set = false;
    MR_TRY(mr_json_bool(config, key, false, &set, where, error));
    return set ? mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"%s\" is true, which is not supported", where, key) : MR_OK;
}

mr_status mr_config_activation(const char *text, const char *key, mr_activation *out, const char *where, mr_error *error)
{
    static const struct { const char *text; mr_activation kind; } known[] = {
        { "gelu", MR_ACTIVATION_GELU },
        { "gelu_new", MR_ACTIVATION_GELU_TANH },
        { "gelu_fast", MR_ACTIVATION_GELU_TANH },
        { "gelu_pytorch_tanh", MR_ACTIVATION_GELU_TANH },
        { "quick_gelu", MR_ACTIVATION_QUICK_GELU },
        { "silu", MR_ACTIVATION_SILU },
        { "swish", MR_ACTIVATION_SILU },
        { "relu", MR_ACTIVATION_RELU },
        { "tanh", MR_ACTIVATION_TANH },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(text, known[i].text) != 0) continue;
        *out = known[i].kind;
        return MR_OK;
    }
    return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"%s\" is \"%s\", an activation not known here", where, key, text);
}

static mr_status read_heads(const json_t *config, const char *where, mr_transformer_sizes *sizes, bool decoder, mr_error *error)
{
    sizes->kv_heads = sizes->heads;
    sizes->head_dim = sizes->hidden / sizes->heads;
    if (decoder) {
        MR_TRY(mr_config_size(config, "num_key_value_heads", sizes->heads, MR_CONFIG_MAX_HEADS, &sizes->kv_heads, where, error));
        if (sizes->heads % sizes->kv_heads != 0)
            return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"num_attention_heads\" %zu is not a multiple of \"num_key_value_heads\" %zu", where,
                                sizes->heads, sizes->kv_heads);
        const json_t *explicit = json_object_get(config, "head_dim");
        if (explicit && !json_is_null(explicit)) return mr_config_size(config, "head_dim", 1, MR_CONFIG_MAX_WIDTH, &sizes->head_dim, where, error);
    }
    if (sizes->hidden % sizes->heads != 0)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"hidden_size\" %zu is not a multiple of \"num_attention_heads\" %zu", where, sizes->hidden,
                            sizes->heads);
    return MR_OK;
}

mr_status mr_config_sizes(const json_t *config, const char *where, const mr_transformer_sizes *defaults, mr_transformer_sizes *out,
                          mr_error *error)
{
    mr_transformer_sizes sizes = { .activation = defaults->activation };
    const char *activation_key = defaults->activation_key ? defaults->activation_key : "hidden_act", *activation = NULL;
    const char *eps_key = defaults->eps_key ? defaults->eps_key : "layer_norm_eps";
    MR_TRY(mr_config_size(config, "vocab_size", defaults->vocab_size, MR_CONFIG_MAX_VOCAB, &sizes.vocab_size, where, error));
    MR_TRY(mr_config_size(config, "hidden_size", defaults->hidden, MR_CONFIG_MAX_WIDTH, &sizes.hidden, where, error));
    MR_TRY(mr_config_size(config, "num_hidden_layers", defaults->layers, MR_CONFIG_MAX_LAYERS, &sizes.layers, where, error));
    MR_TRY(mr_config_size(config, "num_attention_heads", defaults->heads, MR_CONFIG_MAX_HEADS, &sizes.heads, where, error));
    MR_TRY(mr_config_size(config, "intermediate_size", defaults->inner, MR_CONFIG_MAX_INNER, &sizes.inner, where, error));
    MR_TRY(read_heads(config, where, &sizes, defaults->decoder, error));
    MR_TRY(mr_json_string(config, activation_key, NULL, &activation, where, error));
    if (activation) MR_TRY(mr_config_activation(activation, activation_key, &sizes.activation, where, error));
    MR_TRY(mr_json_double(config, eps_key, defaults->norm_eps, &sizes.norm_eps, where, error));
    if (!(sizes.norm_eps >= 0 && sizes.norm_eps < 1))
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"%s\" is %g", where, eps_key, sizes.norm_eps);
    *out = sizes;
    return MR_OK;
}

mr_status mr_config_rope(const json_t *config, double default_theta, double *theta, const json_t **scaling, const char *where, mr_error *error)
{
    const json_t *newer = json_object_get(config, "rope_parameters"), *older = json_object_get(config, "rope_scaling");
    double base = default_theta;
    MR_TRY(mr_json_double(config, "rope_theta", base, &base, where, error));
    MR_TRY(mr_json_double(newer, "rope_theta", base, &base, where, error));
    if (!(base > 1 && base < 1e12)) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"rope_theta\" is %g", where, base);
    *theta = base;
    *scaling = json_is_object(older) ? older : json_is_object(newer) ? newer : NULL;
    return MR_OK;
}

mr_status mr_config_layer_theta(const json_t *config, const char *key, const char *kind, double fallback, double *theta, const char *where,
                                mr_error *error)
{
    const json_t *scaling = NULL;
    MR_TRY(mr_json_double(config, key, fallback, &fallback, where, error));
    return mr_config_rope(json_object_get(json_object_get(config, "rope_parameters"), kind), fallback, theta, &scaling, where, error);
}

mr_status mr_config_layer_is_local(const json_t *config, size_t n, bool *local, const char *where, mr_error *error)
{
    const json_t *types = json_object_get(config, "layer_types");
    if (!json_is_array(types)) return MR_OK;
    const char *type = json_string_value(json_array_get(types, n));
    bool sliding = type && strcmp(type, "sliding_attention") == 0;
    if (!sliding && (!type || strcmp(type, "full_attention") != 0))
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"layer_types\"[%zu] is \"%s\"", where, n, type ? type : "");
    *local = sliding;
    return MR_OK;
}

mr_self_attention mr_config_full_attention(const mr_transformer_sizes *sizes)
{
    return (mr_self_attention){
        .heads = sizes->heads,
        .kv_heads = sizes->kv_heads ? sizes->kv_heads : sizes->heads,
        .head_dim = sizes->head_dim,
        .scale = (float)(1.0 / sqrt((double)sizes->head_dim)),
    };
}
