#include "core/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

json_t *mr_json_parse(const char *text, size_t length, size_t flags, json_error_t *problem, bool *exhausted)
{
    errno = 0;
    json_t *value = json_loadb(text, length, flags, problem);
    *exhausted = !value && errno == ENOMEM;
    return value;
}

mr_status mr_json_load(const char *path, size_t max_bytes, json_t **out, mr_error *error)
{
    char *text;
    size_t length;
    MR_TRY(mr_file_read(path, max_bytes, &text, &length, error));
    json_error_t problem;
    const size_t flags = JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    bool exhausted;
    json_t *value = mr_json_parse(text, length, flags, &problem, &exhausted);
    /* Python writes "no limit" as 1000000000000000019884624838656: such a file is read with reals for all its integers. */
    if (!value && json_error_code(&problem) == json_error_numeric_overflow) value = mr_json_parse(text, length, flags | JSON_DECODE_INT_AS_REAL, &problem, &exhausted);
    free(text);
    if (exhausted) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory", path);
    if (!value) return mr_error_set(error, MR_MODEL_CORRUPT, "%s:%d:%d: not valid JSON: %s", path, problem.line, problem.column, problem.text);
    *out = value;
    return MR_OK;
}

static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static mr_status wrong(const char *where, const char *key, const char *expected, mr_error *error)
{
    return mr_error_set(error, MR_MODEL_CORRUPT, "%s: \"%s\" must be %s", where, key, expected);
}

mr_status mr_json_size(const json_t *object, const char *key, size_t fallback, size_t *out, const char *where, mr_error *error)
{
    const json_t *value = member(object, key);
    double number = json_number_value(value);
    bool exact_real = json_is_real(value) && number >= 0 && number < 0x1p53 && number == (double)(int64_t)number;
    if (value && ((!json_is_integer(value) && !exact_real) || number < 0)) return wrong(where, key, "a non-negative integer", error);
    *out = !value ? fallback : exact_real ? (size_t)number : (size_t)json_integer_value(value);
    return MR_OK;
}

mr_status mr_json_double(const json_t *object, const char *key, double fallback, double *out, const char *where, mr_error *error)
{
    const json_t *value = member(object, key);
    if (value && !json_is_number(value)) return wrong(where, key, "a number", error);
    *out = value ? json_number_value(value) : fallback;
    return MR_OK;
}

mr_status mr_json_bool(const json_t *object, const char *key, bool fallback, bool *out, const char *where, mr_error *error)
{
    const json_t *value = member(object, key);
    if (value && !json_is_boolean(value)) return wrong(where, key, "true or false", error);
    *out = value ? json_is_true(value) : fallback;
    return MR_OK;
}

mr_status mr_json_string(const json_t *object, const char *key, const char *fallback, const char **out, const char *where, mr_error *error)
{
    const json_t *value = member(object, key);
    if (value && (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value)))
        return wrong(where, key, "a string without U+0000", error);
    *out = value ? json_string_value(value) : fallback;
    return MR_OK;
}
