/* Writes safetensors files for tests: well-formed ones from typed tensors, and any lie from a literal header. */
#ifndef MR_TESTS_SAFETENSORS_WRITER_H
#define MR_TESTS_SAFETENSORS_WRITER_H

#include "weights/checkpoint.h"

typedef struct written_tensor {
    const char *name;
    mr_dtype dtype;
    size_t rank;
    size_t shape[MR_TENSOR_MAX_RANK];
    const void *data;
} written_tensor;

/* Both fail the running test when the file cannot be written. */
void write_safetensors(const char *path, const written_tensor *tensors, size_t count);
void write_raw_safetensors(const char *path, uint64_t header_bytes, const char *header, const void *data, size_t data_bytes);

void write_text(const char *path, const char *text);

/* A fresh folder MR_TEST_TMP/<name>, its path in a static buffer until the next call. */
const char *fresh_folder(const char *name);

#endif
