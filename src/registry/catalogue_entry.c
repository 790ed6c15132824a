#include "registry/catalogue_entry.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/str.h"
#include "core/yaml.h"

#define MAX_FILES ((size_t)4096) /* the largest checkpoints have some hundred shards */
#define MAX_PROMPTS ((size_t)256)
#define MAX_PATH_BYTES 512 /* keeps a file of aliases to one long text from filling the memory */

typedef enum field_kind { FIELD_TEXT, FIELD_PATH, FIELD_SHA256, FIELD_COUNT, FIELD_BYTES, FIELD_CAPABILITY, FIELD_MAPPING, FIELD_LIST } field_kind;

/* One key of a mapping: what it holds and where that goes in the struct. */
typedef struct field {
    const char *name;
    field_kind kind;
    size_t offset;
    bool required;
    const struct field *members; /* FIELD_MAPPING, FIELD_LIST: the keys inside; ends with a NULL name */
} field;

static const field hub_fields[] = {
    { "repository", FIELD_PATH, offsetof(mr_catalogue_hub, repository), true, NULL },
    { "revision", FIELD_PATH, offsetof(mr_catalogue_hub, revision), true, NULL },
    { 0 },
};

static const field pypi_fields[] = {
    { "package", FIELD_PATH, offsetof(mr_catalogue_pypi, package), true, NULL },
    { "version", FIELD_PATH, offsetof(mr_catalogue_pypi, version), true, NULL },
    { "folder", FIELD_PATH, offsetof(mr_catalogue_pypi, folder), true, NULL },
    { 0 },
};

static const field file_fields[] = {
    { "path", FIELD_PATH, offsetof(mr_catalogue_file, path), true, NULL },
    { "bytes", FIELD_BYTES, offsetof(mr_catalogue_file, bytes), false, NULL },
    { "sha256", FIELD_SHA256, offsetof(mr_catalogue_file, sha256), false, NULL },
    { 0 },
};

static const field prompt_fields[] = {
    { "name", FIELD_TEXT, offsetof(mr_catalogue_prompt, name), true, NULL },
    { "text", FIELD_TEXT, offsetof(mr_catalogue_prompt, text), true, NULL },
    { 0 },
};

static const field entry_fields[] = {
    { "key", FIELD_PATH, offsetof(mr_catalogue_entry, key), true, NULL },
    { "capability", FIELD_CAPABILITY, offsetof(mr_catalogue_entry, capability), true, NULL },
    { "architecture", FIELD_TEXT, offsetof(mr_catalogue_entry, architecture), true, NULL },
    { "licence", FIELD_TEXT, offsetof(mr_catalogue_entry, licence), true, NULL },
    { "dimension", FIELD_COUNT, offsetof(mr_catalogue_entry, dimension), false, NULL },
    { "max_tokens", FIELD_COUNT, offsetof(mr_catalogue_entry, max_tokens), false, NULL },
    { "download", FIELD_BYTES, offsetof(mr_catalogue_entry, download), false, NULL },
    { "memory", FIELD_BYTES, offsetof(mr_catalogue_entry, memory), true, NULL },
    { "memory_int8", FIELD_BYTES, offsetof(mr_catalogue_entry, memory_int8), false, NULL },
    { "prompts", FIELD_LIST, offsetof(mr_catalogue_entry, prompts), false, prompt_fields },
    { "hub", FIELD_MAPPING, offsetof(mr_catalogue_entry, hub), false, hub_fields },
    { "pypi", FIELD_MAPPING, offsetof(mr_catalogue_entry, pypi), false, pypi_fields },
    { "files", FIELD_LIST, offsetof(mr_catalogue_entry, files), true, file_fields },
    { 0 },
};

#define MAX_FIELDS (sizeof entry_fields / sizeof entry_fields[0])

bool mr_catalogue_is_plain_path(const char *text)
{
    bool starts_component = true;
    for (const char *c = text; *c; c++) {
        if (*c == '/' || *c == '.') {
            if (starts_component) return false;
        } else if (!isalnum((unsigned char)*c) && !strchr("_+-", *c)) {
            return false;
        }
        starts_component = *c == '/';
    }
    return !starts_component && strlen(text) <= MAX_PATH_BYTES;
}

static mr_status read_mapping(const mr_yaml *document, const mr_yaml_node *node, const field *fields, void *out, mr_error *error);

static bool is_sha256(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static mr_status read_count(const mr_yaml *document, const mr_yaml_node *node, const char *name, const char *text, size_t *out, mr_error *error)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value > SIZE_MAX)
        return mr_yaml_error_at(document, node, error, "%s must be a whole number, not \"%s\"", name, text);
    *out = (size_t)value;
    return MR_OK;
}

static mr_status read_scalar(const mr_yaml *document, const mr_yaml_node *node, const field *f, void *target, mr_error *error)
{
    const char *text = mr_yaml_text(node);
    if (!text || !*text) return mr_yaml_error_at(document, node, error, "%s needs a value", f->name);
    switch (f->kind) {
    case FIELD_COUNT: return read_count(document, node, f->name, text, target, error);
    case FIELD_BYTES:
        if (!mr_str_parse_bytes(text, target))
            return mr_yaml_error_at(document, node, error, "%s must be a size such as 150M or 4096, not \"%s\"", f->name, text);
        return MR_OK;
    case FIELD_CAPABILITY:
        if (!mr_capability_parse(text, target))
            return mr_yaml_error_at(document, node, error, "unknown capability \"%s\" (text_embedding, text_to_text, image_embedding, vision, text_to_image)", text);
        return MR_OK;
    case FIELD_PATH:
        if (!mr_catalogue_is_plain_path(text))
            return mr_yaml_error_at(document, node, error, "%s \"%s\" must be plain parts joined by \"/\" (letters, digits, \".\", \"_\", \"+\", \"-\")", f->name, text);
        break;
    case FIELD_SHA256:
        if (!is_sha256(text)) return mr_yaml_error_at(document, node, error, "sha256 must be 64 lower-case hex digits, not \"%s\"", text);
        break;
    default: break;
    }
    char *copy = mr_strdup(text);
    if (!copy) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory reading the catalogue");
    *(char **)target = copy;
    return MR_OK;
}

