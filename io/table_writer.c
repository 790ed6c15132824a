#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/table.h"

#define CHUNK_BYTES 131072 /* a few ms to inflate, large enough to compress; fits libhdf5's 1 MiB chunk cache */
#define DEFLATE_LEVEL 4    /* ids and offsets: higher levels gain under 3 % */

typedef struct dataset {
    hid_t id;
    mr_element element;
    hsize_t width; /* 0: one-dimensional */
    hsize_t rows, at;
    bool is_virtual; /* nothing is written */
    EVP_MD_CTX *hash;
} dataset;

typedef struct column_sets {
    dataset values, offsets; /* offsets: packed columns only */
} column_sets;

struct mr_table_writer {
    const mr_column *columns;
    size_t count;
    uint64_t rows;
    uint64_t packed_at[MR_COLUMNS_MAX]; /* bytes written so far */
    column_sets sets[MR_COLUMNS_MAX];
};

hid_t mr_element_type(mr_element element)
{
    switch (element) {
    case MR_ELEMENT_U8: return H5Tcopy(H5T_STD_U8LE);
    case MR_ELEMENT_I8: return H5Tcopy(H5T_STD_I8LE);
    case MR_ELEMENT_U32: return H5Tcopy(H5T_STD_U32LE);
    case MR_ELEMENT_U64: return H5Tcopy(H5T_STD_U64LE);
    case MR_ELEMENT_F32: return H5Tcopy(H5T_IEEE_F32LE);
    case MR_ELEMENT_F16: break;
    }
    hid_t half = H5Tcopy(H5T_IEEE_F32LE); /* IEEE binary16: sign bit 15, exponent 5 bits at 10, fraction 10 bits at 0 */
    H5Tset_fields(half, 15, 10, 5, 0, 10);
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    return half;
}

static hid_t creation_properties(hsize_t rows, const dataset *set, bool contiguous)
{
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(properties, false); /* the same rows make the same bytes */
    size_t row_bytes = mr_element_bytes(set->element) * (size_t)(set->width ? set->width : 1);
    if (contiguous || rows == 0) return properties;
    hsize_t chunk[2] = { CHUNK_BYTES / row_bytes ? CHUNK_BYTES / row_bytes : 1, set->width };
    if (chunk[0] > rows) chunk[0] = rows;
    H5Pset_chunk(properties, set->width ? 2 : 1, chunk);
    H5Pset_shuffle(properties);
    H5Pset_deflate(properties, DEFLATE_LEVEL);
    return properties;
}

/* What HDF5 gives for a source that is gone. */
static void set_fill(hid_t creation, mr_element element, hid_t type)
{
    const uint32_t f32_nan = UINT32_C(0x7FC00000);
    const uint16_t f16_nan = 0x7E00;
    if (element == MR_ELEMENT_F32) H5Pset_fill_value(creation, type, &f32_nan);
    if (element == MR_ELEMENT_F16) H5Pset_fill_value(creation, type, &f16_nan);
}

static mr_status create_dataset(hid_t file, const char *name, mr_element element, hsize_t width, hsize_t rows, bool contiguous,
                                mr_table_origins origins, dataset *set, mr_error *error)
{
    *set = (dataset){ .id = H5I_INVALID_HID, .element = element, .width = width, .rows = rows, .is_virtual = origins.count > 0 };
    set->hash = EVP_MD_CTX_new();
    if (!set->hash || !EVP_DigestInit_ex(set->hash, EVP_sha256(), NULL)) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a checksum");
    const hsize_t dimensions[2] = { rows, width };
    hid_t space = H5Screate_simple(width ? 2 : 1, dimensions, NULL);
    hid_t type = mr_element_type(element);
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    hid_t creation = creation_properties(rows, set, contiguous);
    mr_status status = MR_OK;
    H5Pset_create_intermediate_group(links, 1);
    if (set->is_virtual) {
        set_fill(creation, element, type);
        status = mr_virtual_map(creation, name, origins.items, origins.count, rows, width, error);
    }
    if (status == MR_OK) set->id = H5Dcreate2(file, name, type, space, links, creation, H5P_DEFAULT);
    H5Pclose(creation);
    H5Pclose(links);
    H5Tclose(type);
    H5Sclose(space);
    if (status != MR_OK) return status;
    return set->id >= 0 ? MR_OK : mr_h5_error(error, MR_IO, "cannot make the dataset %s", name);
}

static mr_status write_values(const dataset *set, const void *data, hsize_t count, mr_error *error)
{
    const hsize_t start[2] = { set->at, 0 }, size[2] = { count, set->width };
    int rank = set->width ? 2 : 1;
    hid_t memory = H5Screate_simple(rank, size, NULL);
    hid_t space = H5Dget_space(set->id);
    hid_t type = mr_element_type(set->element);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL);
    herr_t done = H5Dwrite(set->id, type, memory, space, H5P_DEFAULT, data);
    H5Tclose(type);
    H5Sclose(space);
    H5Sclose(memory);
    return done < 0 ? mr_h5_error(error, MR_IO, "cannot write rows") : MR_OK;
}

