#include "weights/checkpoint.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/file_digest.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/str.h"
#include "weights/safetensors.h"

#define SINGLE_FILE "model.safetensors"
#define INDEX_FILE "model.safetensors.index.json"
/* The index of a 1,000-shard model with a million tensors has about 100 MB; real ones stay below 10. */
#define INDEX_MAX_BYTES ((size_t)100000000)

typedef struct weight_file {
    char *path;
    mr_mapping mapping;
    mr_safetensors parsed;
} weight_file;

struct mr_checkpoint {
    weight_file *files; /* [file_count], by path */
    size_t file_count;
    const mr_tensor **tensors; /* [count], by name */
    size_t count;
    size_t bytes;
};

static mr_status out_of_memory(const char *path, mr_error *error)
{
    return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate the table of tensors", path);
}

static mr_status map_file(weight_file *file, mr_error *error)
{
    MR_TRY(mr_file_map(file->path, &file->mapping, error));
    return mr_safetensors_parse(file->mapping.data, file->mapping.length, file->path, &file->parsed, error);
}

static int by_name(const void *left, const void *right)
{
    return strcmp((*(const mr_tensor *const *)left)->name, (*(const mr_tensor *const *)right)->name);
}

static const mr_tensor *find_in(const mr_tensor *const *tensors, size_t count, const char *name)
{
    mr_tensor key_tensor = { .name = name };
    const mr_tensor *key = &key_tensor;
    const mr_tensor *const *found = count > 0 ? bsearch(&key, tensors, count, sizeof(const mr_tensor *), by_name) : NULL;
    return found ? *found : NULL;
}

/* Pointers to the tensors of one file in name order. Free with mr_mem_free; NULL when out of memory. */
static const mr_tensor **sorted_view(const mr_safetensors *parsed)
{
    const mr_tensor **view = mr_mem_alloc_array(parsed->count + 1, sizeof(const mr_tensor *), MR_MEM_OTHER);
    if (!view) return NULL;
    for (size_t i = 0; i < parsed->count; i++) view[i] = &parsed->tensors[i];
    if (parsed->count > 0) qsort(view, parsed->count, sizeof(const mr_tensor *), by_name);
    return view;
}

/* ---------------------------------------------------------------- one file */

static mr_status open_single(mr_checkpoint *checkpoint, const char *path, mr_error *error)
{
    checkpoint->files = mr_mem_calloc(1, sizeof *checkpoint->files, MR_MEM_OTHER);
    if (!checkpoint->files) return out_of_memory(path, error);
    checkpoint->file_count = 1;
    weight_file *file = &checkpoint->files[0];
    file->path = mr_strdup(path);
    if (!file->path) return out_of_memory(path, error);
    MR_TRY(map_file(file, error));
    checkpoint->tensors = sorted_view(&file->parsed);
    if (!checkpoint->tensors) return out_of_memory(path, error);
    checkpoint->count = file->parsed.count;
    return MR_OK;
}

/* ---------------------------------------------------------------- index and shards */

static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* A shard lies beside its index under a plain name: anything else could point at foreign files. */
static bool is_plain_shard_name(const char *name)
{
    return name[0] != '.' && !strpbrk(name, "/\\") && mr_str_ends_with(mr_str_of(name), ".safetensors");
}

/* Checks every entry of weight_map and gives the distinct shard names in order (free the array, not the names). */
static mr_status list_shards(const json_t *map, const char *index, const char ***out, size_t *out_count, mr_error *error)
{
    const char **names = mr_mem_alloc_array(json_object_size(map) + 1, sizeof(const char *), MR_MEM_OTHER);
    if (!names) return out_of_memory(index, error);
    size_t count = 0, distinct = 0;
    mr_status status = MR_OK;
    const char *tensor;
    json_t *shard;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, shard) {
        const char *name = json_string_value(shard);
        if (!name || strlen(name) != json_string_length(shard) || !is_plain_shard_name(name)) {
            status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: tensor \"%.200s\": its shard must be the name of a .safetensors file beside the index",
                                  index, tensor);
            goto fail;
        }
        names[count++] = name;
    }
    if (count == 0) {
        status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: weight_map is empty", index);
        goto fail;
    }
    qsort(names, count, sizeof(const char *), by_text);
    for (size_t i = 0; i < count; i++)
        if (distinct == 0 || strcmp(names[distinct - 1], names[i]) != 0) names[distinct++] = names[i];
    *out = names;
    *out_count = distinct;
    return MR_OK;
fail:
    mr_mem_free(names);
    return status;
}

static mr_status check_shards_exist(const mr_checkpoint *checkpoint, const char *index, mr_error *error)
{
    mr_buf missing = { 0 };
    for (size_t i = 0; i < checkpoint->file_count; i++)
        if (!mr_path_exists(checkpoint->files[i].path)) mr_buf_printf(&missing, "%s%s", missing.length > 0 ? ", " : "", checkpoint->files[i].path);
    mr_status status = missing.length == 0 ? MR_OK : mr_error_set(error, MR_MODEL_FILES_MISSING, "%s names shards that are missing: %s", index, missing.data);
    mr_buf_fini(&missing);
    return status;
}

