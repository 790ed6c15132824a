/* Writes GGUF files into memory for tests: keys first, then tensors, then gguf_finish. Out of memory fails the test. */
#ifndef MR_TESTS_GGUF_WRITER_H
#define MR_TESTS_GGUF_WRITER_H

#include "weights/gguf.h"

typedef struct gguf_writer {
    mr_buf values, tensors, data; /* zero-initialise */
    uint64_t value_count, tensor_count;
} gguf_writer;

void gguf_put_number(mr_buf *out, uint64_t number, size_t bytes);
void gguf_put_string(mr_buf *out, mr_str text);

void gguf_key(gguf_writer *writer, const char *key, uint32_t type);
void gguf_key_string(gguf_writer *writer, const char *key, mr_str text);
void gguf_key_u32(gguf_writer *writer, const char *key, uint32_t number);
void gguf_key_bool(gguf_writer *writer, const char *key, bool value);
/* The head of an array; its items are put into writer->values. */
void gguf_key_array(gguf_writer *writer, const char *key, uint32_t type, uint64_t count);
/* dims: the contiguous one first. */
void gguf_tensor(gguf_writer *writer, const char *name, uint32_t type, uint32_t rank, const uint64_t *dims, const void *data, size_t bytes);
/* The file; the writer is empty afterwards. */
mr_buf gguf_finish(gguf_writer *writer, uint32_t version);

#endif
