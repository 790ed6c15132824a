#include "changed_model.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/json.h"
#include "weights/safetensors.h"

void changed_model_must(mr_status status, const mr_error *error)
{
    if (status != MR_OK) fail_msg("%s", error->text);
}

char *changed_model_path(const char *directory, const char *name)
{
    char *path = mr_path_join(directory, name);
    assert_non_null(path);
    return path;
}

static void write_bytes(const char *path, const void *data, size_t length)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

void changed_model_link(const char *from, const char *copy)
{
    DIR *folder = opendir(from);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "expect") == 0) continue;
        char *source = changed_model_path(from, entry->d_name), *target = changed_model_path(copy, entry->d_name);
        if (mr_path_is_directory(source)) {
            assert_int_equal(mr_path_make_directories(target, NULL), MR_OK);
            changed_model_link(source, target);
        } else {
            assert_int_equal(symlink(source, target), 0);
        }
        free(source);
        free(target);
    }
    closedir(folder);
}

void changed_model_set(const char *path, const char *key, const char *value)
{
    mr_error error = { 0 };
    json_t *document = NULL, *new_value = json_loads(value, JSON_DECODE_ANY, NULL);
    char name[128];
    changed_model_must(mr_json_load(path, (size_t)1 << 20, &document, &error), &error);
    json_t *object = document;
    const char *dot;
    for (; (dot = strchr(key, '.')) != NULL; key = dot + 1) {
        snprintf(name, sizeof name, "%.*s", (int)(dot - key), key);
        object = json_object_get(object, name);
        assert_non_null(object);
    }
    assert_false(json_equal(json_object_get(object, key), new_value)); /* else nothing is mutated */
    assert_int_equal(json_object_set_new(object, key, new_value), 0);
    char *text = json_dumps(document, 0);
    assert_non_null(text);
    assert_int_equal(unlink(path), 0);
    write_bytes(path, text, strlen(text));
    free(text);
    json_decref(document);
}

void changed_model_zero(const char *path, const char *name)
{
    mr_error error = { 0 };
    char *bytes = NULL;
    size_t length = 0;
    bool found = false;
    mr_safetensors parsed = { 0 };
    changed_model_must(mr_file_read(path, (size_t)64 << 20, &bytes, &length, &error), &error);
    changed_model_must(mr_safetensors_parse((const unsigned char *)bytes, length, path, &parsed, &error), &error);
    for (size_t i = 0; i < parsed.count; i++) {
        if (strcmp(parsed.tensors[i].name, name) != 0) continue;
        memset(bytes + (parsed.tensors[i].data - (const unsigned char *)bytes), 0, parsed.tensors[i].bytes);
        found = true;
    }
    assert_true(found);
    mr_safetensors_fini(&parsed);
    assert_int_equal(unlink(path), 0);
    write_bytes(path, bytes, length);
    free(bytes);
}
