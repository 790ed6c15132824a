#include "embed/sentence_modules.h"

#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"

#define MODULES_MAX 64 /* published chains have at most 6 */
#define WIDTH_MAX ((size_t)1 << 20)

/* In the order in which several modes are concatenated. */
static const struct { mr_pooling mode; const char *text, *file_text, *flag; } poolings[MR_POOLING_MODES_MAX] = {
    { MR_POOLING_CLS, "cls", "cls", "pooling_mode_cls_token" },
    { MR_POOLING_MAX, "max", "max", "pooling_mode_max_tokens" },
    { MR_POOLING_MEAN, "mean", "mean", "pooling_mode_mean_tokens" },
    { MR_POOLING_MEAN_SQRT_LEN, "mean_sqrt_len", "mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens" },
    { MR_POOLING_WEIGHTED_MEAN, "weightedmean", "weightedmean", "pooling_mode_weightedmean_tokens" },
    { MR_POOLING_LAST, "last", "lasttoken", "pooling_mode_lasttoken" },
};

bool mr_pooling_parse(const char *text, mr_pooling *out)
{
    for (size_t i = 0; i < MR_POOLING_MODES_MAX; i++) {
        if (strcmp(text, poolings[i].text) != 0 && strcmp(text, poolings[i].file_text) != 0) continue;
        *out = poolings[i].mode;
        return true;
    }
    return false;
}

const char *mr_pooling_text(mr_pooling pooling)
{
    for (size_t i = 0; i < MR_POOLING_MODES_MAX; i++)
        if (poolings[i].mode == pooling) return poolings[i].text;
    return "unknown";
}

mr_status mr_sentence_json_optional(const char *directory, const char *name, bool array, json_t **out, char **where, mr_error *error)
{
    char *path = mr_path_join(directory, name);
    json_t *document = NULL;
    mr_status status = MR_OK;
    if (!path) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a path", directory);
    if (mr_path_exists(path)) status = mr_json_load(path, MR_SENTENCE_JSON_MAX, &document, error);
    if (status == MR_OK && document && !(array ? json_is_array(document) : json_is_object(document)))
        status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: not a JSON %s", path, array ? "array" : "object");
    if (status != MR_OK) {
        json_decref(document);
        free(path);
        return status;
    }
    *out = document;
    *where = path;
    return MR_OK;
}

/* ---------------------------------------------------------------- Pooling */

static mr_status add_pooling(mr_sentence_config *config, const json_t *mode, const char *where, mr_error *error)
{
    const char *text = json_string_value(mode);
    if (!text || !mr_pooling_parse(text, &config->poolings[config->pooling_count]))
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"pooling_mode\" %s%s%s is not known here", where, text ? "\"" : "", text ? text : "entry",
                            text ? "\"" : "");
    config->pooling_count++;
    return MR_OK;
}

/* "pooling_mode" wins over the booleans; without either it is the mean. */
static mr_status read_pooling_modes(const json_t *document, const char *where, mr_sentence_config *config, mr_error *error)
{
    const json_t *mode = json_object_get(document, "pooling_mode");
    config->pooling_count = 0;
    if (json_is_array(mode)) {
        size_t count = json_array_size(mode);
        if (count == 0 || count > MR_POOLING_MODES_MAX)
            return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"pooling_mode\" has %zu entries", where, count);
        for (size_t i = 0; i < count; i++) MR_TRY(add_pooling(config, json_array_get(mode, i), where, error));
        return MR_OK;
    }
    if (mode && !json_is_null(mode)) return add_pooling(config, mode, where, error);
    for (size_t i = 0; i < MR_POOLING_MODES_MAX; i++) {
        bool set = false;
        MR_TRY(mr_json_bool(document, poolings[i].flag, false, &set, where, error));
        if (set) config->poolings[config->pooling_count++] = poolings[i].mode;
    }
    if (config->pooling_count == 0) config->poolings[config->pooling_count++] = MR_POOLING_MEAN;
    return MR_OK;
}

static mr_status read_pooling(const char *directory, mr_sentence_config *config, mr_error *error)
{
    json_t *document = NULL;
    char *where = NULL;
    MR_TRY(mr_sentence_json_optional(directory, "config.json", false, &document, &where, error));
    mr_status status = MR_OK;
    if (!document) status = mr_error_set(error, MR_MODEL_FILES_MISSING, "%s does not exist", where);
    else MR_TRY_OR(status, read_pooling_modes(document, where, config, error), done);
    if (status == MR_OK) status = mr_json_bool(document, "include_prompt", true, &config->include_prompt, where, error);
done:
    json_decref(document);
    free(where);
    return status;
}

