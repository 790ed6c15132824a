#include "weights/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/mem.h"

#define KEY_MAX_BYTES 65535
#define DEFAULT_ALIGNMENT 32
/* Names are shown cut: a hostile one may be long. */
#define SHOWN(text) (int)((text).length < 64 ? (text).length : 64), (text).data

/* ---------------------------------------------------------------- types */

static const size_t value_bytes[] = {
#define VALUE_BYTES(name, number, bytes) [number] = bytes,
    MR_GGUF_VALUE_LIST(VALUE_BYTES)
};

typedef struct type_facts {
    const char *text;
    uint16_t elements, bytes;
} type_facts;

static const type_facts types[] = {
#define TYPE_FACTS(name, number, elements, bytes) [number] = { #name, elements, bytes },
    MR_GGUF_TYPE_LIST(TYPE_FACTS)
};

const char *mr_gguf_type_text(mr_gguf_type type)
{
    return types[type].text;
}

size_t mr_gguf_block_elements(mr_gguf_type type)
{
    return types[type].elements;
}

size_t mr_gguf_block_bytes(mr_gguf_type type)
{
    return types[type].bytes;
}

/* ---------------------------------------------------------------- reading */

typedef struct reader {
    const unsigned char *bytes;
    size_t length;
    size_t at;
    const char *file;
    mr_error *error;
} reader;

static uint64_t load(const unsigned char *data, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) value |= (uint64_t)data[i] << (8 * i);
    return value;
}

static mr_status truncated(const reader *r, const char *what)
{
    return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: %s at byte %zu reaches beyond the file's %zu bytes (truncated download?)", r->file, what, r->at, r->length);
}

static mr_status read_number(reader *r, size_t bytes, const char *what, uint64_t *out)
{
    if (r->length - r->at < bytes) return truncated(r, what);
    *out = load(r->bytes + r->at, bytes);
    r->at += bytes;
    return MR_OK;
}

static mr_status read_string(reader *r, const char *what, mr_str *out)
{
    uint64_t length = 0;
    MR_TRY(read_number(r, 8, what, &length));
    if (length > r->length - r->at) return truncated(r, what);
    *out = (mr_str){ (const char *)r->bytes + r->at, (size_t)length };
    r->at += (size_t)length;
    return MR_OK;
}

static mr_status read_items(reader *r, mr_gguf_value *value)
{
    mr_str text;
    value->data = r->bytes + r->at;
    if (value->type == MR_GGUF_VALUE_STRING) {
        for (size_t i = 0; i < value->count; i++) MR_TRY(read_string(r, "a string", &text));
        return MR_OK;
    }
    size_t bytes = value_bytes[value->type];
    if (value->count > (r->length - r->at) / bytes) return truncated(r, "a value");
    r->at += value->count * bytes;
    for (size_t i = 0; value->type == MR_GGUF_VALUE_BOOL && i < value->count; i++)
        if (value->data[i] > 1) return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: key \"%.*s\": a truth value is neither 0 nor 1", r->file, SHOWN(value->key));
    return MR_OK;
}

static mr_status read_type(reader *r, mr_str key, mr_gguf_value_type *out)
{
    uint64_t type = 0;
    MR_TRY(read_number(r, 4, "a type", &type));
    if (type >= MR_GGUF_VALUE_TYPES)
        return mr_error_set(r->error, MR_MODEL_UNSUPPORTED, "%s: key \"%.*s\" has the unknown type %llu", r->file, SHOWN(key), (unsigned long long)type);
    *out = (mr_gguf_value_type)type;
    return MR_OK;
}

static mr_status read_value(reader *r, mr_gguf_value *out)
{
    mr_gguf_value value = { .count = 1 };
    MR_TRY(read_string(r, "a key", &value.key));
    if (value.key.length == 0 || value.key.length > KEY_MAX_BYTES || memchr(value.key.data, 0, value.key.length))
        return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: a key of %zu bytes before byte %zu is not one", r->file, value.key.length, r->at);
    MR_TRY(read_type(r, value.key, &value.type));
    if (value.type == MR_GGUF_VALUE_ARRAY) {
        uint64_t count = 0;
        value.array = true;
        MR_TRY(read_type(r, value.key, &value.type));
        if (value.type == MR_GGUF_VALUE_ARRAY)
            return mr_error_set(r->error, MR_MODEL_UNSUPPORTED, "%s: key \"%.*s\" is an array of arrays", r->file, SHOWN(value.key));
        MR_TRY(read_number(r, 8, "an array", &count));
        if (count > r->length - r->at) return truncated(r, "an array"); /* every item takes a byte at least */
        value.count = (size_t)count;
    }
    MR_TRY(read_items(r, &value));
    *out = value;
    return MR_OK;
}

