#include "chat/chat.h"

#include <stdlib.h>
#include <string.h>

#include "chat/chat_template.h"
#include "core/file.h"
#include "core/json.h"
#include "weights/gguf.h"

#define MAX_FILE_BYTES (128u << 20)

struct mr_chat {
    mr_chat_template *chat_template;
    json_t *tokens; /* bos_token, eos_token, ...: text */
};

/* ---------------------------------------------------------------- files */

/* Every "..._token" of tokenizer_config.json: a text, or an added token with its "content". */
static mr_status read_tokens(const json_t *config, json_t *tokens, mr_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)config, key, value) {
        const json_t *text = json_is_object(value) ? json_object_get(value, "content") : value;
        if (!mr_str_ends_with(mr_str_of(key), "_token") || !json_is_string(text)) continue;
        if (json_object_set_new(tokens, key, json_stringn(json_string_value(text), json_string_length(text))) != 0) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    }
    return MR_OK;
}

/* The template in tokenizer_config.json; NULL when there is none of that name. */
static const json_t *find_template(const json_t *config, const char *name)
{
    const json_t *given = json_object_get(config, "chat_template"), *item;
    size_t i;
    if (json_is_string(given)) return name ? NULL : given;
    json_array_foreach(given, i, item) {
        const char *own = json_string_value(json_object_get(item, "name"));
        if (own && strcmp(own, name ? name : "default") == 0) return json_object_get(item, "template");
    }
    return NULL;
}

static mr_status no_template(const char *path, const char *name, mr_error *error)
{
    return mr_error_set(error, MR_MODEL_FILES_MISSING, "%s: no chat template%s%s%s; put one into chat_template.jinja", path, name ? " named \"" : "", name ? name : "", name ? "\"" : "");
}

static mr_status open_directory(const char *path, const char *name, mr_chat *chat, mr_error *error)
{
    char *config_path = mr_path_join(path, "tokenizer_config.json"), *file_path = mr_path_join(path, "chat_template.jinja"), *source = NULL;
    json_t *config = NULL;
    size_t length;
    mr_status status = config_path && file_path ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", path);
    if (status == MR_OK && mr_path_exists(config_path)) status = mr_json_load(config_path, MAX_FILE_BYTES, &config, error);
    if (status == MR_OK) status = read_tokens(config, chat->tokens, error);
    const json_t *text = find_template(config, name);
    if (status == MR_OK && !name && mr_path_exists(file_path)) {
        status = mr_file_read(file_path, MAX_FILE_BYTES, &source, &length, error);
        if (status == MR_OK) status = mr_chat_template_open((mr_str){ source, length }, file_path, &chat->chat_template, error);
    } else if (status == MR_OK && json_is_string(text)) {
        status = mr_chat_template_open((mr_str){ json_string_value(text), json_string_length(text) }, config_path, &chat->chat_template, error);
    } else if (status == MR_OK) {
        status = no_template(path, name, error);
    }
    json_decref(config);
    free(source);
    free(file_path);
    free(config_path);
    return status;
}

/* The text of the token whose id `key` holds becomes the variable `variable`. */
static mr_status read_gguf_token(const mr_gguf *gguf, const mr_gguf_value *tokens, const char *key, const char *variable, json_t *out, mr_error *error)
{
    size_t id;
    if (!tokens || !mr_gguf_find(gguf, key)) return MR_OK;
    MR_TRY(mr_gguf_get_size(gguf, key, tokens->count - 1, 0, &id, error));
    const unsigned char *at = tokens->data;
    mr_str text = mr_gguf_next_string(&at);
    while (id-- > 0) text = mr_gguf_next_string(&at);
    return json_object_set_new(out, variable, json_stringn(text.data, text.length)) == 0 ? MR_OK : mr_error_set(error, MR_MODEL_CORRUPT, "%s: %s is not well-formed UTF-8", gguf->file, variable);
}

static mr_status open_parsed_gguf(const mr_gguf *gguf, const char *name, mr_chat *chat, mr_error *error)
{
    static const char *const tokens[][2] = { { "tokenizer.ggml.bos_token_id", "bos_token" }, { "tokenizer.ggml.eos_token_id", "eos_token" },
                                             { "tokenizer.ggml.unknown_token_id", "unk_token" }, { "tokenizer.ggml.padding_token_id", "pad_token" } };
    const mr_gguf_value *texts;
    mr_str source;
    char *key = name ? mr_strf("tokenizer.chat_template.%s", name) : mr_strdup("tokenizer.chat_template");
    if (!key) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", gguf->file);
    mr_status status = mr_gguf_get_str(gguf, key, (mr_str){ 0 }, &source, error);
    free(key);
    MR_TRY(status);
    if (!source.data) return no_template(gguf->file, name, error);
    MR_TRY(mr_gguf_get_strings(gguf, "tokenizer.ggml.tokens", &texts, error));
    if (texts && texts->count == 0) texts = NULL;
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) MR_TRY(read_gguf_token(gguf, texts, tokens[i][0], tokens[i][1], chat->tokens, error));
    return mr_chat_template_open(source, gguf->file, &chat->chat_template, error);
}

