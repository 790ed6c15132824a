/* A model's tensors, whatever files they come in: one safetensors file or an index with shards.
 *
 * Files are memory-mapped and never copied; a tensor is a typed view. Immutable after open, thread-safe.
 * Format: https://github.com/huggingface/safetensors (header rules), transformers' index.json for shards. */
#ifndef MR_WEIGHTS_CHECKPOINT_H
#define MR_WEIGHTS_CHECKPOINT_H

#include "core/cache.h"
#include "weights/tensor.h"

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

/* Gives the tensor's pages back to the system once it was copied elsewhere; a later read maps them again. A hint. */
void mr_tensor_release_pages(const mr_tensor *tensor);

#endif