/* A tensor's description; `offset` counts from the data section, which is not known yet. */
static mr_status read_tensor(reader *r, mr_gguf_tensor *out, uint64_t *offset)
{
    mr_gguf_tensor tensor = { .elements = 1 };
    uint64_t rank = 0, type = 0, dims[MR_GGUF_MAX_RANK] = { 0 };
    size_t blocks;
    MR_TRY(read_string(r, "a tensor's name", &tensor.name));
    if (tensor.name.length == 0 || tensor.name.length > MR_GGUF_MAX_NAME || memchr(tensor.name.data, 0, tensor.name.length))
        return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: a tensor's name of %zu bytes before byte %zu; 1 to %d are allowed", r->file, tensor.name.length, r->at, MR_GGUF_MAX_NAME);
    MR_TRY(read_number(r, 4, "a tensor", &rank));
    if (rank < 1 || rank > MR_GGUF_MAX_RANK)
        return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: tensor \"%.*s\" has %llu dimensions; 1 to %d are allowed", r->file, SHOWN(tensor.name), (unsigned long long)rank, MR_GGUF_MAX_RANK);
    tensor.rank = (size_t)rank;
    for (size_t i = 0; i < tensor.rank; i++) {
        MR_TRY(read_number(r, 8, "a tensor", &dims[i]));
        tensor.shape[tensor.rank - 1 - i] = (size_t)dims[i];
        if (dims[i] == 0 || !mr_checked_mul(tensor.elements, (size_t)dims[i], &tensor.elements))
            return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: tensor \"%.*s\": its shape is empty or overflows", r->file, SHOWN(tensor.name));
    }
    MR_TRY(read_number(r, 4, "a tensor", &type));
    MR_TRY(read_number(r, 8, "a tensor", offset));
    if (type >= sizeof types / sizeof *types || !types[type].text)
        return mr_error_set(r->error, MR_MODEL_UNSUPPORTED, "%s: tensor \"%.*s\" has the unknown type %llu", r->file, SHOWN(tensor.name), (unsigned long long)type);
    tensor.type = (mr_gguf_type)type;
    blocks = tensor.elements / types[type].elements;
    if (dims[0] % types[type].elements != 0 || !mr_checked_mul(blocks, types[type].bytes, &tensor.bytes))
        return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: tensor \"%.*s\": rows of %llu elements are no whole blocks of %s, or it overflows", r->file, SHOWN(tensor.name),
                            (unsigned long long)dims[0], types[type].text);
    *out = tensor;
    return MR_OK;
}

static int by_name(mr_str a, mr_str b)
{
    int order = memcmp(a.data, b.data, a.length < b.length ? a.length : b.length);
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int by_key(const void *a, const void *b)
{
    return by_name(((const mr_gguf_value *)a)->key, ((const mr_gguf_value *)b)->key);
}

static int by_tensor_name(const void *a, const void *b)
{
    return by_name(((const mr_gguf_tensor *)a)->name, ((const mr_gguf_tensor *)b)->name);
}

static mr_status read_head(reader *r, uint32_t *version, size_t *tensors, size_t *values)
{
    uint64_t number = 0, tensor_count = 0, value_count = 0;
    if (r->length < 4 || memcmp(r->bytes, "GGUF", 4) != 0) return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: not a GGUF file", r->file);
    r->at = 4;
    MR_TRY(read_number(r, 4, "the version", &number));
    if ((number & 0xFFFF) == 0) return mr_error_set(r->error, MR_MODEL_UNSUPPORTED, "%s: a big-endian GGUF file; convert it", r->file);
    if (number != 2 && number != 3)
        return mr_error_set(r->error, MR_MODEL_UNSUPPORTED, "%s: GGUF version %llu; versions 2 and 3 are supported", r->file, (unsigned long long)number);
    MR_TRY(read_number(r, 8, "the head", &tensor_count));
    MR_TRY(read_number(r, 8, "the head", &value_count));
    /* The least a record takes: a length, a byte and a type; for tensors also rank, dimension and offset. */
    if (value_count > (r->length - r->at) / 14 || tensor_count > (r->length - r->at) / 33)
        return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: %llu keys and %llu tensors do not fit into %zu bytes", r->file, (unsigned long long)value_count,
                            (unsigned long long)tensor_count, r->length);
    *version = (uint32_t)number;
    *tensors = (size_t)tensor_count;
    *values = (size_t)value_count;
    return MR_OK;
}