static mr_status map_shards(mr_checkpoint *checkpoint, const char *directory, const char *index, const char *const *names, size_t count,
                            mr_error *error)
{
    checkpoint->files = mr_mem_calloc(count, sizeof *checkpoint->files, MR_MEM_OTHER);
    if (!checkpoint->files) return out_of_memory(index, error);
    checkpoint->file_count = count;
    for (size_t i = 0; i < count; i++) {
        checkpoint->files[i].path = mr_path_join(directory, names[i]);
        if (!checkpoint->files[i].path) return out_of_memory(index, error);
    }
    MR_TRY(check_shards_exist(checkpoint, index, error));
    for (size_t i = 0; i < count; i++) MR_TRY(map_file(&checkpoint->files[i], error));
    return MR_OK;
}

/* Collects what the index assigns to shard `name`, refusing a tensor the shard does not have. */
static mr_status take_tensors_of(mr_checkpoint *checkpoint, const weight_file *file, const char *name, const json_t *map, const char *index,
                                 mr_error *error)
{
    const mr_tensor **view = sorted_view(&file->parsed);
    if (!view) return out_of_memory(index, error);
    mr_status status = MR_OK;
    const char *tensor;
    json_t *shard;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, shard) {
        if (strcmp(json_string_value(shard), name) != 0) continue;
        const mr_tensor *found = find_in(view, file->parsed.count, tensor);
        if (!found) {
            status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: tensor \"%.200s\" is not in %s", index, tensor, file->path);
            break;
        }
        checkpoint->tensors[checkpoint->count++] = found;
    }
    mr_mem_free(view);
    return status;
}

static mr_status open_index(mr_checkpoint *checkpoint, const char *directory, const char *index, mr_error *error)
{
    json_t *document = NULL;
    const char **names = NULL;
    size_t name_count = 0;
    mr_status status;
    MR_TRY_OR(status, mr_json_load(index, INDEX_MAX_BYTES, &document, error), done);
    const json_t *map = json_object_get(document, "weight_map");
    if (!json_is_object(map)) {
        status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: no \"weight_map\" object", index);
        goto done;
    }
    MR_TRY_OR(status, list_shards(map, index, &names, &name_count, error), done);
    MR_TRY_OR(status, map_shards(checkpoint, directory, index, names, name_count, error), done);
    checkpoint->tensors = mr_mem_alloc_array(json_object_size(map), sizeof(const mr_tensor *), MR_MEM_OTHER);
    if (!checkpoint->tensors) {
        status = out_of_memory(index, error);
        goto done;
    }
    for (size_t i = 0; i < name_count; i++) MR_TRY_OR(status, take_tensors_of(checkpoint, &checkpoint->files[i], names[i], map, index, error), done);
    qsort(checkpoint->tensors, checkpoint->count, sizeof(const mr_tensor *), by_name);
done:
    mr_mem_free(names);
    json_decref(document);
    return status;
}

/* ---------------------------------------------------------------- open, close */

static mr_status open_directory(mr_checkpoint *checkpoint, const char *directory, mr_error *error)
{
    char *single = mr_path_join(directory, SINGLE_FILE), *index = mr_path_join(directory, INDEX_FILE);
    mr_status status;
    if (!single || !index) status = out_of_memory(directory, error);
    else if (mr_path_exists(single)) status = open_single(checkpoint, single, error);
    else if (mr_path_exists(index)) status = open_index(checkpoint, directory, index, error);
    else status = mr_error_set(error, MR_MODEL_FILES_MISSING, "%s has neither " SINGLE_FILE " nor " INDEX_FILE, directory);
    free(single);
    free(index);
    return status;
}

mr_status mr_checkpoint_open(const char *path, mr_checkpoint **out, mr_error *error)
{
    mr_checkpoint *checkpoint = mr_mem_calloc(1, sizeof *checkpoint, MR_MEM_OTHER);
    if (!checkpoint) return out_of_memory(path, error);
    mr_status status;
    if (mr_path_is_directory(path)) status = open_directory(checkpoint, path, error);
    else if (mr_path_exists(path)) status = open_single(checkpoint, path, error);
    else status = mr_error_set(error, MR_MODEL_FILES_MISSING, "%s does not exist", path);
    if (status != MR_OK) {
        mr_checkpoint_close(checkpoint);
        return status;
    }
    for (size_t i = 0; i < checkpoint->count; i++) checkpoint->bytes += checkpoint->tensors[i]->bytes;
    *out = checkpoint;
    return MR_OK;
}

void mr_checkpoint_close(mr_checkpoint *checkpoint)
{
    if (!checkpoint) return;
    for (size_t i = 0; i < checkpoint->file_count; i++) {
        mr_safetensors_fini(&checkpoint->files[i].parsed);
        mr_file_unmap(&checkpoint->files[i].mapping);
        free(checkpoint->files[i].path);
    }
    mr_mem_free(checkpoint->files);
    mr_mem_free(checkpoint->tensors);
    mr_mem_free(checkpoint);
}

