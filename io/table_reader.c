#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/pulse.h"
#include "io/table.h"

#define READ_LIMIT ((uint64_t)1 << 30) /* one read never takes more: a packed range that claims to be longer is damage */

typedef struct dataset {
    hid_t id; /* 0: not open */
    mr_element element;
    hsize_t width, rows;
} dataset;

typedef struct column_sets {
    dataset values, offsets;
} column_sets;

struct mr_table_reader {
    const char *path;
    const mr_column *columns;
    size_t count;
    uint64_t rows;
    column_sets sets[MR_COLUMNS_MAX];
};

static bool has_type(hid_t set, mr_element element)
{
    hid_t stored = H5Dget_type(set), expected = mr_element_type(element);
    bool equal = H5Tequal(stored, expected) > 0;
    if (stored >= 0) H5Tclose(stored);
    H5Tclose(expected);
    return equal;
}

/* Values kept outside the file would make reading it open paths that somebody else chose; virtual ones are checked. */
static bool is_self_contained(hid_t set)
{
    hid_t creation = H5Dget_create_plist(set);
    bool good = creation >= 0 && H5Pget_external_count(creation) == 0;
    if (creation >= 0) H5Pclose(creation);
    return good;
}

static bool read_shape(hid_t set, hsize_t width, hsize_t *rows)
{
    hid_t space = H5Dget_space(set);
    hsize_t dimensions[2] = { 0, 0 };
    int rank = width ? 2 : 1;
    bool good = space >= 0 && H5Sget_simple_extent_ndims(space) == rank && H5Sget_simple_extent_dims(space, dimensions, NULL) == rank && dimensions[1] == width;
    if (space >= 0) H5Sclose(space);
    *rows = dimensions[0];
    return good;
}

static mr_status open_dataset(hid_t file, const char *path, const char *name, mr_element element, hsize_t width, dataset *set, mr_error *error)
{
    hid_t id = H5Dopen2(file, name, H5P_DEFAULT);
    if (id < 0) return mr_h5_error(error, MR_BAD_INPUT, "%s: no dataset %s", path, name);
    *set = (dataset){ .id = id, .element = element, .width = width };
    if (!is_self_contained(id)) return mr_error_set(error, MR_BAD_INPUT, "%s: the dataset %s keeps its values in other files", path, name);
    if (!has_type(id, element) || !read_shape(id, width, &set->rows)) return mr_error_set(error, MR_BAD_INPUT,
                                                                                          "%s: the dataset %s has another type or shape than expected", path, name);
    if (!mr_virtual_is(id)) return MR_OK;
    if (width == 0) return mr_error_set(error, MR_BAD_INPUT, "%s: the dataset %s keeps its values in other files", path, name);
    return mr_virtual_check(id, path, set->rows, width, mr_element_bytes(element), error);
}

/* A contiguous dataset has its bytes in the file: this bounds every count by the file's size. */
static mr_status check_stored(const dataset *set, const char *path, const mr_column *column, mr_error *error)
{
    size_t bytes;
    if (!column->contiguous || mr_virtual_is(set->id)) return MR_OK;
    if (mr_checked_mul((size_t)set->rows, mr_column_row_bytes(column), &bytes) && H5Dget_storage_size(set->id) >= bytes) return MR_OK;
    return mr_error_set(error, MR_BAD_INPUT, "%s: the dataset %s claims more rows than are stored", path, column->name);
}

static mr_status open_column(hid_t file, mr_table_reader *reader, size_t i, mr_error *error)
{
    const mr_column *column = &reader->columns[i];
    column_sets *sets = &reader->sets[i];
    char name[128];
    snprintf(name, sizeof name, column->packed ? "%s/bytes" : "%s", column->name);
    MR_TRY(open_dataset(file, reader->path, name, column->element, column->width, &sets->values, error));
    MR_TRY(check_stored(&sets->values, reader->path, column, error));
    uint64_t rows = sets->values.rows;
    if (column->packed) {
        snprintf(name, sizeof name, "%s/offsets", column->name);
        MR_TRY(open_dataset(file, reader->path, name, MR_ELEMENT_U64, 0, &sets->offsets, error));
        rows = sets->offsets.rows - 1; /* wraps when empty: never equal */
    }
    if (i == 0) reader->rows = rows;
    if (rows != reader->rows) return mr_error_set(error, MR_BAD_INPUT, "%s: %s has %llu rows, %s has %llu", reader->path, column->name,
                                                  (unsigned long long)rows, reader->columns[0].name, (unsigned long long)reader->rows);
    return MR_OK;
}

