#include <stdlib.h>

#include "io/export.h"
#include "io/json_write.h"
#include "io/text_output.h"

#define STEP_ROWS ((size_t)256)

static mr_status write_rows(mr_embedding_file *file, mr_text_output *output, uint64_t first, size_t count, float *vectors, mr_error *error)
{
    size_t dimension = mr_embedding_file_dimension(file);
    MR_TRY(mr_embedding_file_vectors(file, first, count, vectors, error));
    for (size_t i = 0; i < count; i++) {
        mr_embedding_row row;
        MR_TRY(mr_embedding_file_row(file, first + i, &row, error));
        bool has_vector = row.status == MR_ROW_OK || row.status == MR_ROW_TRUNCATED;
        if (!mr_json_append_row(&output->held, &row, has_vector ? vectors + i * dimension : NULL, dimension))
            return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate row %llu", (unsigned long long)(first + i));
        MR_TRY(mr_text_output_flush(output, false, error));
    }
    return MR_OK;
}

mr_status mr_export_jsonl(mr_embedding_file *file, const char *path, bool overwrite, mr_error *error)
{
    mr_text_output output = { 0 };
    uint64_t rows = mr_embedding_file_rows(file);
    float *vectors = malloc(STEP_ROWS * mr_embedding_file_dimension(file) * sizeof *vectors);
    if (!vectors) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate rows");
    mr_status status = mr_text_output_open(&output, path, overwrite, error);
    for (uint64_t first = 0; status == MR_OK && first < rows; first += STEP_ROWS)
        status = write_rows(file, &output, first, rows - first < STEP_ROWS ? (size_t)(rows - first) : STEP_ROWS, vectors, error);
    if (status == MR_OK) status = mr_text_output_finish(&output, error);
    mr_text_output_close(&output);
    free(vectors);
    return status;
}
