#include "embed/sentence_config.h"

#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "embed/sentence_modules.h"
#include "models/encoder.h"

#define PROMPTS_MAX 4096
/* Tokenizer libraries write 1e30 or 2^31 for "no limit". */
#define UNBOUNDED_LENGTH ((size_t)1 << 30)
#define TOKENIZER_JSON_MAX ((size_t)256 << 20)

/* ---------------------------------------------------------------- limits */

/* tokenizer_config.json's model_max_length, 0 = none. */
static mr_status read_model_max_length(const char *directory, size_t *out, mr_error *error)
{
    json_t *document = NULL;
    char *where = NULL;
    MR_TRY(mr_sentence_json_optional(directory, "tokenizer_config.json", false, &document, &where, error));
    const json_t *value = json_object_get(document, "model_max_length");
    double length = json_is_number(value) ? json_number_value(value) : 0;
    *out = length >= 1 && length < (double)UNBOUNDED_LENGTH ? (size_t)length : 0;
    json_decref(document);
    free(where);
    return MR_OK;
}

/* config.json's max_position_embeddings, 0 = none. Not a hard limit: some architectures have no position table. */
static mr_status read_position_count(const char *directory, size_t *out, mr_error *error)
{
    json_t *document = NULL;
    char *where = NULL;
    MR_TRY(mr_sentence_json_optional(directory, "config.json", false, &document, &where, error));
    mr_status status = mr_json_size(document, "max_position_embeddings", 0, out, where, error);
    json_decref(document);
    free(where);
    return status;
}

static size_t smaller_nonzero(size_t a, size_t b)
{
    if (a == 0 || b == 0) return a > b ? a : b;
    return a < b ? a : b;
}

/* ---------------------------------------------------------------- do_lower_case */

static bool lowers_case(const json_t *normalizer)
{
    const char *type = json_string_value(json_object_get(normalizer, "type"));
    if (!type) return false;
    if (strcmp(type, "Lowercase") == 0) return true;
    if (strcmp(type, "BertNormalizer") == 0) return !json_is_false(json_object_get(normalizer, "lowercase"));
    const json_t *members = json_object_get(normalizer, "normalizers");
    for (size_t i = 0; i < json_array_size(members); i++)
        if (lowers_case(json_array_get(members, i))) return true;
    return false;
}

/* do_lower_case puts a Lowercase step before the normalizer; where that one lowers case itself nothing changes. */
static mr_status check_lower_case(const char *directory, mr_error *error)
{
    char *path = mr_path_join(directory, "tokenizer.json");
    json_t *document = NULL;
    if (!path) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a path", directory);
    mr_status status = mr_json_load(path, TOKENIZER_JSON_MAX, &document, error);
    if (status == MR_OK && !lowers_case(json_object_get(document, "normalizer")))
        status = mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: the model asks for \"do_lower_case\" but the normalizer here keeps case", path);
    json_decref(document);
    free(path);
    return status;
}

/* ---------------------------------------------------------------- sentence_bert_config.json */

static mr_status read_transformer_settings(mr_sentence_config *config, mr_error *error)
{
    static const char *const names[] = {
        "sentence_bert_config.json",      "sentence_roberta_config.json",     "sentence_distilbert_config.json", "sentence_camembert_config.json",
        "sentence_albert_config.json",    "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json",
    };
    json_t *document = NULL;
    char *where = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !document; i++) {
        free(where);
        where = NULL;
        MR_TRY(mr_sentence_json_optional(config->backbone_directory, names[i], false, &document, &where, error));
    }
    bool lower_case = false;
    size_t model_max = 0, positions = 0;
    mr_status status;
    MR_TRY_OR(status, mr_json_size(document, "max_seq_length", 0, &config->max_tokens, where, error), done);
    MR_TRY_OR(status, mr_json_bool(document, "do_lower_case", false, &lower_case, where, error), done);
    if (config->max_tokens == 0) {
        MR_TRY_OR(status, read_model_max_length(config->backbone_directory, &model_max, error), done);
        MR_TRY_OR(status, read_position_count(config->backbone_directory, &positions, error), done);
        config->max_tokens = smaller_nonzero(model_max, positions);
    }
    if (lower_case) status = check_lower_case(config->backbone_directory, error);
done:
    json_decref(document);
    free(where);
    return status;
}

/* ---------------------------------------------------------------- config_sentence_transformers.json */