mr_status mr_table_reader_open(hid_t file, const char *path, const mr_column *columns, size_t count, mr_table_reader **out, mr_error *error)
{
    mr_table_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", path);
    reader->path = path;
    reader->columns = columns;
    reader->count = count;
    mr_status status = MR_OK;
    for (size_t i = 0; status == MR_OK && i < count; i++) status = open_column(file, reader, i, error);
    if (status == MR_OK) *out = reader;
    else mr_table_reader_close(reader);
    return status;
}

void mr_table_reader_close(mr_table_reader *reader)
{
    if (!reader) return;
    for (size_t i = 0; i < reader->count; i++) {
        if (reader->sets[i].values.id > 0) H5Dclose(reader->sets[i].values.id);
        if (reader->sets[i].offsets.id > 0) H5Dclose(reader->sets[i].offsets.id);
    }
    free(reader);
}

uint64_t mr_table_reader_rows(const mr_table_reader *reader)
{
    return reader->rows;
}

/* Appends `count` rows from `first` on to the buffer. */
static mr_status read_rows(const mr_table_reader *reader, const dataset *set, uint64_t first, uint64_t count, mr_buf *out, mr_error *error)
{
    if (count == 0) return MR_OK;
    uint64_t row_bytes = mr_element_bytes(set->element) * (set->width ? set->width : 1);
    if (first > set->rows || count > set->rows - first || count > READ_LIMIT / row_bytes)
        return mr_error_set(error, MR_BAD_INPUT, "%s: rows %llu and on are not there", reader->path, (unsigned long long)first);
    if (!mr_buf_reserve(out, (size_t)(count * row_bytes))) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate %llu rows",
                                                                               reader->path, (unsigned long long)count);
    const hsize_t start[2] = { first, 0 }, size[2] = { count, set->width };
    hid_t memory = H5Screate_simple(set->width ? 2 : 1, size, NULL);
    hid_t space = H5Dget_space(set->id);
    hid_t type = mr_element_type(set->element);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL);
    herr_t done = H5Dread(set->id, type, memory, space, H5P_DEFAULT, out->data + out->length);
    H5Tclose(type);
    H5Sclose(space);
    H5Sclose(memory);
    if (done < 0) return mr_h5_error(error, MR_IO, "%s: cannot read rows %llu and on", reader->path, (unsigned long long)first);
    out->length += (size_t)(count * row_bytes);
    return MR_OK;
}

/* Offsets of the rows, made to start at 0; their bytes. */
static mr_status read_packed(mr_table_reader *reader, size_t column, uint64_t first, size_t count, mr_block *block, mr_error *error)
{
    const column_sets *sets = &reader->sets[column];
    mr_buf *buffer = &block->data[column].offsets;
    buffer->length = 0;
    MR_TRY(read_rows(reader, &sets->offsets, first, (uint64_t)count + 1, buffer, error));
    uint64_t *offsets = (uint64_t *)(void *)buffer->data; /* malloc'ed, so aligned */
    uint64_t base = offsets[0];
    for (size_t i = 0; i < count; i++)
        if (offsets[i] > offsets[i + 1]) return mr_error_set(error, MR_BAD_INPUT, "%s: %s/offsets descends at row %llu",
                                                             reader->path, reader->columns[column].name, (unsigned long long)(first + i));
    if (offsets[count] > sets->values.rows) return mr_error_set(error, MR_BAD_INPUT, "%s: %s/offsets points behind %s/bytes",
                                                                reader->path, reader->columns[column].name, reader->columns[column].name);
    MR_TRY(read_rows(reader, &sets->values, base, offsets[count] - base, &block->data[column].bytes, error));
    for (size_t i = 0; i <= count; i++) offsets[i] -= base;
    return MR_OK;
}

