/* Columns of rows, in memory (a block) and as datasets of an HDF5 file. Private to io/.
 *
 * A fixed column is one dataset [rows] or [rows, width]; a packed one (byte strings) is two: NAME/bytes u8 and
 * NAME/offsets u64[rows + 1], row i being bytes[offsets[i] .. offsets[i + 1]). All little-endian. Every dataset carries an
 * attribute "sha256" over its values as stored in memory order. */
#ifndef MR_IO_TABLE_H
#define MR_IO_TABLE_H

#include "core/str.h"
#include "io/hdf5_file.h"
#include "io/virtual_rows.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian and written from memory as it is");

typedef enum mr_element { MR_ELEMENT_U8, MR_ELEMENT_I8, MR_ELEMENT_U32, MR_ELEMENT_U64, MR_ELEMENT_F16, MR_ELEMENT_F32 } mr_element;

size_t mr_element_bytes(mr_element element);
/* The HDF5 type in file and memory (little-endian both); H5Tclose it. */
hid_t mr_element_type(mr_element element);

typedef struct mr_column {
    const char *name;   /* path from the root without a slash in front */
    mr_element element; /* U8 when packed */
    size_t width;       /* elements a row; 0 makes the dataset one-dimensional */
    bool packed;
    bool contiguous;    /* plain bytes in the file; else chunks of 128 KiB, shuffled and deflated */
} mr_column;

#define MR_COLUMNS_MAX 12

size_t mr_column_row_bytes(const mr_column *column); /* of a fixed column */

/* ---- in memory ---- */

typedef struct mr_block {
    const mr_column *columns; /* borrowed */
    size_t column_count;
    size_t rows;
    struct {
        mr_buf bytes;
        mr_buf offsets; /* packed: u64[rows + 1], from 0 */
    } data[MR_COLUMNS_MAX];
} mr_block;

/* Out of memory: false. */
bool mr_block_init(mr_block *block, const mr_column *columns, size_t count);
void mr_block_fini(mr_block *block); /* fine on a zeroed one */
void mr_block_clear(mr_block *block);
/* One value for each column, then mr_block_end_row. False when out of memory: clear or abandon the block then. */
bool mr_block_put_fixed(mr_block *block, size_t column, const void *value);
bool mr_block_put_packed(mr_block *block, size_t column, mr_str value);
void mr_block_end_row(mr_block *block);

const void *mr_block_fixed(const mr_block *block, size_t column, size_t row);
mr_str mr_block_packed(const mr_block *block, size_t column, size_t row);

/* ---- in a file ---- */

typedef struct mr_table_writer mr_table_writer;

/* Where the rows of contiguous columns lie already; count 0: nowhere, they are written. */
typedef struct mr_table_origins {
    mr_virtual_origin *items;
    size_t count;
} mr_table_origins;

/* Makes the datasets; sizes are known beforehand: `packed_bytes` [count], 0 for fixed columns. With origins, contiguous
 * columns refer to them: their rows are appended all the same, for the checksum. */
mr_status mr_table_writer_create(hid_t file, const mr_column *columns, size_t count, uint64_t rows, const uint64_t *packed_bytes,
                                 mr_table_origins origins, mr_table_writer **out, mr_error *error);
mr_status mr_table_writer_append(mr_table_writer *writer, const mr_block *block, mr_error *error);
/* INTERNAL when not all rows came. */
mr_status mr_table_writer_finish(mr_table_writer *writer, mr_error *error);
void mr_table_writer_destroy(mr_table_writer *writer); /* NULL is fine */

typedef struct mr_table_reader mr_table_reader;

/* Checks that every column is there with the right type and shape; BAD_INPUT naming `path` and dataset otherwise.
 * `file`, `path` and `columns` are borrowed until close. */
mr_status mr_table_reader_open(hid_t file, const char *path, const mr_column *columns, size_t count, mr_table_reader **out, mr_error *error);
void mr_table_reader_close(mr_table_reader *reader); /* NULL is fine */
uint64_t mr_table_reader_rows(const mr_table_reader *reader);
/* Replaces the block's rows by rows [first, first + count), which must exist. */
mr_status mr_table_reader_read(mr_table_reader *reader, uint64_t first, size_t count, mr_block *block, mr_error *error);
/* One column only, the others stay empty. */
mr_status mr_table_reader_read_column(mr_table_reader *reader, size_t column, uint64_t first, size_t count, mr_block *block, mr_error *error);
/* Compares every dataset with its "sha256": BAD_INPUT naming the first that differs or has none. Reads it all. */
mr_status mr_table_reader_verify(mr_table_reader *reader, mr_error *error);
/* Bytes of a packed column in those rows. */
mr_status mr_table_reader_packed_bytes(mr_table_reader *reader, size_t column, uint64_t first, uint64_t count, uint64_t *bytes, mr_error *error);

#endif
