#include "weights/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/json.h"
#include "core/mem.h"

#define LENGTH_BYTES 8
#define METADATA_KEY "__metadata__"
/* Names are shown cut: a hostile one may be megabytes long. */
#define NAME_FORMAT "%s: tensor \"%.200s\": "

static mr_status read_header_length(const unsigned char *bytes, size_t length, const char *file, size_t *out, mr_error *error)
{
    if (length < LENGTH_BYTES)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: %zu bytes are too few for a safetensors file", file, length);
    uint64_t header = 0;
    for (size_t i = 0; i < LENGTH_BYTES; i++) header |= (uint64_t)bytes[i] << (8 * i);
    if (header > MR_SAFETENSORS_MAX_HEADER)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: header of %llu bytes is above the format's limit of %zu", file,
                            (unsigned long long)header, MR_SAFETENSORS_MAX_HEADER);
    if (header > length - LENGTH_BYTES)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: header of %llu bytes reaches beyond the file's %zu bytes (truncated download?)",
                            file, (unsigned long long)header, length);
    *out = (size_t)header;
    return MR_OK;
}

static mr_status check_metadata(const json_t *metadata, const char *file, mr_error *error)
{
    if (!json_is_object(metadata)) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: " METADATA_KEY " must be an object", file);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
        if (!json_is_string(value))
            return mr_error_set(error, MR_MODEL_CORRUPT, "%s: " METADATA_KEY " entry \"%.200s\" must be a string", file, key);
    return MR_OK;
}

static mr_status read_dtype(const json_t *entry, const char *file, mr_tensor *out, mr_error *error)
{
    const json_t *value = json_object_get(entry, "dtype");
    if (!json_is_string(value)) return mr_error_set(error, MR_MODEL_CORRUPT, NAME_FORMAT "no dtype", file, out->name);
    for (int dtype = 0; dtype < MR_DTYPE_COUNT; dtype++) {
        if (strcmp(json_string_value(value), mr_dtype_text((mr_dtype)dtype)) != 0) continue;
        out->dtype = (mr_dtype)dtype;
        return MR_OK;
    }
    return mr_error_set(error, MR_MODEL_UNSUPPORTED, NAME_FORMAT "dtype \"%.32s\" is not known here", file, out->name, json_string_value(value));
}

static bool read_count(const json_t *value, size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

static mr_status read_shape(const json_t *entry, const char *file, mr_tensor *out, mr_error *error)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape)) return mr_error_set(error, MR_MODEL_CORRUPT, NAME_FORMAT "no shape", file, out->name);
    out->rank = json_array_size(shape);
    if (out->rank > MR_TENSOR_MAX_RANK)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, NAME_FORMAT "%zu dimensions, at most %d are supported", file, out->name, out->rank,
                            MR_TENSOR_MAX_RANK);
    out->elements = 1;
    for (size_t i = 0; i < out->rank; i++) {
        if (!read_count(json_array_get(shape, i), &out->shape[i]))
            return mr_error_set(error, MR_MODEL_CORRUPT, NAME_FORMAT "shape[%zu] is not a size", file, out->name, i);
        if (!mr_checked_mul(out->elements, out->shape[i], &out->elements))
            return mr_error_set(error, MR_MODEL_CORRUPT, NAME_FORMAT "its shape overflows", file, out->name);
    }
    if (!mr_checked_mul(out->elements, mr_dtype_bytes(out->dtype), &out->bytes))
        return mr_error_set(error, MR_MODEL_CORRUPT, NAME_FORMAT "its shape overflows", file, out->name);
    return MR_OK;
}

static mr_status read_offsets(const json_t *entry, const char *file, const unsigned char *data, size_t data_bytes, mr_tensor *out,
                              mr_error *error)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    size_t begin, end;
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !read_count(json_array_get(offsets, 0), &begin) ||
        !read_count(json_array_get(offsets, 1), &end))
        return mr_error_set(error, MR_MODEL_CORRUPT, NAME_FORMAT "data_offsets must be two byte positions", file, out->name);
    if (begin > end)
        return mr_error_set(error, MR_MODEL_CORRUPT, NAME_FORMAT "data_offsets [%zu, %zu] run backwards", file, out->name, begin, end);
    if (end > data_bytes)
        return mr_error_set(error, MR_MODEL_CORRUPT, NAME_FORMAT "ends at byte %zu of %zu (truncated download?)", file, out->name, end,
                            data_bytes);
    if (end - begin != out->bytes)
        return mr_error_set(error, MR_MODEL_CORRUPT, NAME_FORMAT "data_offsets give %zu bytes, its shape and dtype need %zu", file, out->name,
                            end - begin, out->bytes);
    out->data = data + begin;
    return MR_OK;
}