static mr_status read_column(mr_table_reader *reader, size_t column, uint64_t first, size_t count, mr_block *block, mr_error *error)
{
    if (reader->columns[column].packed) return read_packed(reader, column, first, count, block, error);
    return read_rows(reader, &reader->sets[column].values, first, count, &block->data[column].bytes, error);
}

mr_status mr_table_reader_read_column(mr_table_reader *reader, size_t column, uint64_t first, size_t count, mr_block *block, mr_error *error)
{
    mr_block_clear(block);
    mr_status status = read_column(reader, column, first, count, block, error);
    if (status == MR_OK) block->rows = count;
    else mr_block_clear(block);
    return status;
}

mr_status mr_table_reader_read(mr_table_reader *reader, uint64_t first, size_t count, mr_block *block, mr_error *error)
{
    mr_block_clear(block);
    mr_status status = MR_OK;
    for (size_t i = 0; status == MR_OK && i < reader->count; i++) status = read_column(reader, i, first, count, block, error);
    if (status == MR_OK) block->rows = count;
    else mr_block_clear(block);
    return status;
}

mr_status mr_table_reader_packed_bytes(mr_table_reader *reader, size_t column, uint64_t first, uint64_t count, uint64_t *bytes, mr_error *error)
{
    mr_buf ends = { 0 };
    mr_status status = read_rows(reader, &reader->sets[column].offsets, first, 1, &ends, error);
    if (status == MR_OK) status = read_rows(reader, &reader->sets[column].offsets, first + count, 1, &ends, error);
    uint64_t range[2];
    if (status == MR_OK) {
        memcpy(range, ends.data, sizeof range);
        if (range[0] > range[1] || range[1] > reader->sets[column].values.rows)
            status = mr_error_set(error, MR_BAD_INPUT, "%s: %s/offsets is damaged", reader->path, reader->columns[column].name);
        else *bytes = range[1] - range[0];
    }
    mr_buf_fini(&ends);
    return status;
}

#define VERIFY_BYTES ((uint64_t)4 << 20)

static mr_status verify_dataset(const mr_table_reader *reader, const dataset *set, const char *name, const char *part,
                                EVP_MD_CTX *hash, mr_buf *buffer, mr_error *error)
{
    uint64_t row_bytes = mr_element_bytes(set->element) * (set->width ? set->width : 1);
    uint64_t step = VERIFY_BYTES / row_bytes ? VERIFY_BYTES / row_bytes : 1;
    EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    for (uint64_t at = 0; at < set->rows; at += step) {
        buffer->length = 0;
        MR_TRY(read_rows(reader, set, at, step < set->rows - at ? step : set->rows - at, buffer, error));
        EVP_DigestUpdate(hash, buffer->data, buffer->length);
        mr_pulse_beat();
    }
    unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };
    char hex[65];
    EVP_DigestFinal_ex(hash, digest, NULL);
    for (size_t i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    char *stored = mr_h5_get_text(set->id, "sha256");
    bool equal = stored && strcmp(stored, hex) == 0;
    bool absent = !stored;
    free(stored);
    if (equal) return MR_OK;
    return mr_error_set(error, MR_BAD_INPUT, "%s: the dataset %s%s %s", reader->path, name, part, absent ? "has no checksum" : "does not match its checksum");
}

mr_status mr_table_reader_verify(mr_table_reader *reader, mr_error *error)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (!hash) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a checksum", reader->path);
    mr_buf buffer = { 0 };
    mr_status status = MR_OK;
    for (size_t i = 0; status == MR_OK && i < reader->count; i++) {
        const mr_column *column = &reader->columns[i];
        status = verify_dataset(reader, &reader->sets[i].values, column->name, column->packed ? "/bytes" : "", hash, &buffer, error);
        if (status == MR_OK && column->packed) status = verify_dataset(reader, &reader->sets[i].offsets, column->name, "/offsets", hash, &buffer, error);
    }
    mr_buf_fini(&buffer);
    EVP_MD_CTX_free(hash);
    return status;
}