/* A list of structs whose first member is their name or path, which no two may share. */
static mr_status read_list(const mr_yaml *document, const mr_yaml_node *node, const field *f, mr_catalogue_entry *entry, mr_error *error)
{
    bool prompts = f->members == prompt_fields;
    size_t count = mr_yaml_node_kind(node) == MR_YAML_SEQUENCE ? mr_yaml_node_size(node) : 0, max = prompts ? MAX_PROMPTS : MAX_FILES;
    size_t size = prompts ? sizeof *entry->prompts : sizeof *entry->files;
    if (count == 0 || count > max) return mr_yaml_error_at(document, node, error, "%s must be a list of 1 to %zu", f->name, max);
    char *items = calloc(count, size);
    if (!items) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory reading the catalogue");
    if (prompts) entry->prompts = (mr_catalogue_prompt *)(void *)items;
    else entry->files = (mr_catalogue_file *)(void *)items;
    *(prompts ? &entry->prompt_count : &entry->file_count) = count;
    for (size_t i = 0; i < count; i++) {
        const mr_yaml_node *item = mr_yaml_item(document, node, i);
        MR_TRY(read_mapping(document, item, f->members, items + i * size, error));
        const char *name = *(char **)(void *)(items + i * size);
        for (size_t k = 0; k < i; k++)
            if (strcmp(*(char **)(void *)(items + k * size), name) == 0)
                return mr_yaml_error_at(document, item, error, "%s appears twice in %s", name, f->name);
    }
    return MR_OK;
}

static mr_status read_field(const mr_yaml *document, const mr_yaml_node *node, const field *f, void *out, mr_error *error)
{
    void *target = (char *)out + f->offset;
    if (f->kind == FIELD_LIST) return read_list(document, node, f, out, error);
    if (f->kind == FIELD_MAPPING) return read_mapping(document, node, f->members, target, error);
    return read_scalar(document, node, f, target, error);
}

static mr_status unknown_key(const mr_yaml *document, const mr_yaml_node *key, const field *fields, mr_error *error)
{
    const char *names[MAX_FIELDS];
    size_t count = 0;
    for (; fields[count].name; count++) names[count] = fields[count].name;
    const char *near = mr_str_nearest(mr_yaml_text(key), names, count);
    if (near) return mr_yaml_error_at(document, key, error, "unknown key \"%s\"; did you mean \"%s\"?", mr_yaml_text(key), near);
    return mr_yaml_error_at(document, key, error, "unknown key \"%s\"", mr_yaml_text(key));
}

static mr_status read_mapping(const mr_yaml *document, const mr_yaml_node *node, const field *fields, void *out, mr_error *error)
{
    bool seen[MAX_FIELDS] = { false };
    if (mr_yaml_node_kind(node) != MR_YAML_MAPPING) return mr_yaml_error_at(document, node, error, "expected \"key: value\" lines here");
    for (size_t i = 0; i < mr_yaml_node_size(node); i++) {
        const mr_yaml_node *key, *value;
        MR_TRY(mr_yaml_pair(document, node, i, &key, &value, error));
        size_t f = 0;
        while (fields[f].name && strcmp(fields[f].name, mr_yaml_text(key)) != 0) f++;
        if (!fields[f].name) return unknown_key(document, key, fields, error);
        MR_TRY(read_field(document, value, &fields[f], out, error));
        seen[f] = true;
    }
    for (size_t f = 0; fields[f].name; f++)
        if (fields[f].required && !seen[f]) return mr_yaml_error_at(document, node, error, "key \"%s\" is missing", fields[f].name);
    return MR_OK;
}

mr_status mr_catalogue_entry_parse(const char *text, size_t length, const char *name, mr_catalogue_entry *out, mr_error *error)
{
    mr_yaml *document;
    mr_catalogue_entry entry = { 0 };
    MR_TRY(mr_yaml_parse(text, length, name, &document, error));
    mr_status status = read_mapping(document, mr_yaml_root(document), entry_fields, &entry, error);
    if (status == MR_OK && !entry.hub.repository && !entry.pypi.package)
        status = mr_yaml_error_at(document, mr_yaml_root(document), error, "a source is missing: hub or pypi");
    mr_yaml_close(document);
    if (status == MR_OK)
        *out = entry;
    else
        mr_catalogue_entry_fini(&entry);
    return status;
}

void mr_catalogue_entry_fini(mr_catalogue_entry *entry)
{
    for (size_t i = 0; i < entry->file_count; i++) {
        free(entry->files[i].path);
        free(entry->files[i].sha256);
    }
    free(entry->files);
    for (size_t i = 0; i < entry->prompt_count; i++) {
        free(entry->prompts[i].name);
        free(entry->prompts[i].text);
    }
    free(entry->prompts);
    free(entry->key);
    free(entry->architecture);
    free(entry->licence);
    free(entry->hub.repository);
    free(entry->hub.revision);
    free(entry->pypi.package);
    free(entry->pypi.version);
    free(entry->pypi.folder);
    *entry = (mr_catalogue_entry){ 0 };
}

uint64_t mr_catalogue_entry_bytes(const mr_catalogue_entry *entry)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < entry->file_count; i++) sum += entry->files[i].bytes;
    return sum;
}
