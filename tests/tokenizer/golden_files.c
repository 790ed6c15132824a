#include "golden_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/file.h"

mr_buf golden_read(const char *path)
{
    mr_buf all = { 0 };
    char part[1 << 16];
    gzFile file = gzopen(path, "rb");
    int got = file ? 0 : -1;
    while (file && (got = gzread(file, part, sizeof part)) > 0)
        if (!mr_buf_append(&all, part, (size_t)got)) abort();
    if (got < 0) {
        fprintf(stderr, "cannot read %s\n", path);
        abort();
    }
    gzclose(file);
    return all;
}

json_t *golden_lines(const char *path)
{
    if (!mr_path_exists(path)) return NULL;
    mr_buf all = golden_read(path);
    json_t *lines = json_array();
    for (size_t at = 0; at < all.length;) {
        const char *end = memchr(all.data + at, '\n', all.length - at);
        size_t length = end ? (size_t)(end - all.data) - at : all.length - at;
        json_error_t problem;
        json_t *value = json_loadb(all.data + at, length, JSON_ALLOW_NUL | JSON_DECODE_ANY, &problem);
        if (!value) {
            fprintf(stderr, "%s: %s\n", path, problem.text);
            abort();
        }
        json_array_append_new(lines, value);
        at += length + 1;
    }
    mr_buf_fini(&all);
    return lines;
}

uint32_t golden_crc(const void *data, size_t length)
{
    return (uint32_t)crc32(0, length ? data : (const void *)"", (uInt)length);
}

uint32_t golden_crc_ids(uint32_t crc, const int32_t *ids, size_t count)
{
    return count ? (uint32_t)crc32(crc, (const void *)ids, (uInt)(4 * count)) : crc;
}

uint32_t golden_crc_spans(uint32_t crc, const mr_span *spans, size_t count)
{
    return count ? (uint32_t)crc32(crc, (const void *)spans, (uInt)(count * sizeof *spans)) : crc;
}

/* Strings "@name" stand for an old component, "@<token>" for an added token's id. */
static json_t *resolve(json_t *base, json_t *value)
{
    const char *text = json_string_value(value);
    if (text && text[0] == '@') {
        json_t *old = json_object_get(base, text + 1);
        if (old) return json_deep_copy(old);
        size_t i;
        json_t *token;
        json_array_foreach(json_object_get(base, "added_tokens"), i, token)
            if (strcmp(json_string_value(json_object_get(token, "content")), text + 1) == 0) return json_incref(json_object_get(token, "id"));
    }
    if (json_is_array(value)) {
        json_t *copy = json_array();
        for (size_t i = 0; i < json_array_size(value); i++) json_array_append_new(copy, resolve(base, json_array_get(value, i)));
        return copy;
    }
    if (json_is_object(value)) {
        json_t *copy = json_object(), *member;
        const char *key;
        json_object_foreach(value, key, member) json_object_set_new(copy, key, resolve(base, member));
        return copy;
    }
    return json_incref(value);
}

json_t *golden_alter(json_t *base, json_t *changes)
{
    json_t *made = json_deep_copy(base), *value;
    const char *path;
    json_object_foreach(changes, path, value) {
        json_t *at = made, *new_value = resolve(base, value);
        char *copy = mr_strdup(path), *save, *key = strtok_r(copy, ".", &save), *next;
        for (; (next = strtok_r(NULL, ".", &save)) != NULL; key = next) {
            if (strcmp(next, "+") == 0) break;
            at = json_is_array(at) ? json_array_get(at, strtoul(key, NULL, 10)) : json_object_get(at, key);
        }
        if (next) {
            json_array_extend(json_object_get(at, key), new_value);
            json_decref(new_value);
        } else if (json_is_array(at)) {
            json_array_set_new(at, strtoul(key, NULL, 10), new_value);
        } else {
            json_object_set_new(at, key, new_value);
        }
        free(copy);
    }
    return made;
}
