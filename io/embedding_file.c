#include "io/embedding_file.h"

#include <stdlib.h>
#include <string.h>

#include "io/id_index.h"
#include "io/part_file.h"
#include "io/vector_convert.h"

#define WINDOW_ROWS 256   /* fetched around one row: a chunk is inflated anyway */
#define SCAN_ROWS 8192    /* ids looked at together */
#define VECTOR_ROWS 1024  /* converted together */
#define MAX_ATTRIBUTES 1024

typedef struct owned_attribute {
    char *name, *value;
} owned_attribute;

struct mr_embedding_file {
    char *path;
    hid_t file;
    mr_embedding_schema schema;
    mr_table_reader *vectors, *rows, *sources; /* column 0; all others; input names */
    mr_id_index *index; /* NULL: none */
    mr_block vector_block, row_block, scan_block, source_block;
    uint64_t window_first; /* row_block holds rows from here */
    owned_attribute *attributes;
    size_t attribute_count;
};

/* Numbers of the other columns within `rows`. */
enum { STATUS = MR_COLUMN_STATUS - 1, TOKENS = MR_COLUMN_TOKENS - 1, ID = MR_COLUMN_ID - 1, ERROR = MR_COLUMN_ERROR - 1,
       SHARD = MR_COLUMN_SHARD - 1, RECORD = MR_COLUMN_RECORD - 1 };

static bool keep_attribute(void *context, const char *name, const char *value)
{
    mr_embedding_file *file = context;
    owned_attribute kept = { mr_strdup(name), mr_strdup(value) };
    owned_attribute *grown = realloc(file->attributes, (file->attribute_count + 1) * sizeof *grown);
    if (grown) file->attributes = grown;
    if (!grown || !kept.name || !kept.value || file->attribute_count == MAX_ATTRIBUTES) {
        free(kept.name);
        free(kept.value);
        return false;
    }
    file->attributes[file->attribute_count++] = kept;
    return true;
}

static mr_status open_tables(mr_embedding_file *file, mr_error *error)
{
    const mr_column *columns = file->schema.columns;
    size_t others = file->schema.count - 1;
    MR_TRY(mr_table_reader_open(file->file, file->path, columns, 1, &file->vectors, error));
    MR_TRY(mr_table_reader_open(file->file, file->path, columns + 1, others, &file->rows, error));
    MR_TRY(mr_table_reader_open(file->file, file->path, &mr_source_files_column, 1, &file->sources, error));
    if (mr_table_reader_rows(file->rows) != mr_table_reader_rows(file->vectors))
        return mr_error_set(error, MR_BAD_INPUT, "%s: %llu vectors but %llu rows",
                            file->path, (unsigned long long)mr_table_reader_rows(file->vectors), (unsigned long long)mr_table_reader_rows(file->rows));
    if (!mr_block_init(&file->vector_block, columns, 1) || !mr_block_init(&file->row_block, columns + 1, others) ||
        !mr_block_init(&file->scan_block, columns + 1, others) || !mr_block_init(&file->source_block, &mr_source_files_column, 1))
        return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", file->path);
    MR_TRY(mr_id_index_open(file->file, file->path, mr_table_reader_rows(file->rows), &file->index, error));
    return mr_table_reader_read(file->sources, 0, (size_t)mr_table_reader_rows(file->sources), &file->source_block, error);
}

mr_status mr_embedding_file_open(const char *path, mr_embedding_file **out, mr_error *error)
{
    mr_embedding_file *file = calloc(1, sizeof *file);
    if (!file) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", path);
    mr_status status = MR_OUT_OF_MEMORY;
    file->path = mr_strdup(path);
    if (!file->path) {
        mr_error_set(error, status, "%s: cannot allocate a reader", path);
        goto failed;
    }
    MR_TRY_OR(status, mr_h5_open(path, &file->file, error), failed);
    MR_TRY_OR(status, mr_part_file_read_schema(file->file, path, &file->schema, error), failed);
    MR_TRY_OR(status, open_tables(file, error), failed);
    mr_h5_each_attribute(file->file, keep_attribute, file);
    *out = file;
    return MR_OK;
failed:
    mr_embedding_file_close(file);
    return status;
}

