/* A typed view of one tensor in a file, and its elements as f32. */
#ifndef MR_WEIGHTS_TENSOR_H
#define MR_WEIGHTS_TENSOR_H

#include <stddef.h>
#include <stdint.h>

/* X(NAME, safetensors name, bytes per element) */
#define MR_DTYPE_LIST(X) \
    X(F64, "F64", 8)     \
    X(F32, "F32", 4)     \
    X(F16, "F16", 2)     \
    X(BF16, "BF16", 2)   \
    X(F8_E4M3, "F8_E4M3", 1) \
    X(F8_E5M2, "F8_E5M2", 1) \
    X(I64, "I64", 8)     \
    X(I32, "I32", 4)     \
    X(I16, "I16", 2)     \
    X(I8, "I8", 1)       \
    X(U64, "U64", 8)     \
    X(U32, "U32", 4)     \
    X(U16, "U16", 2)     \
    X(U8, "U8", 1)       \
    X(BOOL, "BOOL", 1)

typedef enum mr_dtype {
#define MR_DTYPE_ENUM(name, text, bytes) MR_DTYPE_##name,
    MR_DTYPE_LIST(MR_DTYPE_ENUM)
#undef MR_DTYPE_ENUM
    MR_DTYPE_COUNT
} mr_dtype;

const char *mr_dtype_text(mr_dtype dtype);
size_t mr_dtype_bytes(mr_dtype dtype);

#define MR_TENSOR_MAX_RANK 8

/* All pointers are borrowed from whoever mapped the file. Data is dense, row-major, little endian, aligned to
 * nothing in particular. */
typedef struct mr_tensor {
    const char *name;
    const char *file;
    mr_dtype dtype;
    size_t rank;
    size_t shape[MR_TENSOR_MAX_RANK];
    size_t elements;
    const unsigned char *data;
    size_t bytes;
} mr_tensor;

/* Decodes every element to f32 (round to nearest even from F64; integers and BOOL by value). dst [elements]. */
void mr_tensor_to_f32(const mr_tensor *tensor, float *dst);
/* `count` elements from `first`. */
void mr_tensor_slice_to_f32(const mr_tensor *tensor, size_t first, size_t count, float *dst);

#endif
