#include "embed/eos_rule.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "embed/sentence_modules.h"

/* Does a text's encoding with special tokens end with its encoding without? */
static mr_status ends_with_text(const mr_tokenizer *tokenizer, bool *out, mr_error *error)
{
    mr_tokenizer_scratch *scratch = NULL;
    mr_encoding bare = { 0 }, whole = { 0 };
    const mr_encode_options with_specials = { .add_special_tokens = true }, without = { 0 };
    mr_status status;
    MR_TRY(mr_tokenizer_scratch_create(&scratch, error));
    MR_TRY_OR(status, mr_tokenizer_encode(tokenizer, scratch, MR_STR("a"), &without, &bare, error), done);
    MR_TRY_OR(status, mr_tokenizer_encode(tokenizer, scratch, MR_STR("a"), &with_specials, &whole, error), done);
    *out = bare.count > 0 && whole.count >= bare.count &&
           memcmp(whole.ids + (whole.count - bare.count), bare.ids, bare.count * sizeof *bare.ids) == 0;
done:
    mr_encoding_fini(&bare);
    mr_encoding_fini(&whole);
    mr_tokenizer_scratch_destroy(scratch);
    return status;
}

/* A string, or an object with the string as "content". */
static const char *token_text(const json_t *token)
{
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

mr_status mr_eos_rule_read(const char *directory, const mr_tokenizer *tokenizer, int32_t *out, mr_error *error)
{
    json_t *document = NULL;
    char *where = NULL;
    bool asked = false, missing = false;
    int32_t id = -1;
    mr_status status;
    MR_TRY(mr_sentence_json_optional(directory, "tokenizer_config.json", false, &document, &where, error));
    MR_TRY_OR(status, mr_json_bool(document, "add_eos_token", false, &asked, where, error), done);
    if (asked) MR_TRY_OR(status, ends_with_text(tokenizer, &missing, error), done);
    if (missing) {
        const char *text = token_text(json_object_get(document, "eos_token"));
        id = text ? mr_tokenizer_id(tokenizer, mr_str_of(text)) : -1;
        if (id < 0) status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: \"add_eos_token\" without an \"eos_token\" the tokenizer knows", where);
    }
    if (status == MR_OK) *out = id;
done:
    json_decref(document);
    free(where);
    return status;
}

mr_status mr_eos_suffix_read(const char *directory, char **out, mr_error *error)
{
    json_t *config = NULL, *document = NULL;
    char *config_where = NULL, *where = NULL, *suffix = NULL;
    bool asked = false;
    mr_status status;
    MR_TRY_OR(status, mr_sentence_json_optional(directory, "config.json", false, &config, &config_where, error), done);
    MR_TRY_OR(status, mr_json_bool(config, "add_eos", false, &asked, config_where, error), done);
    MR_TRY_OR(status, mr_sentence_json_optional(directory, "tokenizer_config.json", false, &document, &where, error), done);
    if (asked) {
        const char *text = token_text(json_object_get(document, "eos_token"));
        suffix = text ? mr_strdup(text) : NULL;
        if (!suffix) status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: \"add_eos\" without an \"eos_token\" in %s", config_where, where);
    }
    if (status == MR_OK) *out = suffix;
done:
    json_decref(config);
    json_decref(document);
    free(config_where);
    free(where);
    return status;
}
