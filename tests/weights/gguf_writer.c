#include "gguf_writer.h"

#include <stdlib.h>

#define ALIGNMENT 32

static void put(mr_buf *out, const void *data, size_t bytes)
{
    if (!mr_buf_append(out, data, bytes)) abort();
}

void gguf_put_number(mr_buf *out, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        char byte = i < sizeof number ? (char)(number >> (8 * i) & 0xFF) : 0;
        put(out, &byte, 1);
    }
}

void gguf_put_string(mr_buf *out, mr_str text)
{
    gguf_put_number(out, text.length, 8);
    put(out, text.data, text.length);
}

void gguf_key(gguf_writer *writer, const char *key, uint32_t type)
{
    writer->value_count++;
    gguf_put_string(&writer->values, mr_str_of(key));
    gguf_put_number(&writer->values, type, 4);
}

void gguf_key_string(gguf_writer *writer, const char *key, mr_str text)
{
    gguf_key(writer, key, MR_GGUF_VALUE_STRING);
    gguf_put_string(&writer->values, text);
}

void gguf_key_u32(gguf_writer *writer, const char *key, uint32_t number)
{
    gguf_key(writer, key, MR_GGUF_VALUE_U32);
    gguf_put_number(&writer->values, number, 4);
}

void gguf_key_bool(gguf_writer *writer, const char *key, bool value)
{
    gguf_key(writer, key, MR_GGUF_VALUE_BOOL);
    gguf_put_number(&writer->values, value, 1);
}

void gguf_key_array(gguf_writer *writer, const char *key, uint32_t type, uint64_t count)
{
    gguf_key(writer, key, MR_GGUF_VALUE_ARRAY);
    gguf_put_number(&writer->values, type, 4);
    gguf_put_number(&writer->values, count, 8);
}

static void align(mr_buf *out)
{
    while (out->length % ALIGNMENT) put(out, "", 1);
}

void gguf_tensor(gguf_writer *writer, const char *name, uint32_t type, uint32_t rank, const uint64_t *dims, const void *data, size_t bytes)
{
    writer->tensor_count++;
    align(&writer->data);
    gguf_put_string(&writer->tensors, mr_str_of(name));
    gguf_put_number(&writer->tensors, rank, 4);
    for (uint32_t i = 0; i < rank; i++) gguf_put_number(&writer->tensors, dims[i], 8);
    gguf_put_number(&writer->tensors, type, 4);
    gguf_put_number(&writer->tensors, writer->data.length, 8);
    put(&writer->data, data, bytes);
}

mr_buf gguf_finish(gguf_writer *writer, uint32_t version)
{
    mr_buf file = { 0 };
    put(&file, "GGUF", 4);
    gguf_put_number(&file, version, 4);
    gguf_put_number(&file, writer->tensor_count, 8);
    gguf_put_number(&file, writer->value_count, 8);
    put(&file, writer->values.data, writer->values.length);
    put(&file, writer->tensors.data, writer->tensors.length);
    if (writer->tensor_count) align(&file);
    put(&file, writer->data.data, writer->data.length);
    mr_buf_fini(&writer->values);
    mr_buf_fini(&writer->tensors);
    mr_buf_fini(&writer->data);
    *writer = (gguf_writer){ 0 };
    return file;
}