static int by_position(const void *left, const void *right)
{
    const mr_tensor *a = left, *b = right;
    if (a->data != b->data) return a->data < b->data ? -1 : 1;
    return a->bytes < b->bytes ? -1 : a->bytes > b->bytes; /* an empty tensor before the one that starts there */
}

/* Sorted tensors must follow each other without a gap, from the first data byte to the last. */
static mr_status check_coverage(mr_safetensors *parsed, const unsigned char *data, size_t data_bytes, const char *file, mr_error *error)
{
    if (parsed->count > 0) qsort(parsed->tensors, parsed->count, sizeof *parsed->tensors, by_position);
    size_t covered = 0;
    for (size_t i = 0; i < parsed->count; i++) {
        const mr_tensor *tensor = &parsed->tensors[i];
        size_t begin = (size_t)(tensor->data - data);
        if (begin != covered)
            return mr_error_set(error, MR_MODEL_CORRUPT, NAME_FORMAT "starts at byte %zu, %s byte %zu", file, tensor->name, begin,
                                begin < covered ? "inside the tensor that ends at" : "leaving a hole from", covered);
        covered += tensor->bytes;
    }
    if (covered != data_bytes)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: %zu bytes behind the last tensor belong to none", file, data_bytes - covered);
    return MR_OK;
}

static mr_status read_tensors(mr_safetensors *parsed, const unsigned char *data, size_t data_bytes, const char *file, mr_error *error)
{
    const char *name;
    json_t *entry;
    json_object_foreach(parsed->header, name, entry) {
        if (strcmp(name, METADATA_KEY) == 0) {
            MR_TRY(check_metadata(entry, file, error));
            continue;
        }
        mr_tensor *tensor = &parsed->tensors[parsed->count];
        *tensor = (mr_tensor){ .name = name, .file = file };
        if (!json_is_object(entry)) return mr_error_set(error, MR_MODEL_CORRUPT, NAME_FORMAT "entry is not an object", file, name);
        MR_TRY(read_dtype(entry, file, tensor, error));
        MR_TRY(read_shape(entry, file, tensor, error));
        MR_TRY(read_offsets(entry, file, data, data_bytes, tensor, error));
        parsed->count++;
    }
    return check_coverage(parsed, data, data_bytes, file, error);
}

mr_status mr_safetensors_parse(const unsigned char *bytes, size_t length, const char *file, mr_safetensors *out, mr_error *error)
{
    size_t header_bytes = 0;
    MR_TRY(read_header_length(bytes, length, file, &header_bytes, error));
    const unsigned char *data = bytes + LENGTH_BYTES + header_bytes;
    mr_safetensors parsed = { 0 };
    mr_status status;
    json_error_t problem;
    bool exhausted;
    parsed.header = mr_json_parse((const char *)bytes + LENGTH_BYTES, header_bytes, JSON_REJECT_DUPLICATES, &problem, &exhausted);
    if (exhausted) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory reading its header of %zu bytes", file, header_bytes);
        goto fail;
    }
    if (!json_is_object(parsed.header)) {
        status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: header is not a JSON object: %s at byte %d", file,
                              parsed.header ? "wrong type" : problem.text, parsed.header ? LENGTH_BYTES : LENGTH_BYTES + problem.position);
        goto fail;
    }
    parsed.tensors = mr_mem_calloc(json_object_size(parsed.header) + 1, sizeof *parsed.tensors, MR_MEM_OTHER);
    if (!parsed.tensors) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate its tensor table", file);
        goto fail;
    }
    MR_TRY_OR(status, read_tensors(&parsed, data, length - LENGTH_BYTES - header_bytes, file, error), fail);
    *out = parsed;
    return MR_OK;
fail:
    mr_safetensors_fini(&parsed);
    return status;
}

void mr_safetensors_fini(mr_safetensors *parsed)
{
    mr_mem_free(parsed->tensors);
    json_decref(parsed->header);
    *parsed = (mr_safetensors){ 0 };
}
