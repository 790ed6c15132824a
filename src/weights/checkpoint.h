/* A model's tensors, whatever files they come in: one safetensors file or an index with shards.
 *
 * Files are memory-mapped and never copied; a tensor is a typed view. Immutable after open, thread-safe.
 * Format: https://github.com/huggingface/safetensors (header rules), transformers' index.json for shards. */
#ifndef MR_WEIGHTS_CHECKPOINT_H
#define MR_WEIGHTS_CHECKPOINT_H

#include "core/cache.h"

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

/* All pointers are borrowed from the checkpoint. Data is dense, row-major, little endian, aligned to
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

typedef struct mr_checkpoint mr_checkpoint;

/* A directory with model.safetensors or model.safetensors.index.json, or one .safetensors file.
 * MODEL_FILES_MISSING lists what is absent; MODEL_CORRUPT names file and tensor. */
mr_status mr_checkpoint_open(const char *path, mr_checkpoint **out, mr_error *error);
void mr_checkpoint_close(mr_checkpoint *checkpoint);

size_t mr_checkpoint_count(const mr_checkpoint *checkpoint);
const mr_tensor *mr_checkpoint_at(const mr_checkpoint *checkpoint, size_t index);
/* NULL when absent. */
const mr_tensor *mr_checkpoint_find(const mr_checkpoint *checkpoint, const char *name);
/* MODEL_CORRUPT naming file, tensor, got and expected shape; MODEL_CORRUPT "missing tensor" when absent. */
mr_status mr_checkpoint_require(const mr_checkpoint *checkpoint, const char *name, size_t rank, const size_t *shape,
                                const mr_tensor **out, mr_error *error);
size_t mr_checkpoint_bytes(const mr_checkpoint *checkpoint); /* tensor bytes of all files */
/* Would a change of the files show in their stamps (core/file_digest.h)? */
bool mr_checkpoint_is_settled(const mr_checkpoint *checkpoint);
/* Do the files still have the stamps they were opened with? */
bool mr_checkpoint_is_unchanged(const mr_checkpoint *checkpoint);
/* SHA-256 over the weight files' contents in name order.
 *
 * `cache`, which may be NULL, remembers it under the files' stamps, so that the next process does not read them whole: when they are
 * settled and did not change while they were hashed. */
mr_status mr_checkpoint_sha256(const mr_checkpoint *checkpoint, const mr_cache *cache, char hex[MR_SHA256_HEX], mr_error *error);

/* Decodes every element to f32 (round to nearest even from F64; integers and BOOL by value). dst [elements]. */
void mr_tensor_to_f32(const mr_tensor *tensor, float *dst);
/* `count` elements from `first`. */
void mr_tensor_slice_to_f32(const mr_tensor *tensor, size_t first, size_t count, float *dst);
/* Gives the tensor's pages back to the system once it was copied elsewhere; a later read maps them again. A hint. */
void mr_tensor_release_pages(const mr_tensor *tensor);

#endif