static mr_status write_rows(dataset *set, const void *data, hsize_t count, mr_error *error)
{
    if (count == 0) return MR_OK;
    if (count > set->rows - set->at) return mr_error_set(error, MR_INTERNAL, "more rows than announced");
    if (!set->is_virtual) MR_TRY(write_values(set, data, count, error));
    set->at += count;
    EVP_DigestUpdate(set->hash, data, (size_t)count * mr_element_bytes(set->element) * (size_t)(set->width ? set->width : 1));
    return MR_OK;
}

mr_status mr_table_writer_create(hid_t file, const mr_column *columns, size_t count, uint64_t rows, const uint64_t *packed_bytes,
                                 mr_table_origins origins, mr_table_writer **out, mr_error *error)
{
    const mr_table_origins none = { 0 };
    mr_table_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a table");
    writer->columns = columns;
    writer->rows = rows;
    mr_status status = MR_OK;
    const uint64_t zero = 0;
    for (size_t i = 0; status == MR_OK && i < count; i++) {
        const mr_column *column = &columns[i];
        column_sets *sets = &writer->sets[writer->count++];
        char name[128];
        snprintf(name, sizeof name, column->packed ? "%s/bytes" : "%s", column->name);
        status = create_dataset(file, name, column->element, column->width, column->packed ? packed_bytes[i] : rows, column->contiguous,
                                column->contiguous ? origins : none, &sets->values, error);
        if (status != MR_OK || !column->packed) continue;
        snprintf(name, sizeof name, "%s/offsets", column->name);
        status = create_dataset(file, name, MR_ELEMENT_U64, 0, rows + 1, false, none, &sets->offsets, error);
        if (status == MR_OK) status = write_rows(&sets->offsets, &zero, 1, error);
    }
    if (status == MR_OK) *out = writer;
    else mr_table_writer_destroy(writer);
    return status;
}

/* The block's offsets start at 0; in the file they go on from the rows before. */
static mr_status append_packed(mr_table_writer *writer, size_t column, const mr_block *block, mr_error *error)
{
    column_sets *sets = &writer->sets[column];
    const mr_buf *bytes = &block->data[column].bytes;
    MR_TRY(write_rows(&sets->values, bytes->data, bytes->length, error));
    uint64_t *offsets = malloc((block->rows + 1) * sizeof *offsets);
    if (!offsets) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate offsets");
    memcpy(offsets, block->data[column].offsets.data, (block->rows + 1) * sizeof *offsets);
    for (size_t i = 0; i <= block->rows; i++) offsets[i] += writer->packed_at[column];
    mr_status status = write_rows(&sets->offsets, offsets + 1, block->rows, error);
    free(offsets);
    writer->packed_at[column] += bytes->length;
    return status;
}

mr_status mr_table_writer_append(mr_table_writer *writer, const mr_block *block, mr_error *error)
{
    for (size_t i = 0; i < writer->count; i++) {
        if (writer->columns[i].packed) MR_TRY(append_packed(writer, i, block, error));
        else MR_TRY(write_rows(&writer->sets[i].values, block->data[i].bytes.data, block->rows, error));
    }
    return MR_OK;
}

static mr_status finish_dataset(dataset *set, mr_error *error)
{
    if (set->id < 0 || !set->hash) return MR_OK;
    if (set->at != set->rows) return mr_error_set(error, MR_INTERNAL, "fewer rows than announced");
    unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };
    char hex[65];
    EVP_DigestFinal_ex(set->hash, digest, NULL);
    for (size_t i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return mr_h5_put_text(set->id, "sha256", hex, error);
}

mr_status mr_table_writer_finish(mr_table_writer *writer, mr_error *error)
{
    for (size_t i = 0; i < writer->count; i++) {
        MR_TRY(finish_dataset(&writer->sets[i].values, error));
        if (writer->columns[i].packed) MR_TRY(finish_dataset(&writer->sets[i].offsets, error));
    }
    return MR_OK;
}

static void close_dataset(dataset *set)
{
    if (set->hash && set->id >= 0) H5Dclose(set->id);
    EVP_MD_CTX_free(set->hash);
}

void mr_table_writer_destroy(mr_table_writer *writer)
{
    if (!writer) return;
    for (size_t i = 0; i < writer->count; i++) {
        close_dataset(&writer->sets[i].values);
        close_dataset(&writer->sets[i].offsets);
    }
    free(writer);
}
