#include "registry/catalogue.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/str.h"

#define MAX_ENTRY_BYTES ((size_t)1 << 20) /* 4096 files with their hashes take half of it */
#define MAX_ENTRIES 10000

struct mr_catalogue {
    mr_catalogue_entry *entries; /* [count], sorted by key */
    size_t count;
    size_t capacity;
};

static size_t position_of(const mr_catalogue *catalogue, const char *key)
{
    size_t low = 0, high = catalogue->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(catalogue->entries[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const mr_catalogue_entry *mr_catalogue_find(const mr_catalogue *catalogue, const char *key)
{
    size_t at = position_of(catalogue, key);
    return at < catalogue->count && strcmp(catalogue->entries[at].key, key) == 0 ? &catalogue->entries[at] : NULL;
}

/* Takes over what is inside `entry` on success. */
static mr_status put(mr_catalogue *catalogue, mr_catalogue_entry entry, mr_error *error)
{
    size_t at = position_of(catalogue, entry.key);
    if (at < catalogue->count && strcmp(catalogue->entries[at].key, entry.key) == 0) {
        mr_catalogue_entry_fini(&catalogue->entries[at]);
        catalogue->entries[at] = entry;
        return MR_OK;
    }
    if (catalogue->count == MAX_ENTRIES) return mr_error_set(error, MR_CONFIG, "more than %d catalogue entries", MAX_ENTRIES);
    if (catalogue->count == catalogue->capacity) {
        size_t capacity = catalogue->capacity ? 2 * catalogue->capacity : 16;
        mr_catalogue_entry *grown = realloc(catalogue->entries, capacity * sizeof *grown);
        if (!grown) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory reading the catalogue");
        catalogue->entries = grown;
        catalogue->capacity = capacity;
    }
    memmove(catalogue->entries + at + 1, catalogue->entries + at, (catalogue->count - at) * sizeof *catalogue->entries);
    catalogue->entries[at] = entry;
    catalogue->count++;
    return MR_OK;
}

static mr_status add(mr_catalogue *catalogue, const char *text, size_t length, const char *name, mr_error *error)
{
    mr_catalogue_entry entry;
    MR_TRY(mr_catalogue_entry_parse(text, length, name, &entry, error));
    mr_status status = put(catalogue, entry, error);
    if (status != MR_OK) mr_catalogue_entry_fini(&entry);
    return status;
}

static mr_status add_file(mr_catalogue *catalogue, const char *directory, const char *name, mr_error *error)
{
    char *text, *path = mr_path_join(directory, name);
    size_t length;
    if (!path) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory reading the catalogue");
    mr_status status = mr_file_read(path, MAX_ENTRY_BYTES, &text, &length, error);
    if (status == MR_OK) {
        status = add(catalogue, text, length, path, error);
        free(text);
    }
    free(path);
    return status;
}

static int is_entry_file(const struct dirent *file)
{
    return file->d_name[0] != '.' && mr_str_ends_with(mr_str_of(file->d_name), ".yaml");
}

static mr_status add_directory(mr_catalogue *catalogue, const char *directory, mr_error *error)
{
    struct dirent **files;
    int count = scandir(directory, &files, is_entry_file, alphasort);
    if (count < 0) return errno == ENOENT ? MR_OK : mr_error_errno(error, errno, "cannot read the catalogue folder %s", directory);
    mr_status status = MR_OK;
    for (int i = 0; i < count; i++) {
        if (status == MR_OK) status = add_file(catalogue, directory, files[i]->d_name, error);
        free(files[i]);
    }
    free(files);
    return status;
}

mr_status mr_catalogue_open(const char *directory, mr_catalogue **out, mr_error *error)
{
    mr_catalogue *catalogue = calloc(1, sizeof *catalogue);
    if (!catalogue) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory reading the catalogue");
    mr_status status = MR_OK;
    for (size_t i = 0; i < mr_catalogue_builtin_count && status == MR_OK; i++) {
        const mr_catalogue_builtin *builtin = &mr_catalogue_builtins[i];
        status = add(catalogue, (const char *)builtin->text, builtin->length, builtin->name, error);
    }
    if (status == MR_OK && directory) status = add_directory(catalogue, directory, error);
    if (status != MR_OK) {
        mr_catalogue_close(catalogue);
        return status;
    }
    *out = catalogue;
    return MR_OK;
}

void mr_catalogue_close(mr_catalogue *catalogue)
{
    if (!catalogue) return;
    for (size_t i = 0; i < catalogue->count; i++) mr_catalogue_entry_fini(&catalogue->entries[i]);
    free(catalogue->entries);
    free(catalogue);
}

size_t mr_catalogue_count(const mr_catalogue *catalogue) { return catalogue->count; }
const mr_catalogue_entry *mr_catalogue_at(const mr_catalogue *catalogue, size_t index) { return &catalogue->entries[index]; }

static const char *last_part(const char *key)
{
    const char *slash = strrchr(key, '/');
    return slash ? slash + 1 : key;
}

const char *mr_catalogue_nearest(const mr_catalogue *catalogue, const char *key)
{
    /* Whole keys first, then last parts: "all-MiniLM-L6-v2" means the key that ends so. */
    const char **candidates = malloc(2 * catalogue->count * sizeof *candidates);
    if (!candidates) return NULL;
    for (size_t i = 0; i < catalogue->count; i++) {
        candidates[i] = catalogue->entries[i].key;
        candidates[catalogue->count + i] = last_part(candidates[i]);
    }
    const char *near = mr_str_nearest(key, candidates, catalogue->count);
    const char *part = near ? NULL : mr_str_nearest(last_part(key), candidates + catalogue->count, catalogue->count);
    for (size_t i = 0; part && !near; i++)
        if (candidates[catalogue->count + i] == part) near = candidates[i];
    free(candidates);
    return near;
}
