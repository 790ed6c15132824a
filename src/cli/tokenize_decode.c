#include "cli/tokenize_decode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* malloc'ed; NULL when out of memory. */
static char *id_of(const json_t *line, const char *field, const char *path, size_t number)
{
    const json_t *id = json_object_get(line, field ? field : "id");
    if (!id && !field) id = json_object_get(line, "custom_id");
    if (json_is_string(id)) return mr_strdup(json_string_value(id));
    if (json_is_integer(id)) return mr_strf("%" JSON_INTEGER_FORMAT, json_integer_value(id));
    return mr_strf("%s#%zu", strcmp(path, "-") == 0 ? "stdin" : path, number);
}

mr_status mr_tokenize_each_line(const char *path, const char *id_field, void (*each)(const json_t *line, const char *id, void *context),
                                void (*bad)(const char *id, const char *problem, void *context), void *context, mr_error *error)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!file) return mr_error_errno(error, errno, "cannot open %s", path);
    char *line = NULL;
    size_t capacity = 0, number = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, file)) >= 0) {
        json_error_t problem = { .text = "not an object" };
        number++;
        if (line[strspn(line, " \t\r\n")] == '\0') continue;
        json_t *object = json_loadb(line, (size_t)length, JSON_ALLOW_NUL, &problem);
        char *id = id_of(object, id_field, path, number);
        if (json_is_object(object)) each(object, id ? id : "", context);
        else bad(id ? id : "", object ? "not an object" : problem.text, context);
        free(id);
        json_decref(object);
    }
    mr_status status = ferror(file) ? mr_error_errno(error, errno, "cannot read %s", path) : MR_OK;
    free(line);
    if (file != stdin) fclose(file);
    return status;
}

const char *mr_tokenize_decode_line(const mr_tokenizer *tokenizer, const json_t *line, bool skip_special, mr_buf *text)
{
    const json_t *list = json_object_get(line, "ids");
    size_t count = json_array_size(list);
    if (!json_is_array(list)) return "no array \"ids\"";
    int32_t *ids = malloc((count + 1) * sizeof *ids);
    const char *problem = ids ? NULL : "out of memory";
    for (size_t i = 0; !problem && i < count; i++) {
        const json_t *value = json_array_get(list, i);
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id > INT32_MAX) problem = "\"ids\" holds something that is no token id";
        else ids[i] = (int32_t)id;
    }
    if (!problem && mr_tokenizer_decode(tokenizer, ids, count, skip_special, text, NULL) != MR_OK) problem = "cannot be decoded";
    free(ids);
    return problem;
}