void mr_embedding_file_close(mr_embedding_file *file)
{
    if (!file) return;
    mr_id_index_close(file->index);
    mr_table_reader_close(file->vectors);
    mr_table_reader_close(file->rows);
    mr_table_reader_close(file->sources);
    mr_block_fini(&file->vector_block);
    mr_block_fini(&file->row_block);
    mr_block_fini(&file->scan_block);
    mr_block_fini(&file->source_block);
    if (file->file > 0) H5Fclose(file->file);
    for (size_t i = 0; i < file->attribute_count; i++) {
        free(file->attributes[i].name);
        free(file->attributes[i].value);
    }
    free(file->attributes);
    free(file->path);
    free(file);
}

uint64_t mr_embedding_file_rows(const mr_embedding_file *file)
{
    return mr_table_reader_rows(file->vectors);
}

size_t mr_embedding_file_dimension(const mr_embedding_file *file)
{
    return file->schema.dimension;
}

mr_vector_dtype mr_embedding_file_dtype(const mr_embedding_file *file)
{
    return file->schema.dtype;
}

bool mr_embedding_file_has_text(const mr_embedding_file *file)
{
    return file->schema.text != 0;
}

const char *mr_embedding_file_attribute(const mr_embedding_file *file, const char *name)
{
    for (size_t i = 0; i < file->attribute_count; i++)
        if (strcmp(file->attributes[i].name, name) == 0) return file->attributes[i].value;
    return NULL;
}

bool mr_embedding_file_attribute_at(const mr_embedding_file *file, size_t index, mr_attribute *out)
{
    if (index >= file->attribute_count) return false;
    *out = (mr_attribute){ file->attributes[index].name, file->attributes[index].value };
    return true;
}

size_t mr_embedding_file_source_count(const mr_embedding_file *file)
{
    return file->source_block.rows;
}

mr_str mr_embedding_file_source_name(const mr_embedding_file *file, size_t index)
{
    return index < file->source_block.rows ? mr_block_packed(&file->source_block, 0, index) : (mr_str){ "", 0 };
}

static mr_status check_range(const mr_embedding_file *file, uint64_t first, uint64_t count, mr_error *error)
{
    uint64_t rows = mr_embedding_file_rows(file);
    if (first <= rows && count <= rows - first) return MR_OK;
    return mr_error_set(error, MR_INVALID_ARGUMENT, "%s has %llu rows, no row %llu",
                        file->path, (unsigned long long)rows, (unsigned long long)(first > rows ? first : rows));
}

static mr_status load_vectors(mr_embedding_file *file, uint64_t first, size_t count, float *vectors, mr_error *error)
{
    const mr_embedding_schema *schema = &file->schema;
    MR_TRY(mr_table_reader_read(file->vectors, first, count, &file->vector_block, error));
    if (schema->scale) MR_TRY(mr_table_reader_read_column(file->rows, schema->scale - 1, first, count, &file->scan_block, error));
    for (size_t i = 0; i < count; i++) {
        float scale = 0.0f;
        if (schema->scale) memcpy(&scale, mr_block_fixed(&file->scan_block, schema->scale - 1, i), sizeof scale);
        mr_vector_load(schema->dtype, mr_block_fixed(&file->vector_block, 0, i), scale, schema->dimension, vectors + i * schema->dimension);
    }
    return MR_OK;
}

mr_status mr_embedding_file_vectors(mr_embedding_file *file, uint64_t first, size_t count, float *vectors, mr_error *error)
{
    MR_TRY(check_range(file, first, count, error));
    for (size_t done = 0; done < count;) {
        size_t step = count - done < VECTOR_ROWS ? count - done : VECTOR_ROWS;
        MR_TRY(load_vectors(file, first + done, step, vectors + done * file->schema.dimension, error));
        done += step;
    }
    return MR_OK;
}