static mr_status open_gguf(const char *path, const char *name, mr_chat *chat, mr_error *error)
{
    mr_mapping mapping;
    mr_gguf gguf;
    MR_TRY(mr_file_map(path, &mapping, error));
    mr_status status = mr_gguf_parse(mapping.data, mapping.length, path, &gguf, error);
    if (status == MR_OK) {
        status = open_parsed_gguf(&gguf, name, chat, error);
        mr_gguf_fini(&gguf);
    }
    mr_file_unmap(&mapping);
    return status;
}

mr_status mr_chat_open(const char *path, const char *name, mr_chat **out, mr_error *error)
{
    mr_chat *chat = calloc(1, sizeof *chat);
    mr_status status = MR_OUT_OF_MEMORY;
    if (chat) chat->tokens = json_object();
    if (!chat || !chat->tokens) mr_error_set(error, status, "%s: out of memory", path);
    else if (mr_path_exists(path) && !mr_path_is_directory(path)) status = open_gguf(path, name, chat, error);
    else status = open_directory(path, name, chat, error);
    if (status == MR_OK) *out = chat;
    else mr_chat_close(chat);
    return status;
}

void mr_chat_close(mr_chat *chat)
{
    if (!chat) return;
    mr_chat_template_close(chat->chat_template);
    json_decref(chat->tokens);
    free(chat);
}

/* ---------------------------------------------------------------- conversations */

static mr_status bad(size_t index, const char *what, mr_error *error)
{
    return mr_error_set(error, MR_BAD_RECORD, "messages[%zu]: %s", index, what);
}

/* A message as templates expect it: thoughts under both names that are asked for, content in parts for those that take nothing else. */
static mr_status prepare_message(const json_t *message, size_t index, bool parts, json_t **out, mr_error *error)
{
    static const char *const names[] = { "reasoning_content", "thinking", "reasoning" };
    if (!json_is_object(message)) return bad(index, "not an object", error);
    if (!json_is_string(json_object_get(message, "role")) || json_string_length(json_object_get(message, "role")) == 0) return bad(index, "no \"role\"", error);
    json_t *made = json_copy((json_t *)(uintptr_t)message), *content = json_object_get(made, "content");
    if (!made) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < 3; i++) {
        json_t *thoughts = json_object_get(made, names[i]);
        if (!thoughts || json_is_null(thoughts)) continue;
        json_object_set(made, "reasoning_content", thoughts);
        if (!json_object_get(made, "thinking")) json_object_set(made, "thinking", thoughts);
        break;
    }
    if (parts && json_is_string(content)) json_object_set_new(made, "content", json_pack("[{s:s,s:O}]", "type", "text", "text", content));
    *out = made;
    return MR_OK;
}

static mr_status prepare(const mr_chat *chat, const json_t *conversation, json_t *variables, mr_error *error)
{
    const json_t *messages = json_object_get(conversation, "messages"), *message;
    size_t i;
    if (!json_is_array(messages)) return mr_error_set(error, MR_BAD_RECORD, "no list \"messages\"");
    json_t *list = json_array();
    if (!list || json_object_update(variables, chat->tokens) != 0 || json_object_set_new(variables, "add_generation_prompt", json_true()) != 0 ||
        json_object_set_new(variables, "tools", json_null()) != 0 || json_object_set_new(variables, "documents", json_null()) != 0 || /* given or not, they are defined */
        json_object_update(variables, (json_t *)(uintptr_t)conversation) != 0 || json_object_set_new(variables, "messages", list) != 0)
        return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    json_array_foreach(messages, i, message) {
        json_t *made = NULL;
        MR_TRY(prepare_message(message, i, mr_chat_template_wants_parts(chat->chat_template), &made, error));
        if (json_array_append_new(list, made) != 0) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    }
    return MR_OK;
}

mr_status mr_chat_make_prompt(const mr_chat *chat, const json_t *conversation, mr_buf *out, mr_error *error)
{
    json_t *variables = json_object();
    if (!variables) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    mr_status status = prepare(chat, conversation, variables, error);
    if (status == MR_OK) status = mr_chat_template_render(chat->chat_template, variables, out, error);
    json_decref(variables);
    return status;
}

bool mr_chat_needs_special_tokens(const mr_chat *chat, mr_str prompt)
{
    const json_t *bos = json_object_get(chat->tokens, "bos_token");
    size_t length = json_string_length(bos);
    return length == 0 || prompt.length < length || memcmp(prompt.data, json_string_value(bos), length) != 0;
}
