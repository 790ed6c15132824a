#include "io/id_index.h"

#include <stdlib.h>
#include <string.h>

#include "core/pulse.h"

#define ENTRIES_PER_PASS ((uint64_t)1 << 20) /* 16 bytes each, and as many for qsort */
#define STEP_ROWS ((size_t)8192)

static const mr_column id_column = { .name = "id", .element = MR_ELEMENT_U8, .packed = true };
static const mr_column index_columns[] = {
    { .name = "id/index/hash", .element = MR_ELEMENT_U64, .contiguous = true }, /* hashes do not compress */
    { .name = "id/index/row", .element = MR_ELEMENT_U64, .contiguous = true },
};

typedef struct index_entry {
    uint64_t hash, row;
} index_entry;

struct mr_id_index {
    mr_table_reader *reader;
    mr_block block, run; /* one number; STEP_ROWS entries from run_first */
    uint64_t run_first;
    uint64_t found_hash, found_at; /* the last search */
    bool found;
};

uint64_t mr_id_hash(mr_str id)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < id.length; i++) hash = (hash ^ (unsigned char)id.data[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static int by_hash_then_row(const void *a, const void *b)
{
    const index_entry *one = a, *other = b;
    if (one->hash != other->hash) return one->hash < other->hash ? -1 : 1;
    return (one->row > other->row) - (one->row < other->row);
}

/* All ids with first <= hash <= last -> entries, unsorted. */
static mr_status collect(mr_table_reader *ids, mr_block *block, uint64_t first, uint64_t last, mr_buf *entries, mr_error *error)
{
    uint64_t rows = mr_table_reader_rows(ids);
    entries->length = 0;
    for (uint64_t at = 0; at < rows; at += STEP_ROWS) {
        mr_pulse_beat();
        size_t count = rows - at < STEP_ROWS ? (size_t)(rows - at) : STEP_ROWS;
        MR_TRY(mr_table_reader_read(ids, at, count, block, error));
        for (size_t i = 0; i < count; i++) {
            const index_entry entry = { mr_id_hash(mr_block_packed(block, 0, i)), at + i };
            if (entry.hash < first || entry.hash > last) continue;
            if (!mr_buf_append(entries, &entry, sizeof entry)) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the index of ids");
        }
    }
    return MR_OK;
}

static mr_status append(mr_table_writer *writer, mr_block *block, const index_entry *entries, size_t count, mr_error *error)
{
    for (size_t at = 0; at < count;) {
        mr_block_clear(block);
        for (; at < count && block->rows < STEP_ROWS; at++) {
            if (!mr_block_put_fixed(block, 0, &entries[at].hash) || !mr_block_put_fixed(block, 1, &entries[at].row))
                return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the index of ids");
            mr_block_end_row(block);
        }
        MR_TRY(mr_table_writer_append(writer, block, error));
    }
    return MR_OK;
}

mr_status mr_id_index_write(hid_t file, const char *path, mr_error *error)
{
    mr_table_reader *ids = NULL;
    mr_table_writer *writer = NULL;
    mr_block id_block = { 0 }, index_block = { 0 };
    mr_buf entries = { 0 };
    const uint64_t none[2] = { 0, 0 };
    mr_status status;
    MR_TRY_OR(status, mr_table_reader_open(file, path, &id_column, 1, &ids, error), done);
    uint64_t rows = mr_table_reader_rows(ids), passes = rows / ENTRIES_PER_PASS + 1, width = UINT64_MAX / passes;
    MR_TRY_OR(status, mr_table_writer_create(file, index_columns, 2, rows, none, (mr_table_origins){ 0 }, &writer, error), done);
    if (!mr_block_init(&id_block, &id_column, 1) || !mr_block_init(&index_block, index_columns, 2)) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the index of ids");
        goto done;
    }
    if (!mr_buf_reserve(&entries, (size_t)(rows / passes + rows / passes / 16) * sizeof(index_entry))) { /* hashes are even: it will hardly grow */
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the index of ids");
        goto done;
    }
    for (uint64_t pass = 0; status == MR_OK && pass < passes; pass++) {
        uint64_t first = pass * width + (pass > 0), last = pass + 1 == passes ? UINT64_MAX : (pass + 1) * width;
        MR_TRY_OR(status, collect(ids, &id_block, first, last, &entries, error), done);
        size_t count = entries.length / sizeof(index_entry);
        if (count) qsort(entries.data, count, sizeof(index_entry), by_hash_then_row);
        status = append(writer, &index_block, (const index_entry *)(const void *)entries.data, count, error);
    }
    if (status == MR_OK) status = mr_table_writer_finish(writer, error);
done:
    mr_buf_fini(&entries);
    mr_block_fini(&id_block);
    mr_block_fini(&index_block);
    mr_table_writer_destroy(writer);
    mr_table_reader_close(ids);
    return status;
}

mr_status mr_id_index_open(hid_t file, const char *path, uint64_t rows, mr_id_index **out, mr_error *error)
{
    *out = NULL;
    if (H5Lexists(file, "id/index", H5P_DEFAULT) <= 0) {
        H5Eclear2(H5E_DEFAULT);
        return MR_OK;
    }
    mr_id_index *index = calloc(1, sizeof *index);
    if (!index) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", path);
    mr_status status = mr_table_reader_open(file, path, index_columns, 2, &index->reader, error);
    if (status == MR_OK && mr_table_reader_rows(index->reader) != rows)
        status = mr_error_set(error, MR_BAD_INPUT, "%s: the index of ids does not have a row for each row", path);
    if (status == MR_OK && !(mr_block_init(&index->block, index_columns, 2) && mr_block_init(&index->run, index_columns, 2)))
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", path);
    if (status == MR_OK) *out = index;
    else mr_id_index_close(index);
    return status;
}

void mr_id_index_close(mr_id_index *index)
{
    if (!index) return;
    mr_table_reader_close(index->reader);
    mr_block_fini(&index->block);
    mr_block_fini(&index->run);
    free(index);
}

static mr_status read_number(mr_id_index *index, size_t column, uint64_t at, uint64_t *value, mr_error *error)
{
    MR_TRY(mr_table_reader_read_column(index->reader, column, at, 1, &index->block, error));
    memcpy(value, mr_block_fixed(&index->block, column, 0), sizeof *value);
    return MR_OK;
}

/* The first position whose hash is not below. */
static mr_status search(mr_id_index *index, uint64_t hash, mr_error *error)
{
    uint64_t low = 0, high = mr_table_reader_rows(index->reader);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2, value;
        MR_TRY(read_number(index, 0, middle, &value, error));
        if (value < hash) low = middle + 1;
        else high = middle;
    }
    index->found_hash = hash;
    index->found_at = low;
    index->found = true;
    return MR_OK;
}