/* ---------------------------------------------------------------- Dense, LayerNorm */

static const char *last_component(const char *dotted)
{
    const char *dot = strrchr(dotted, '.');
    return dot ? dot + 1 : dotted;
}

static mr_status read_dense_activation(const json_t *document, const char *where, mr_sentence_module *module, mr_error *error)
{
    static const struct { const char *text; mr_activation kind; bool sigmoid; } known[] = {
        { "Tanh", MR_ACTIVATION_TANH, false }, { "Identity", MR_ACTIVATION_NONE, false }, { "ReLU", MR_ACTIVATION_RELU, false },
        { "GELU", MR_ACTIVATION_GELU, false }, { "SiLU", MR_ACTIVATION_SILU, false },     { "Sigmoid", MR_ACTIVATION_NONE, true },
    };
    const char *text = NULL;
    MR_TRY(mr_json_string(document, "activation_function", "torch.nn.modules.activation.Tanh", &text, where, error));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(last_component(text), known[i].text) != 0) continue;
        module->activation = known[i].kind;
        module->sigmoid = known[i].sigmoid;
        return MR_OK;
    }
    return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"activation_function\" \"%s\" is not known here", where, text);
}

static mr_status read_width(const json_t *document, const char *key, const char *where, size_t *out, mr_error *error)
{
    MR_TRY(mr_json_size(document, key, 0, out, where, error));
    if (*out == 0 || *out > WIDTH_MAX) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: \"%s\" must be 1 to %zu", where, key, WIDTH_MAX);
    return MR_OK;
}

static mr_status expect_sentence_embedding(const json_t *document, const char *key, const char *where, mr_error *error)
{
    const char *text = NULL;
    MR_TRY(mr_json_string(document, key, "sentence_embedding", &text, where, error));
    if (strcmp(text, "sentence_embedding") == 0) return MR_OK;
    return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"%s\" is \"%s\", only \"sentence_embedding\" is supported", where, key, text);
}

static mr_status read_dense(const json_t *document, const char *where, mr_sentence_module *module, mr_error *error)
{
    MR_TRY(read_width(document, "in_features", where, &module->inputs, error));
    MR_TRY(read_width(document, "out_features", where, &module->outputs, error));
    MR_TRY(mr_json_bool(document, "bias", true, &module->has_bias, where, error));
    MR_TRY(mr_json_bool(document, "use_residual", false, &module->has_residual, where, error));
    MR_TRY(expect_sentence_embedding(document, "module_input_name", where, error));
    MR_TRY(expect_sentence_embedding(document, "module_output_name", where, error));
    return read_dense_activation(document, where, module, error);
}

mr_status mr_sentence_module_read(mr_sentence_module *module, mr_error *error)
{
    json_t *document = NULL;
    char *where = NULL;
    MR_TRY(mr_sentence_json_optional(module->directory, "config.json", false, &document, &where, error));
    mr_status status;
    if (!document) {
        status = mr_error_set(error, MR_MODEL_FILES_MISSING, "%s does not exist", where);
    } else if (module->kind == MR_SENTENCE_DENSE) {
        status = read_dense(document, where, module, error);
    } else {
        status = read_width(document, "dimension", where, &module->inputs, error);
        module->outputs = module->inputs;
    }
    json_decref(document);
    free(where);
    return status;
}

/* ---------------------------------------------------------------- the chain */

/* Below the model directory, by relative path: nothing may point outside. */
static bool is_inner_path(const char *path)
{
    if (path[0] == '/' || strchr(path, '\\')) return false;
    for (const char *part = path; part; part = strchr(part, '/')) {
        if (*part == '/') part++;
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) return false;
    }
    return true;
}

static mr_status add_module(mr_sentence_config *config, mr_sentence_module_kind kind, char *directory, mr_error *error)
{
    mr_sentence_module *module = &config->modules[config->module_count++];
    *module = (mr_sentence_module){ .kind = kind, .directory = directory, .tensor = "linear" };
    return kind == MR_SENTENCE_NORMALIZE ? MR_OK : mr_sentence_module_read(module, error);
}