/* Turns offsets in the data section into places in the file. */
static mr_status place_tensors(const reader *r, mr_gguf *gguf, const uint64_t *offsets)
{
    size_t alignment = 0, start;
    MR_TRY(mr_gguf_get_size(gguf, "general.alignment", 1u << 20, DEFAULT_ALIGNMENT, &alignment, r->error));
    if (alignment == 0 || (alignment & (alignment - 1)) != 0)
        return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: general.alignment is %zu, which is no power of two", r->file, alignment);
    if (gguf->tensor_count == 0) return MR_OK;
    if (!mr_checked_align(r->at, alignment, &start) || start > r->length) return truncated(r, "the data section");
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        mr_gguf_tensor *tensor = &gguf->tensors[i];
        if (offsets[i] % alignment != 0)
            return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: tensor \"%.*s\" begins at %llu, which is not aligned to %zu", r->file, SHOWN(tensor->name),
                                (unsigned long long)offsets[i], alignment);
        if (offsets[i] > r->length - start || tensor->bytes > r->length - start - (size_t)offsets[i])
            return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: tensor \"%.*s\" of %zu bytes at %llu reaches beyond the file's %zu bytes (truncated download?)", r->file,
                                SHOWN(tensor->name), tensor->bytes, (unsigned long long)offsets[i], r->length);
        tensor->data = r->bytes + start + offsets[i];
    }
    return MR_OK;
}

static mr_status read_all(reader *r, mr_gguf *gguf, uint64_t *offsets)
{
    for (size_t i = 0; i < gguf->value_count; i++) MR_TRY(read_value(r, &gguf->values[i]));
    if (gguf->value_count) qsort(gguf->values, gguf->value_count, sizeof *gguf->values, by_key);
    for (size_t i = 1; i < gguf->value_count; i++)
        if (by_key(&gguf->values[i - 1], &gguf->values[i]) == 0)
            return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: key \"%.*s\" stands there twice", r->file, SHOWN(gguf->values[i].key));
    for (size_t i = 0; i < gguf->tensor_count; i++) MR_TRY(read_tensor(r, &gguf->tensors[i], &offsets[i]));
    MR_TRY(place_tensors(r, gguf, offsets));
    if (gguf->tensor_count) qsort(gguf->tensors, gguf->tensor_count, sizeof *gguf->tensors, by_tensor_name);
    for (size_t i = 1; i < gguf->tensor_count; i++)
        if (by_tensor_name(&gguf->tensors[i - 1], &gguf->tensors[i]) == 0)
            return mr_error_set(r->error, MR_MODEL_CORRUPT, "%s: tensor \"%.*s\" stands there twice", r->file, SHOWN(gguf->tensors[i].name));
    return MR_OK;
}

mr_status mr_gguf_parse(const unsigned char *bytes, size_t length, const char *file, mr_gguf *out, mr_error *error)
{
    reader r = { .bytes = bytes, .length = length, .file = file, .error = error };
    mr_gguf gguf = { .file = file };
    MR_TRY(read_head(&r, &gguf.version, &gguf.tensor_count, &gguf.value_count));
    gguf.values = mr_mem_calloc(gguf.value_count, sizeof *gguf.values, MR_MEM_OTHER);
    gguf.tensors = mr_mem_calloc(gguf.tensor_count, sizeof *gguf.tensors, MR_MEM_OTHER);
    uint64_t *offsets = mr_mem_calloc(gguf.tensor_count, sizeof *offsets, MR_MEM_OTHER);
    mr_status status = gguf.values && gguf.tensors && offsets ? read_all(&r, &gguf, offsets)
                                                              : mr_error_set(error, MR_OUT_OF_MEMORY, "%s: out of memory for its tables", file);
    mr_mem_free(offsets);
    if (status != MR_OK) mr_gguf_fini(&gguf);
    else *out = gguf;
    return status;
}

void mr_gguf_fini(mr_gguf *gguf)
{
    mr_mem_free(gguf->values);
    mr_mem_free(gguf->tensors);
    *gguf = (mr_gguf){ 0 };
}

/* ---------------------------------------------------------------- questions */

const mr_gguf_value *mr_gguf_find(const mr_gguf *gguf, const char *key)
{
    mr_gguf_value wanted = { .key = mr_str_of(key) };
    return gguf->value_count ? bsearch(&wanted, gguf->values, gguf->value_count, sizeof wanted, by_key) : NULL;
}

const mr_gguf_tensor *mr_gguf_find_tensor(const mr_gguf *gguf, const char *name)
{
    mr_gguf_tensor wanted = { .name = mr_str_of(name) };
    return gguf->tensor_count ? bsearch(&wanted, gguf->tensors, gguf->tensor_count, sizeof wanted, by_tensor_name) : NULL;
}

static bool is_integer(mr_gguf_value_type type)
{
    return type <= MR_GGUF_VALUE_I32 || type == MR_GGUF_VALUE_U64 || type == MR_GGUF_VALUE_I64;
}

static bool is_float(mr_gguf_value_type type)
{
    return type == MR_GGUF_VALUE_F32 || type == MR_GGUF_VALUE_F64;
}