static mr_status read_prompts(const json_t *prompts, const char *where, mr_sentence_config *config, mr_error *error)
{
    size_t count = json_object_size(prompts);
    if (prompts && !json_is_null(prompts) && !json_is_object(prompts))
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: \"prompts\" must be an object", where);
    if (count > PROMPTS_MAX) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: %zu prompts, at most %d are supported", where, count, PROMPTS_MAX);
    config->prompts = calloc(count + 1, sizeof *config->prompts);
    if (!config->prompts) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate its prompts", where);
    const char *name;
    json_t *text;
    json_object_foreach((json_t *)(uintptr_t)prompts, name, text) {
        if (!json_is_string(text)) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: prompt \"%s\" must be a string", where, name);
        mr_prompt *prompt = &config->prompts[config->prompt_count++];
        *prompt = (mr_prompt){ .name = mr_strdup(name), .text = mr_strndup(json_string_value(text), json_string_length(text)),
                               .length = json_string_length(text) };
        if (!prompt->name || !prompt->text) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate its prompts", where);
    }
    return MR_OK;
}

static const mr_prompt *find_prompt(const mr_sentence_config *config, const char *name)
{
    for (size_t i = 0; i < config->prompt_count; i++)
        if (strcmp(config->prompts[i].name, name) == 0) return &config->prompts[i];
    return NULL;
}

static const char *const similarity_names[] = { [MR_SIMILARITY_COSINE] = "cosine", [MR_SIMILARITY_DOT] = "dot",
                                                [MR_SIMILARITY_EUCLIDEAN] = "euclidean", [MR_SIMILARITY_MANHATTAN] = "manhattan" };

const char *mr_similarity_text(mr_similarity similarity) { return similarity_names[similarity]; }

bool mr_similarity_parse(const char *text, mr_similarity *out)
{
    for (size_t i = 0; i < sizeof similarity_names / sizeof *similarity_names; i++) {
        if (strcmp(text, similarity_names[i]) != 0) continue;
        *out = (mr_similarity)i;
        return true;
    }
    return false;
}

static mr_status read_similarity(const json_t *document, const char *where, mr_similarity *out, mr_error *error)
{
    const char *text = NULL;
    MR_TRY(mr_json_string(document, "similarity_fn_name", similarity_names[MR_SIMILARITY_COSINE], &text, where, error));
    if (mr_similarity_parse(text, out)) return MR_OK;
    return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"similarity_fn_name\" \"%s\" is not known here", where, text);
}

static mr_status read_library_settings(const char *directory, mr_sentence_config *config, mr_error *error)
{
    json_t *document = NULL;
    char *where = NULL;
    const char *name = NULL;
    mr_status status;
    MR_TRY(mr_sentence_json_optional(directory, "config_sentence_transformers.json", false, &document, &where, error));
    MR_TRY_OR(status, read_prompts(json_object_get(document, "prompts"), where, config, error), done);
    MR_TRY_OR(status, mr_json_string(document, "default_prompt_name", NULL, &name, where, error), done);
    if (name) config->default_prompt = find_prompt(config, name);
    if (name && !config->default_prompt) {
        status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: \"default_prompt_name\" \"%s\" is not among its prompts", where, name);
        goto done;
    }
    status = read_similarity(document, where, &config->similarity, error);
done:
    json_decref(document);
    free(where);
    return status;
}

mr_status mr_sentence_config_prompt(const mr_sentence_config *config, const mr_embed_options *options, mr_str *out, mr_error *error)
{
    static const mr_embed_options as_the_model_says;
    if (!options) options = &as_the_model_says;
    const char *name = options->prompt_name;
    if (options->prompt_text) {
        *out = mr_str_of(options->prompt_text);
        return MR_OK;
    }
    const mr_prompt *prompt = name ? find_prompt(config, name) : options->is_query ? find_prompt(config, "query") : NULL;
    if (name && !prompt && options->prompt_fallback) {
        *out = mr_str_of(options->prompt_fallback);
        return MR_OK;
    }
    if (name && !prompt) {
        mr_buf known = { 0 };
        for (size_t i = 0; i < config->prompt_count; i++) mr_buf_printf(&known, "%s%s", i > 0 ? ", " : "", config->prompts[i].name);
        mr_status status = mr_error_set(error, MR_CONFIG, "the model has no prompt \"%s\" (it has: %s)", name, known.length > 0 ? known.data : "none");
        mr_buf_fini(&known);
        return status;
    }
    if (!prompt) prompt = config->default_prompt;
    *out = prompt ? (mr_str){ prompt->text, prompt->length } : (mr_str){ "", 0 };
    return MR_OK;
}

/* ---------------------------------------------------------------- the caller's settings */

/* A head for exactly this length, "<prefix>_<dimension>" beside the one in modules.json, replaces it. */
static mr_status choose_head(mr_sentence_config *config, size_t dimension, bool *chosen, mr_error *error)
{
    mr_sentence_module *head = NULL;
    for (size_t i = 0; i < config->module_count; i++)
        if (config->modules[i].kind == MR_SENTENCE_DENSE) head = &config->modules[i];
    *chosen = head && head->outputs == dimension;
    if (!head || *chosen || config->tower.projection) return MR_OK;
    const char *underscore = strrchr(head->directory, '_');
    if (!underscore || underscore[1] == '\0' || strspn(underscore + 1, "0123456789") != strlen(underscore + 1)) return MR_OK;
    char *other = mr_strf("%.*s_%zu", (int)(underscore - head->directory), head->directory, dimension);
    if (!other) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    if (!mr_path_is_directory(other)) {
        free(other);
        return MR_OK;
    }
    free(head->directory);
    head->directory = other;
    *chosen = true;
    MR_TRY(mr_sentence_module_read(head, error));
    if (head->outputs == dimension) return MR_OK;
    return mr_error_set(error, MR_MODEL_CORRUPT, "%s: its config.json gives %zu outputs, its name %zu", other, head->outputs, dimension);
}