/* The modules of a model that is nothing but its backbone. */
static mr_status add_own_modules(mr_sentence_config *config, mr_error *error)
{
    mr_encoder_limits limits;
    MR_TRY(mr_encoder_read_limits(config->backbone_directory, &limits, error));
    const mr_text_tower *tower = &limits.tower;
    config->poolings[config->pooling_count++] = tower->projection ? MR_POOLING_LAST : MR_POOLING_MEAN;
    config->tower = *tower;
    if (!tower->projection) return MR_OK;
    char *directory = mr_strdup(config->backbone_directory);
    if (!directory) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a path", config->backbone_directory);
    config->modules[config->module_count++] = (mr_sentence_module){ .kind = MR_SENTENCE_DENSE, .directory = directory, .tensor = tower->projection,
        .inputs = limits.hidden_size, .outputs = tower->outputs, .has_bias = tower->has_bias };
    return add_module(config, MR_SENTENCE_NORMALIZE, NULL, error);
}

/* Takes ownership of `directory`. Order: one Transformer, one Pooling, then the rest; or a CLIPModel alone. */
static mr_status take_module(const char *type, char *directory, const char *where, bool *pooled, mr_sentence_config *config, mr_error *error)
{
    const char *name = last_component(type);
    if (strcmp(name, "Transformer") == 0 && !config->backbone_directory) {
        config->backbone_directory = directory;
        return MR_OK;
    }
    if (strcmp(name, "CLIPModel") == 0 && !config->backbone_directory) {
        config->backbone_directory = directory;
        *pooled = true;
        return add_own_modules(config, error);
    }
    if (config->backbone_directory && strcmp(name, "Pooling") == 0 && !*pooled) {
        *pooled = true;
        mr_status status = read_pooling(directory, config, error);
        free(directory);
        return status;
    }
    if (*pooled && strcmp(name, "Dense") == 0) return add_module(config, MR_SENTENCE_DENSE, directory, error);
    if (*pooled && strcmp(name, "LayerNorm") == 0) return add_module(config, MR_SENTENCE_LAYER_NORM, directory, error);
    if (*pooled && strcmp(name, "Normalize") == 0) return add_module(config, MR_SENTENCE_NORMALIZE, directory, error);
    free(directory);
    return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: module \"%s\" is not supported at this place; there may be, in this order: Transformer, Pooling, then "
                        "any of Dense, LayerNorm, Normalize; or CLIPModel alone", where, type);
}

static mr_status read_entry(const char *directory, const json_t *entry, const char *where, bool *pooled, mr_sentence_config *config,
                            mr_error *error)
{
    const char *type = NULL, *path = NULL;
    if (!json_is_object(entry)) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: an entry is not an object", where);
    MR_TRY(mr_json_string(entry, "type", NULL, &type, where, error));
    MR_TRY(mr_json_string(entry, "path", NULL, &path, where, error));
    if (!type || !path) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: an entry lacks \"type\" or \"path\"", where);
    if (!is_inner_path(path)) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: path \"%s\" leaves the model directory", where, path);
    char *joined = path[0] ? mr_path_join(directory, path) : mr_strdup(directory);
    if (!joined) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a path", where);
    return take_module(type, joined, where, pooled, config, error);
}

mr_status mr_sentence_modules_read(const char *directory, mr_sentence_config *config, mr_error *error)
{
    json_t *chain = NULL;
    char *where = NULL;
    bool pooled = false;
    config->include_prompt = true;
    MR_TRY(mr_sentence_json_optional(directory, "modules.json", true, &chain, &where, error));
    mr_status status = MR_OK;
    size_t count = json_array_size(chain);
    if (count > MODULES_MAX) {
        status = mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: %zu modules, at most %d are supported", where, count, MODULES_MAX);
        goto done;
    }
    config->modules = calloc(count + 2, sizeof *config->modules); /* two more: a backbone's own projection and its Normalize */
    if (!config->modules) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate its modules", where);
        goto done;
    }
    for (size_t i = 0; i < count; i++) MR_TRY_OR(status, read_entry(directory, json_array_get(chain, i), where, &pooled, config, error), done);
    if (!chain) {
        config->backbone_directory = mr_strdup(directory);
        if (config->backbone_directory) status = add_own_modules(config, error);
        else status = mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a path", where);
    } else if (!pooled) {
        status = mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: a chain without a Transformer and a Pooling module is not supported", where);
    }
done:
    json_decref(chain);
    free(where);
    return status;
}