static mr_status wrong(const mr_gguf *gguf, const char *key, const char *what, mr_error *error)
{
    return mr_error_set(error, MR_MODEL_CORRUPT, "%s: key \"%s\" must be %s", gguf->file, key, what);
}

mr_status mr_gguf_get_size(const mr_gguf *gguf, const char *key, size_t maximum, size_t fallback, size_t *out, mr_error *error)
{
    const mr_gguf_value *value = mr_gguf_find(gguf, key);
    if (!value) return *out = fallback, MR_OK;
    if (value->array || !is_integer(value->type)) return wrong(gguf, key, "a whole number", error);
    int64_t number = mr_gguf_integer(value, 0);
    if (number < 0 || (uint64_t)number > maximum) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: key \"%s\" must be a number from 0 to %zu", gguf->file, key, maximum);
    *out = (size_t)number;
    return MR_OK;
}

mr_status mr_gguf_get_bool(const mr_gguf *gguf, const char *key, bool fallback, bool *out, mr_error *error)
{
    const mr_gguf_value *value = mr_gguf_find(gguf, key);
    if (!value) return *out = fallback, MR_OK;
    if (value->array || value->type != MR_GGUF_VALUE_BOOL) return wrong(gguf, key, "true or false", error);
    *out = value->data[0];
    return MR_OK;
}

mr_status mr_gguf_get_double(const mr_gguf *gguf, const char *key, double fallback, double *out, mr_error *error)
{
    const mr_gguf_value *value = mr_gguf_find(gguf, key);
    if (!value) return *out = fallback, MR_OK;
    if (value->array || !is_float(value->type)) return wrong(gguf, key, "a number with a fraction", error);
    *out = mr_gguf_float(value, 0);
    return MR_OK;
}

mr_status mr_gguf_get_str(const mr_gguf *gguf, const char *key, mr_str fallback, mr_str *out, mr_error *error)
{
    const mr_gguf_value *value = mr_gguf_find(gguf, key);
    if (!value) return *out = fallback, MR_OK;
    if (value->array || value->type != MR_GGUF_VALUE_STRING) return wrong(gguf, key, "a string", error);
    const unsigned char *at = value->data;
    mr_str text = mr_gguf_next_string(&at);
    if (mr_utf8_check(text.data, text.length) < text.length) return wrong(gguf, key, "well-formed UTF-8", error);
    *out = text;
    return MR_OK;
}

static mr_status get_array(const mr_gguf *gguf, const char *key, bool (*fits)(mr_gguf_value_type), const char *what, const mr_gguf_value **out, mr_error *error)
{
    const mr_gguf_value *value = mr_gguf_find(gguf, key);
    if (value && (!value->array || !fits(value->type))) return wrong(gguf, key, what, error);
    *out = value;
    return MR_OK;
}

static bool is_string(mr_gguf_value_type type)
{
    return type == MR_GGUF_VALUE_STRING;
}

mr_status mr_gguf_get_strings(const mr_gguf *gguf, const char *key, const mr_gguf_value **out, mr_error *error)
{
    return get_array(gguf, key, is_string, "an array of strings", out, error);
}

mr_status mr_gguf_get_integers(const mr_gguf *gguf, const char *key, const mr_gguf_value **out, mr_error *error)
{
    return get_array(gguf, key, is_integer, "an array of whole numbers", out, error);
}

mr_status mr_gguf_get_floats(const mr_gguf *gguf, const char *key, const mr_gguf_value **out, mr_error *error)
{
    return get_array(gguf, key, is_float, "an array of numbers with fractions", out, error);
}

int64_t mr_gguf_integer(const mr_gguf_value *value, size_t index)
{
    size_t bytes = value_bytes[value->type];
    uint64_t number = load(value->data + index * bytes, bytes);
    switch (value->type) {
    case MR_GGUF_VALUE_I8: return (int8_t)number;
    case MR_GGUF_VALUE_I16: return (int16_t)number;
    case MR_GGUF_VALUE_I32: return (int32_t)number;
    case MR_GGUF_VALUE_U64: return number > INT64_MAX ? INT64_MAX : (int64_t)number;
    default: return (int64_t)number;
    }
}

double mr_gguf_float(const mr_gguf_value *value, size_t index)
{
    float single;
    double number;
    if (value->type == MR_GGUF_VALUE_F32) {
        memcpy(&single, value->data + index * sizeof single, sizeof single);
        return single;
    }
    memcpy(&number, value->data + index * sizeof number, sizeof number);
    return number;
}

mr_str mr_gguf_next_string(const unsigned char **at)
{
    size_t length = (size_t)load(*at, 8);
    mr_str text = { (const char *)*at + 8, length };
    *at += 8 + length;
    return text;
}