static mr_status fetch_window(mr_embedding_file *file, uint64_t row, mr_error *error)
{
    if (row >= file->window_first && row - file->window_first < file->row_block.rows) return MR_OK;
    uint64_t rest = mr_embedding_file_rows(file) - row;
    file->window_first = row;
    return mr_table_reader_read(file->rows, row, rest < WINDOW_ROWS ? (size_t)rest : WINDOW_ROWS, &file->row_block, error);
}

mr_status mr_embedding_file_row(mr_embedding_file *file, uint64_t row, mr_embedding_row *out, mr_error *error)
{
    MR_TRY(check_range(file, row, 1, error));
    MR_TRY(fetch_window(file, row, error));
    const mr_block *block = &file->row_block;
    size_t i = (size_t)(row - file->window_first);
    uint8_t status = *(const uint8_t *)mr_block_fixed(block, STATUS, i);
    if (status >= MR_ROW_STATUS_COUNT) return mr_error_set(error, MR_BAD_INPUT, "%s: row %llu has the unknown status %u",
                                                           file->path, (unsigned long long)row, status);
    mr_embedding_row found = {
        .ordinal = row,
        .status = (mr_row_status)status,
        .id = mr_block_packed(block, ID, i),
        .error = mr_block_packed(block, ERROR, i),
        .text = file->schema.text ? mr_block_packed(block, file->schema.text - 1, i) : (mr_str){ "", 0 },
    };
    memcpy(&found.tokens, mr_block_fixed(block, TOKENS, i), sizeof found.tokens);
    if (file->schema.width) {
        memcpy(&found.width, mr_block_fixed(block, file->schema.width - 1, i), sizeof found.width);
        memcpy(&found.height, mr_block_fixed(block, file->schema.height - 1, i), sizeof found.height);
    }
    memcpy(&found.source_index, mr_block_fixed(block, SHARD, i), sizeof found.source_index);
    memcpy(&found.source_record, mr_block_fixed(block, RECORD, i), sizeof found.source_record);
    *out = found;
    return MR_OK;
}

static mr_status find_by_index(mr_embedding_file *file, mr_str id, uint64_t *row, mr_error *error)
{
    for (uint64_t at = 0;; at++) {
        uint64_t candidate;
        MR_TRY(mr_id_index_candidate(file->index, id, at, &candidate, error));
        MR_TRY(check_range(file, candidate, 1, error));
        MR_TRY(mr_table_reader_read_column(file->rows, ID, candidate, 1, &file->scan_block, error));
        if (!mr_str_equal(mr_block_packed(&file->scan_block, ID, 0), id)) continue;
        *row = candidate;
        return MR_OK;
    }
}

static mr_status find_by_scan(mr_embedding_file *file, mr_str id, uint64_t *row, mr_error *error)
{
    uint64_t rows = mr_embedding_file_rows(file);
    for (uint64_t first = 0; first < rows; first += SCAN_ROWS) {
        size_t count = rows - first < SCAN_ROWS ? (size_t)(rows - first) : SCAN_ROWS;
        MR_TRY(mr_table_reader_read_column(file->rows, ID, first, count, &file->scan_block, error));
        for (size_t i = 0; i < count; i++) {
            if (!mr_str_equal(mr_block_packed(&file->scan_block, ID, i), id)) continue;
            *row = first + i;
            return MR_OK;
        }
    }
    return MR_END;
}

mr_status mr_embedding_file_find(mr_embedding_file *file, mr_str id, uint64_t *row, mr_error *error)
{
    mr_status status = file->index ? find_by_index(file, id, row, error) : find_by_scan(file, id, row, error);
    if (status != MR_END) return status;
    return mr_error_set(error, MR_NO_INPUT, "%s has no row with the id \"%.*s\"", file->path, (int)(id.length < 200 ? id.length : 200), id.data);
}