mr_status mr_id_index_candidate(mr_id_index *index, mr_str id, uint64_t at, uint64_t *row, mr_error *error)
{
    uint64_t hash = mr_id_hash(id), stored;
    if (!index->found || index->found_hash != hash) MR_TRY(search(index, hash, error));
    if (at >= mr_table_reader_rows(index->reader) - index->found_at) return MR_END;
    MR_TRY(read_number(index, 0, index->found_at + at, &stored, error));
    if (stored != hash) return MR_END;
    return read_number(index, 1, index->found_at + at, row, error);
}

mr_status mr_id_index_verify(mr_id_index *index, mr_error *error)
{
    return mr_table_reader_verify(index->reader, error);
}

mr_status mr_id_index_entry(mr_id_index *index, uint64_t at, uint64_t *hash, uint64_t *row, mr_error *error)
{
    if (at < index->run_first || at - index->run_first >= index->run.rows) {
        uint64_t rest = mr_table_reader_rows(index->reader) - at;
        MR_TRY(mr_table_reader_read(index->reader, at, rest < STEP_ROWS ? (size_t)rest : STEP_ROWS, &index->run, error));
        index->run_first = at;
    }
    memcpy(hash, mr_block_fixed(&index->run, 0, (size_t)(at - index->run_first)), sizeof *hash);
    memcpy(row, mr_block_fixed(&index->run, 1, (size_t)(at - index->run_first)), sizeof *row);
    return MR_OK;
}
