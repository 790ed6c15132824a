#include "safetensors_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/str.h"

static void put(FILE *file, const void *data, size_t bytes)
{
    if (bytes > 0) assert_int_equal(fwrite(data, 1, bytes, file), bytes);
}

void write_raw_safetensors(const char *path, uint64_t header_bytes, const char *header, const void *data, size_t data_bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)(header_bytes >> (8 * i));
    put(file, length, sizeof length);
    put(file, header, strlen(header));
    put(file, data, data_bytes);
    assert_int_equal(fclose(file), 0);
}

static size_t tensor_bytes(const written_tensor *tensor)
{
    size_t bytes = mr_dtype_bytes(tensor->dtype);
    for (size_t i = 0; i < tensor->rank; i++) bytes *= tensor->shape[i];
    return bytes;
}

void write_safetensors(const char *path, const written_tensor *tensors, size_t count)
{
    mr_buf header = { 0 }, data = { 0 };
    assert_true(mr_buf_append_str(&header, "{\"__metadata__\":{\"format\":\"pt\"}"));
    for (size_t i = 0; i < count; i++) {
        assert_true(mr_buf_printf(&header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", tensors[i].name, mr_dtype_text(tensors[i].dtype)));
        for (size_t d = 0; d < tensors[i].rank; d++) assert_true(mr_buf_printf(&header, "%s%zu", d > 0 ? "," : "", tensors[i].shape[d]));
        size_t begin = data.length, bytes = tensor_bytes(&tensors[i]);
        assert_true(mr_buf_append(&data, tensors[i].data, bytes));
        assert_true(mr_buf_printf(&header, "],\"data_offsets\":[%zu,%zu]}", begin, begin + bytes));
    }
    assert_true(mr_buf_append_str(&header, "}"));
    while (header.length % 8 != 0) assert_true(mr_buf_append_str(&header, " "));
    write_raw_safetensors(path, header.length, header.data, data.data, data.length);
    mr_buf_fini(&header);
    mr_buf_fini(&data);
}

void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    put(file, text, strlen(text));
    assert_int_equal(fclose(file), 0);
}

const char *fresh_folder(const char *name)
{
    static char path[512];
    static unsigned number;
    /* A number no earlier run left behind: nothing is ever deleted. */
    do snprintf(path, sizeof path, "%s/%s.%u", MR_TEST_TMP, name, number++);
    while (mr_path_exists(path));
    assert_int_equal(mr_path_make_directories(path, NULL), MR_OK);
    return path;
}
