#include <stdlib.h>

#include "io/export.h"
#include "io/text_output.h"

#define STEP_ROWS ((size_t)256)
#define HEADER_ALIGNMENT 64 /* numpy.lib.format: magic, version, length and header together are a multiple of this */

/* numpy.lib.format version 1.0: magic, version, u16 length, a Python dict padded with spaces, newline. */
static bool append_header(mr_buf *out, uint64_t rows, size_t dimension)
{
    char *dict = mr_strf("{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %zu), }", (unsigned long long)rows, dimension);
    if (!dict) return false;
    const size_t before = 10;
    size_t length = mr_str_of(dict).length + 1;
    size_t padding = (HEADER_ALIGNMENT - (before + length) % HEADER_ALIGNMENT) % HEADER_ALIGNMENT;
    size_t total = length + padding;
    const unsigned char size[2] = { (unsigned char)(total & 0xFF), (unsigned char)(total >> 8) };
    bool good = mr_buf_append(out, "\x93NUMPY\x01\x00", 8) && mr_buf_append(out, size, 2) && mr_buf_append_str(out, dict);
    while (good && padding-- > 0) good = mr_buf_append(out, " ", 1);
    free(dict);
    return good && mr_buf_append(out, "\n", 1);
}

mr_status mr_export_npy(mr_embedding_file *file, const char *path, bool overwrite, mr_error *error)
{
    mr_text_output output = { 0 };
    uint64_t rows = mr_embedding_file_rows(file);
    size_t row_bytes = mr_embedding_file_dimension(file) * sizeof(float);
    float *vectors = malloc(STEP_ROWS * row_bytes);
    if (!vectors) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate rows");
    mr_status status = mr_text_output_open(&output, path, overwrite, error);
    if (status == MR_OK && !append_header(&output.held, rows, mr_embedding_file_dimension(file)))
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a header");
    for (uint64_t first = 0; status == MR_OK && first < rows; first += STEP_ROWS) {
        size_t count = rows - first < STEP_ROWS ? (size_t)(rows - first) : STEP_ROWS;
        status = mr_embedding_file_vectors(file, first, count, vectors, error);
        if (status == MR_OK && !mr_buf_append(&output.held, vectors, count * row_bytes)) status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate rows");
        if (status == MR_OK) status = mr_text_output_flush(&output, false, error);
    }
    if (status == MR_OK) status = mr_text_output_finish(&output, error);
    mr_text_output_close(&output);
    free(vectors);
    return status;
}
