/* One GGUF file: key/value metadata, then a table of tensors, then their data.
 *
 * Nothing is copied: values, strings and tensors are views into the caller's bytes, checked at parse time so that reading
 * them cannot fail later. Versions 2 and 3, little endian. Arrays of arrays are refused, as the reference reader does.
 * Source: ggml docs/gguf.md, llama.cpp ggml/src/gguf.cpp. */
#ifndef MR_WEIGHTS_GGUF_H
#define MR_WEIGHTS_GGUF_H

#include "core/error.h"
#include "core/str.h"

/* Numbers are the format's own. X(NAME, number, bytes; 0: varies) */
#define MR_GGUF_VALUE_LIST(X) \
    X(U8, 0, 1) X(I8, 1, 1) X(U16, 2, 2) X(I16, 3, 2) X(U32, 4, 4) X(I32, 5, 4) X(F32, 6, 4) X(BOOL, 7, 1) \
    X(STRING, 8, 0) X(ARRAY, 9, 0) X(U64, 10, 8) X(I64, 11, 8) X(F64, 12, 8)

typedef enum mr_gguf_value_type {
#define MR_GGUF_VALUE_ENUM(name, number, bytes) MR_GGUF_VALUE_##name = number,
    MR_GGUF_VALUE_LIST(MR_GGUF_VALUE_ENUM)
#undef MR_GGUF_VALUE_ENUM
    MR_GGUF_VALUE_TYPES
} mr_gguf_value_type;

/* One key. Of an array `type` is the type of its items. */
typedef struct mr_gguf_value {
    mr_str key;
    mr_gguf_value_type type;
    bool array;
    size_t count;              /* items; 1 when no array */
    const unsigned char *data; /* first item; of a string: its length, 8 bytes, then itself */
} mr_gguf_value;

/* How a tensor's elements are stored. X(NAME, number, elements per block, bytes per block) */
#define MR_GGUF_TYPE_LIST(X) \
    X(F32, 0, 1, 4) X(F16, 1, 1, 2) X(Q4_0, 2, 32, 18) X(Q4_1, 3, 32, 20) X(Q5_0, 6, 32, 22) X(Q5_1, 7, 32, 24) X(Q8_0, 8, 32, 34) \
    X(Q8_1, 9, 32, 36) X(Q2_K, 10, 256, 84) X(Q3_K, 11, 256, 110) X(Q4_K, 12, 256, 144) X(Q5_K, 13, 256, 176) X(Q6_K, 14, 256, 210) \
    X(Q8_K, 15, 256, 292) X(IQ2_XXS, 16, 256, 66) X(IQ2_XS, 17, 256, 74) X(IQ3_XXS, 18, 256, 98) X(IQ1_S, 19, 256, 50) \
    X(IQ4_NL, 20, 32, 18) X(IQ3_S, 21, 256, 110) X(IQ2_S, 22, 256, 82) X(IQ4_XS, 23, 256, 136) X(I8, 24, 1, 1) X(I16, 25, 1, 2) \
    X(I32, 26, 1, 4) X(I64, 27, 1, 8) X(F64, 28, 1, 8) X(IQ1_M, 29, 256, 56) X(BF16, 30, 1, 2) X(TQ1_0, 34, 256, 54) \
    X(TQ2_0, 35, 256, 66) X(MXFP4, 39, 32, 17)

typedef enum mr_gguf_type {
#define MR_GGUF_TYPE_ENUM(name, number, elements, bytes) MR_GGUF_##name = number,
    MR_GGUF_TYPE_LIST(MR_GGUF_TYPE_ENUM)
#undef MR_GGUF_TYPE_ENUM
} mr_gguf_type;

const char *mr_gguf_type_text(mr_gguf_type type);
/* Elements and bytes of one block; rows are whole blocks. */
size_t mr_gguf_block_elements(mr_gguf_type type);
size_t mr_gguf_block_bytes(mr_gguf_type type);

#define MR_GGUF_MAX_RANK 4
#define MR_GGUF_MAX_NAME 63 /* bytes of a tensor's name */

typedef struct mr_gguf_tensor {
    mr_str name;
    mr_gguf_type type;
    size_t rank;
    size_t shape[MR_GGUF_MAX_RANK]; /* outermost first, unlike in the file */
    size_t elements;
    const unsigned char *data; /* rows one behind the other */
    size_t bytes;
} mr_gguf_tensor;

typedef struct mr_gguf {
    const char *file; /* borrowed, for error texts */
    uint32_t version;
    mr_gguf_value *values; /* [value_count] by key */
    size_t value_count;
    mr_gguf_tensor *tensors; /* [tensor_count] by name */
    size_t tensor_count;
} mr_gguf;

/* `bytes` [length] is a whole file and `file` its name for messages; both borrowed until mr_gguf_fini.
 * MODEL_CORRUPT naming file, key or tensor and what is wrong; MODEL_UNSUPPORTED for another version or byte order, an
 * unknown type. */
mr_status mr_gguf_parse(const unsigned char *bytes, size_t length, const char *file, mr_gguf *out, mr_error *error);
void mr_gguf_fini(mr_gguf *gguf); /* fine on a zeroed one */

/* NULL when absent. */
const mr_gguf_value *mr_gguf_find(const mr_gguf *gguf, const char *key);
const mr_gguf_tensor *mr_gguf_find_tensor(const mr_gguf *gguf, const char *name);

/* A key's value; `fallback` when it is absent. Integers may have any width: writers differ. Another kind of value, or a
 * number beyond `maximum`, is MODEL_CORRUPT naming file and key. */
mr_status mr_gguf_get_size(const mr_gguf *gguf, const char *key, size_t maximum, size_t fallback, size_t *out, mr_error *error);
mr_status mr_gguf_get_bool(const mr_gguf *gguf, const char *key, bool fallback, bool *out, mr_error *error);
mr_status mr_gguf_get_double(const mr_gguf *gguf, const char *key, double fallback, double *out, mr_error *error);
/* Borrowed from the file; UTF-8 is checked. `fallback` may have data NULL. */
mr_status mr_gguf_get_str(const mr_gguf *gguf, const char *key, mr_str fallback, mr_str *out, mr_error *error);
/* An array of strings, or of numbers of one kind (integers of any width and sign count as one): MODEL_CORRUPT when it is
 * something else; *out NULL when the key is absent. */
mr_status mr_gguf_get_strings(const mr_gguf *gguf, const char *key, const mr_gguf_value **out, mr_error *error);
mr_status mr_gguf_get_integers(const mr_gguf *gguf, const char *key, const mr_gguf_value **out, mr_error *error);
mr_status mr_gguf_get_floats(const mr_gguf *gguf, const char *key, const mr_gguf_value **out, mr_error *error);
/* Item `index` of an array of numbers, index < count. */
int64_t mr_gguf_integer(const mr_gguf_value *value, size_t index);
double mr_gguf_float(const mr_gguf_value *value, size_t index);
/* Strings follow each other: start with *at = value->data; call at most `count` times. */
mr_str mr_gguf_next_string(const unsigned char **at);

#endif
