#include "io/json_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/chat_messages.h"
#include "io/text_repair.h"

/* jansson needs up to 150 bytes a value: a long line of nothing but brackets would cost fifty times its length. */
#define MAX_VALUES 1000000

static const char *const text_fields[] = { "text", "content", "body", "document", "messages" };
static const char *const id_fields[] = { "id", "_id", "custom_id" };

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    case JSON_NULL: return "null";
    }
    return "of unknown type";
}

/* Separators outside strings: an upper bound of the values inside. */
static size_t count_values(const char *data, size_t length)
{
    size_t count = 1;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        char c = data[i];
        if (c == '"') quoted = !quoted;
        else if (c == '\\') i += quoted;
        else if (!quoted && (c == ',' || c == '[' || c == '{')) count++;
    }
    return count;
}

/* A member that is absent or null: NULL. A name with dots looks into objects unless a member has that very name. */
static const json_t *lookup(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    const char *dot = value ? NULL : strchr(name, '.');
    if (dot) {
        const json_t *inner = json_object_getn(object, name, (size_t)(dot - name));
        return json_is_object(inner) ? lookup(inner, dot + 1) : NULL;
    }
    return json_is_null(value) ? NULL : value;
}

static const json_t *first_of(const json_t *object, const char *const *names, size_t count, const char **found)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = lookup(object, names[i]);
        if (!value) continue;
        *found = names[i];
        return value;
    }
    return NULL;
}

static mr_status read_id(const char *id_field, mr_json_line *line, mr_error *error)
{
    const char *name = id_field;
    const json_t *value = id_field ? lookup(line->root, id_field) : first_of(line->root, id_fields, 3, &name);
    if (!value) return MR_OK;
    if (json_is_string(value)) {
        line->id = (mr_str){ json_string_value(value), json_string_length(value) };
        return MR_OK;
    }
    if (!json_is_integer(value)) return mr_error_set(error, MR_BAD_RECORD, "the id \"%s\" is %s, not a string or whole number", name, type_name(value));
    int length = snprintf(line->number, sizeof line->number, "%lld", (long long)json_integer_value(value));
    line->id = (mr_str){ line->number, (size_t)length };
    return MR_OK;
}

static mr_status read_chat(const json_t *messages, const char *name, mr_json_line *line, mr_error *error)
{
    MR_TRY(mr_messages_to_text(messages, name, &line->rendered, error));
    line->dumped = json_dumps(messages, JSON_COMPACT);
    if (!line->dumped) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a chat");
    line->messages = mr_str_of(line->dumped);
    line->text = (mr_str){ line->rendered.data, line->rendered.length };
    return MR_OK;
}

/* Texts, a record each; a mistake in one fails the line, as it would at OpenAI's. */
static mr_status read_array(const json_t *array, const char *name, mr_json_line *line, mr_error *error)
{
    size_t i;
    const json_t *text;
    if (json_array_size(array) == 0) return mr_error_set(error, MR_BAD_RECORD, "\"%s\" is an empty array", name);
    json_array_foreach(array, i, text)
        if (!json_is_string(text)) return mr_error_set(error, MR_BAD_RECORD, "\"%s\"[%zu] is %s, not a string", name, i, type_name(text));
    line->array = array;
    line->several = json_array_size(array);
    return MR_OK;
}

bool mr_json_line_may_be_several(mr_str line, const mr_json_fields *fields)
{
    return !fields->text && memmem(line.data, line.length, "\"custom_id\"", 11) != NULL;
}

/* The value that holds the text, and its name: the given field, or that of an OpenAI batch line, or the usual ones. */
static const json_t *find_text(const json_t *root, const mr_json_fields *fields, const char **name, bool *batch)
{
    static const char *const batch_fields[] = { "body.input", "body.messages" };
    *batch = !fields->text && json_object_get(root, "custom_id") && json_is_object(json_object_get(root, "body"));
    *name = fields->text ? fields->text : *batch ? "body.input" : "text";
    if (fields->text) return lookup(root, fields->text);
    return *batch ? first_of(root, batch_fields, 2, name) : first_of(root, text_fields, sizeof text_fields / sizeof *text_fields, name);
}

static mr_status read_text(mr_str source, const mr_json_fields *fields, mr_json_line *line, mr_error *error)
{
    const char *name;
    bool batch;
    const json_t *value = find_text(line->root, fields, &name, &batch);
    if (!value && fields->text_optional) return MR_OK;
    if (!value) return mr_error_set(error, MR_BAD_RECORD, fields->text ? "the field \"%s\" is missing" : batch ? "no \"%s\" field (nor body.messages)" :
                                    "no \"%s\" field (nor content, body, document or messages)", name);
    line->has_text = true;
    if (mr_messages_are_chat(value)) return read_chat(value, name, line, error);
    if (batch && json_is_array(value) && mr_json_line_may_be_several(source, fields)) return read_array(value, name, line, error);
    if (!json_is_string(value)) return mr_error_set(error, MR_BAD_RECORD, "\"%s\" is %s, not a string", name, type_name(value));
    line->text = (mr_str){ json_string_value(value), json_string_length(value) };
    return MR_OK;
}

static mr_status decode(const char *data, size_t length, mr_json_line *line, mr_error *error)
{
    if (length > MAX_VALUES && count_values(data, length) > MAX_VALUES)
        return mr_error_set(error, MR_BAD_RECORD, "the object has more than %d values", MAX_VALUES);
    json_error_t problem;
    line->root = json_loadb(data, length, JSON_ALLOW_NUL | JSON_DECODE_ANY, &problem);
    if (!line->root && json_error_code(&problem) == json_error_numeric_overflow) /* fine in a field nobody reads */
        line->root = json_loadb(data, length, JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &problem);
    if (!line->root) {
        if (json_error_code(&problem) == json_error_out_of_memory) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a JSON object");
        return mr_error_set(error, MR_BAD_RECORD, "not JSON: %s (byte %d)", problem.text, problem.position);
    }
    if (!json_is_object(line->root)) return mr_error_set(error, MR_BAD_RECORD, "the line is %s, not an object", type_name(line->root));
    return MR_OK;
}

mr_status mr_json_line_parse(mr_str line, const mr_json_fields *fields, mr_json_line *out, mr_error *error)
{
    *out = (mr_json_line){ .text = { "", 0 }, .id = { "", 0 } };
    MR_TRY(mr_text_repair_json(&line, fields->replace_invalid, &out->repaired, error));
    MR_TRY(decode(line.data, line.length, out, error));
    MR_TRY(read_id(fields->id, out, error));
    return read_text(line, fields, out, error);
}

mr_str mr_json_line_text(const mr_json_line *line, size_t i)
{
    const json_t *text = json_array_get(line->array, i);
    return (mr_str){ json_string_value(text), json_string_length(text) };
}

void mr_json_line_fini(mr_json_line *line)
{
    json_decref(line->root);
    mr_buf_fini(&line->rendered);
    mr_buf_fini(&line->repaired);
    free(line->dumped);
    *line = (mr_json_line){ 0 };
}
