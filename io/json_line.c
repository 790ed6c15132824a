#include "io/json_line.h"

#include <stdio.h>
#include <string.h>

/* jansson needs up to 150 bytes a value: a long line of nothing but brackets would cost fifty times its length. */
#define MAX_VALUES 1000000

static const char *const text_fields[] = { "text", "content", "body", "document" };
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

/* The line of an OpenAI batch file: {"custom_id": ..., "body": {"input": "text" or ["text"]}}. */
static const json_t *batch_input(const json_t *root)
{
    const json_t *input = json_object_get(json_object_get(root, "body"), "input");
    return json_array_size(input) == 1 ? json_array_get(input, 0) : input;
}

static mr_status read_text(const char *text_field, bool required, mr_json_line *line, mr_error *error)
{
    const char *name = text_field;
    const json_t *value;
    if (text_field) {
        value = lookup(line->root, text_field);
    } else if (json_object_get(line->root, "custom_id") && json_is_object(json_object_get(line->root, "body"))) {
        name = "body.input";
        value = batch_input(line->root);
        if (json_is_array(value)) return mr_error_set(error, MR_BAD_RECORD, "\"body.input\" holds %zu texts; a record has one: give each its own line",
                                                      json_array_size(value));
    } else {
        name = "text";
        value = first_of(line->root, text_fields, 4, &name);
    }
    if (!value && !required) return MR_OK;
    if (!value) return mr_error_set(error, MR_BAD_RECORD, text_field ? "the field \"%s\" is missing" : "no \"%s\" field (nor content, body or document)", name);
    if (!json_is_string(value)) return mr_error_set(error, MR_BAD_RECORD, "\"%s\" is %s, not a string", name, type_name(value));
    line->text = (mr_str){ json_string_value(value), json_string_length(value) };
    line->has_text = true;
    return MR_OK;
}

static mr_status decode(const char *data, size_t length, mr_json_line *line, mr_error *error)
{
    size_t good = mr_utf8_check(data, length);
    if (good < length) return mr_error_set(error, MR_BAD_RECORD, "invalid UTF-8 at byte %zu", good);
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

static mr_status parse(const char *data, size_t length, const char *text_field, const char *id_field, bool required,
                       mr_json_line *out, mr_error *error)
{
    *out = (mr_json_line){ .text = { "", 0 }, .id = { "", 0 } };
    MR_TRY(decode(data, length, out, error));
    MR_TRY(read_id(id_field, out, error));
    return read_text(text_field, required, out, error);
}

mr_status mr_json_line_parse(const char *data, size_t length, const char *text_field, const char *id_field,
                             mr_json_line *out, mr_error *error)
{
    return parse(data, length, text_field, id_field, true, out, error);
}

mr_status mr_json_line_parse_optional(const char *data, size_t length, const char *text_field, const char *id_field,
                                      mr_json_line *out, mr_error *error)
{
    return parse(data, length, text_field, id_field, false, out, error);
}

void mr_json_line_fini(mr_json_line *line)
{
    json_decref(line->root);
    *line = (mr_json_line){ 0 };
}