/* ---------------------------------------------------------------- look-up */

size_t mr_checkpoint_count(const mr_checkpoint *checkpoint) { return checkpoint->count; }
size_t mr_checkpoint_bytes(const mr_checkpoint *checkpoint) { return checkpoint->bytes; }

const mr_tensor *mr_checkpoint_at(const mr_checkpoint *checkpoint, size_t index)
{
    return index < checkpoint->count ? checkpoint->tensors[index] : NULL;
}

const mr_tensor *mr_checkpoint_find(const mr_checkpoint *checkpoint, const char *name)
{
    return find_in(checkpoint->tensors, checkpoint->count, name);
}

static void print_shape(char *text, size_t room, size_t rank, const size_t *shape)
{
    size_t used = (size_t)snprintf(text, room, "[");
    for (size_t i = 0; i < rank && used < room; i++) used += (size_t)snprintf(text + used, room - used, "%s%zu", i > 0 ? ", " : "", shape[i]);
    if (used < room) snprintf(text + used, room - used, "]");
}

mr_status mr_checkpoint_require(const mr_checkpoint *checkpoint, const char *name, size_t rank, const size_t *shape, const mr_tensor **out,
                                mr_error *error)
{
    const mr_tensor *tensor = mr_checkpoint_find(checkpoint, name);
    char expected[200], got[200];
    print_shape(expected, sizeof expected, rank, shape);
    if (!tensor) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: missing tensor \"%s\" %s", checkpoint->files[0].path, name, expected);
    if (tensor->rank != rank || memcmp(tensor->shape, shape, rank * sizeof *shape) != 0) {
        print_shape(got, sizeof got, tensor->rank, tensor->shape);
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: tensor \"%s\" has shape %s, expected %s", tensor->file, name, got, expected);
    }
    *out = tensor;
    return MR_OK;
}

void mr_tensor_release_pages(const mr_tensor *tensor)
{
    mr_file_release_pages(tensor->data, tensor->bytes);
}

/* ---------------------------------------------------------------- digest */

bool mr_checkpoint_is_settled(const mr_checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->file_count; i++)
        if (!mr_file_stamp_is_settled(&checkpoint->files[i].mapping.stamp)) return false;
    return true;
}

bool mr_checkpoint_is_unchanged(const mr_checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->file_count; i++) {
        mr_file_stamp now;
        if (!mr_file_stamp_read(checkpoint->files[i].path, &now) || !mr_file_stamp_equal(&now, &checkpoint->files[i].mapping.stamp)) return false;
    }
    return true;
}

/* NULL when out of memory. */
static char *stamps_text(const mr_checkpoint *checkpoint)
{
    mr_buf text = { 0 };
    bool good = mr_buf_append_str(&text, "weights");
    for (size_t i = 0; good && i < checkpoint->file_count; i++) good = mr_file_stamp_append(&text, checkpoint->files[i].path, &checkpoint->files[i].mapping.stamp);
    if (good) return mr_buf_detach(&text);
    mr_buf_fini(&text);
    return NULL;
}

/* A piece at a time leaves the resident set again: what runs is measured by its peak. */
#define HASH_BYTES ((size_t)8 << 20)

static bool hash_file(EVP_MD_CTX *context, const mr_mapping *file)
{
    bool good = true;
    for (size_t at = 0; good && at < file->length; at += HASH_BYTES) {
        size_t bytes = file->length - at < HASH_BYTES ? file->length - at : HASH_BYTES;
        good = EVP_DigestUpdate(context, file->data + at, bytes);
        mr_file_release_pages(file->data + at, bytes);
    }
    return good;
}

static mr_status hash_files(const mr_checkpoint *checkpoint, char hex[MR_SHA256_HEX], mr_error *error)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    for (size_t i = 0; good && i < checkpoint->file_count; i++) good = hash_file(context, &checkpoint->files[i].mapping);
    good = good && EVP_DigestFinal_ex(context, digest, NULL);
    EVP_MD_CTX_free(context);
    if (!good) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot hash the weights", checkpoint->files[0].path);
    for (size_t i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return MR_OK;
}

mr_status mr_checkpoint_sha256(const mr_checkpoint *checkpoint, const mr_cache *cache, char hex[MR_SHA256_HEX], mr_error *error)
{
    char *stamps = cache && mr_checkpoint_is_settled(checkpoint) ? stamps_text(checkpoint) : NULL;
    mr_status status = MR_OK;
    if (!mr_cache_find_digest(cache, stamps, hex)) {
        status = hash_files(checkpoint, hex, error);
        if (status == MR_OK && stamps && mr_checkpoint_is_unchanged(checkpoint)) mr_cache_store(cache, stamps, hex, MR_SHA256_HEX);
    }
    free(stamps);
    return status;
}