static bool ends_normalized(const mr_sentence_config *config)
{
    return config->module_count > 0 && config->modules[config->module_count - 1].kind == MR_SENTENCE_NORMALIZE;
}

static mr_status apply_options(mr_sentence_config *config, const mr_embed_options *options, mr_error *error)
{
    if (options->override_pooling) {
        config->poolings[0] = options->pooling;
        config->pooling_count = 1;
    }
    bool normalized = ends_normalized(config);
    bool unit = options->normalize == MR_CHOICE_YES || (normalized && options->normalize == MR_CHOICE_MODEL);
    if (normalized && options->normalize == MR_CHOICE_NO) free(config->modules[--config->module_count].directory);
    if (options->dimension > 0) {
        bool chosen = false;
        MR_TRY(choose_head(config, options->dimension, &chosen, error));
        if (!chosen) config->truncate_dimension = options->dimension;
    }
    config->normalize_at_end = unit && (!normalized || config->truncate_dimension > 0);
    return MR_OK;
}

/* Sizes must follow from each other: backbone, poolings, modules, truncation. */
static mr_status check_widths(mr_sentence_config *config, const mr_embed_options *options, const char *directory, mr_error *error)
{
    mr_status mismatch = options->override_pooling ? MR_CONFIG : MR_MODEL_CORRUPT;
    size_t width = config->hidden_size * config->pooling_count;
    for (size_t i = 0; i < config->module_count; i++) {
        mr_sentence_module *module = &config->modules[i];
        if (module->kind == MR_SENTENCE_NORMALIZE) module->inputs = module->outputs = width;
        if (module->inputs != width)
            return mr_error_set(error, mismatch, "%s takes %zu values, the steps before give %zu", module->directory, module->inputs, width);
        width = module->outputs;
    }
    if (config->truncate_dimension > width)
        return mr_error_set(error, MR_CONFIG, "%s: vectors of %zu values cannot be cut to %zu", directory, width, config->truncate_dimension);
    if (config->truncate_dimension == width) {
        config->truncate_dimension = 0;
        if (ends_normalized(config)) config->normalize_at_end = false;
    }
    config->dimension = config->truncate_dimension ? config->truncate_dimension : width;
    return MR_OK;
}

static mr_status apply_limits(mr_sentence_config *config, const mr_embed_options *options, mr_error *error)
{
    mr_encoder_limits limits;
    MR_TRY(mr_encoder_read_limits(config->backbone_directory, &limits, error));
    config->hidden_size = limits.hidden_size;
    config->max_tokens = smaller_nonzero(config->max_tokens, limits.max_tokens);
    if (config->max_tokens > 0 && options->max_tokens > config->max_tokens)
        return mr_error_set(error, MR_CONFIG, "%zu tokens are more than the model's %zu", options->max_tokens, config->max_tokens);
    if (options->max_tokens > 0) config->max_tokens = options->max_tokens;
    return MR_OK;
}

/* ---------------------------------------------------------------- open, close */

mr_status mr_sentence_config_open(const char *directory, const mr_embed_options *options, mr_sentence_config **out, mr_error *error)
{
    static const mr_embed_options none = { 0 };
    if (!options) options = &none;
    mr_sentence_config *config = calloc(1, sizeof *config);
    if (!config) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate its settings", directory);
    mr_status status;
    MR_TRY_OR(status, mr_sentence_modules_read(directory, config, error), fail);
    MR_TRY_OR(status, read_transformer_settings(config, error), fail);
    MR_TRY_OR(status, read_library_settings(directory, config, error), fail);
    MR_TRY_OR(status, apply_options(config, options, error), fail);
    MR_TRY_OR(status, apply_limits(config, options, error), fail);
    MR_TRY_OR(status, check_widths(config, options, directory, error), fail);
    *out = config;
    return MR_OK;
fail:
    mr_sentence_config_close(config);
    return status;
}

void mr_sentence_config_close(mr_sentence_config *config)
{
    if (!config) return;
    for (size_t i = 0; config->modules && i < config->module_count; i++) free(config->modules[i].directory);
    for (size_t i = 0; i < config->prompt_count; i++) {
        free(config->prompts[i].name);
        free(config->prompts[i].text);
    }
    free(config->prompts);
    free(config->modules);
    free(config->backbone_directory);
    free(config);
}
