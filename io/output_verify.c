/* Is every row, count and checksum of an output right? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/id_index.h"
#include "io/output.h"
#include "io/output_name.h"
#include "io/part_list.h"
#include "io/vector_convert.h"

#define STEP_ROWS ((size_t)512)

typedef struct checking {
    const char *path;
    hid_t file;
    mr_embedding_schema schema;
    uint64_t sources;     /* number of input names */
    mr_part_facts facts;
    bool started;         /* shard and record are those of the row before */
    uint32_t shard;
    uint64_t record;
    uint64_t id_sum;      /* over (hash of id, row): what the index must add up to */
    float *vector;
} checking;

/* Adds up to the same for the same pairs in any order; splitmix64's finaliser keeps sums of different pairs apart. */
static uint64_t mix_pair(uint64_t hash, uint64_t row)
{
    uint64_t x = hash ^ (row + 1) * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

static bool is_finite(const float *vector, size_t dimension)
{
    for (size_t i = 0; i < dimension; i++)
        if (!isfinite(vector[i])) return false;
    return true;
}

/* Records of an input follow one another from 0 on, inputs in order: no row is missing, twice or in another's place. A part
 * may begin anywhere. */
static bool follows(checking *check, uint32_t shard, uint64_t record)
{
    bool same = check->started && shard == check->shard, next = !check->started || shard > check->shard;
    bool good = same ? record == check->record + 1 : next && (record == 0 || (!check->started && check->facts.first > 0));
    check->started = true;
    check->shard = shard;
    check->record = record;
    return good;
}

/* What is wrong with row i of the block; NULL when nothing. */
static const char *row_problem(checking *check, const mr_block *block, size_t i)
{
    const mr_embedding_schema *schema = &check->schema;
    uint8_t status = *(const uint8_t *)mr_block_fixed(block, MR_COLUMN_STATUS, i);
    mr_str id = mr_block_packed(block, MR_COLUMN_ID, i), reason = mr_block_packed(block, MR_COLUMN_ERROR, i);
    uint32_t shard;
    uint64_t record;
    float scale = 0.0f;
    memcpy(&shard, mr_block_fixed(block, MR_COLUMN_SHARD, i), sizeof shard);
    memcpy(&record, mr_block_fixed(block, MR_COLUMN_RECORD, i), sizeof record);
    if (schema->scale) memcpy(&scale, mr_block_fixed(block, schema->scale, i), sizeof scale);
    mr_vector_load(schema->dtype, mr_block_fixed(block, MR_COLUMN_EMBEDDING, i), scale, schema->dimension, check->vector);
    bool good = status == MR_ROW_OK || status == MR_ROW_TRUNCATED;
    if (status >= MR_ROW_STATUS_COUNT) return "has an unknown status";
    if (id.length == 0 || mr_utf8_check(id.data, id.length) != id.length) return "has no well-formed id";
    if (mr_utf8_check(reason.data, reason.length) != reason.length) return "has a reason that is not UTF-8";
    if (status == MR_ROW_FAILED && reason.length == 0) return "failed without a reason";
    if (good && reason.length) return "is good but has a reason to fail";
    if (good && !is_finite(check->vector, schema->dimension)) return "is good but its vector is not finite";
    if (shard >= check->sources) return "comes from an input that has no name";
    if (!follows(check, shard, record)) return "does not come from the record behind that of the row before";
    return NULL;
}

static mr_status check_rows(checking *check, mr_table_reader *reader, mr_error *error)
{
    mr_block block;
    uint64_t rows = mr_table_reader_rows(reader);
    mr_status status = MR_OK;
    if (!mr_block_init(&block, check->schema.columns, check->schema.count)) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate rows");
    for (uint64_t first = 0; status == MR_OK && first < rows; first += block.rows) {
        status = mr_table_reader_read(reader, first, rows - first < STEP_ROWS ? (size_t)(rows - first) : STEP_ROWS, &block, error);
        if (status != MR_OK) break;
        mr_part_facts_count(&check->facts, &block);
        for (size_t i = 0; status == MR_OK && i < block.rows; i++) {
            const char *problem = row_problem(check, &block, i);
            if (problem) status = mr_error_set(error, MR_BAD_INPUT, "%s: row %llu %s", check->path, (unsigned long long)(first + i), problem);
            else check->id_sum += mix_pair(mr_id_hash(mr_block_packed(&block, MR_COLUMN_ID, i)), first + i);
        }
    }
    mr_block_fini(&block);
    return status;
}

static mr_status check_number(const checking *check, const char *name, uint64_t expected, mr_error *error)
{
    char *text = mr_h5_get_text(check->file, name);
    bool equal = text && strtoull(text, NULL, 10) == expected;
    mr_status status = equal ? MR_OK : mr_error_set(error, MR_BAD_INPUT, "%s: the attribute %s is %s, the rows give %llu",
                                                    check->path, name, text ? text : "missing", (unsigned long long)expected);
    free(text);
    return status;
}

static mr_status check_counts(const checking *check, uint64_t rows, mr_error *error)
{
    MR_TRY(check_number(check, "first_ordinal", check->facts.first, error));
    MR_TRY(check_number(check, "end_ordinal", check->facts.first + rows, error));
    MR_TRY(check_number(check, "rows", rows, error));
    MR_TRY(check_number(check, "rows_ok", check->facts.by_status[MR_ROW_OK], error));
    MR_TRY(check_number(check, "rows_truncated", check->facts.by_status[MR_ROW_TRUNCATED], error));
    MR_TRY(check_number(check, "rows_failed", check->facts.by_status[MR_ROW_FAILED], error));
    return check_number(check, "rows_skipped", check->facts.by_status[MR_ROW_SKIPPED], error);
}

/* The index holds every (hash of id, row) once, hashes ascending. */
static mr_status check_index(const checking *check, uint64_t rows, mr_error *error)
{
    mr_id_index *index;
    uint64_t sum = 0, before = 0;
    MR_TRY(mr_id_index_open(check->file, check->path, rows, &index, error));
    if (!index) return mr_error_set(error, MR_BAD_INPUT, "%s has no index of ids", check->path);
    mr_status status = mr_id_index_verify(index, error);
    for (uint64_t i = 0; status == MR_OK && i < rows; i++) {
        uint64_t hash, row;
        status = mr_id_index_entry(index, i, &hash, &row, error);
        if (status == MR_OK && hash < before) status = mr_error_set(error, MR_BAD_INPUT, "%s: the index of ids is not in order at %llu",
                                                                    check->path, (unsigned long long)i);
        if (status == MR_OK) sum += mix_pair(hash, row);
        before = hash;
    }
    if (status == MR_OK && sum != check->id_sum) status = mr_error_set(error, MR_BAD_INPUT, "%s: the index of ids does not belong to its rows", check->path);
    mr_id_index_close(index);
    return status;
}

static mr_status check_source_names(checking *check, mr_error *error)
{
    mr_table_reader *reader;
    MR_TRY(mr_table_reader_open(check->file, check->path, &mr_source_files_column, 1, &reader, error));
    check->sources = mr_table_reader_rows(reader);
    mr_status status = mr_table_reader_verify(reader, error);
    mr_table_reader_close(reader);
    return status;
}

/* One file: the output, or a part that begins at `first`. */
static mr_status verify_file(const char *path, uint64_t first, bool output, mr_error *error)
{
    checking check = { .path = path, .facts = { .first = first } };
    mr_table_reader *reader = NULL;
    MR_TRY(output ? mr_h5_open(path, &check.file, error) : mr_h5_open_sealed(path, &check.file, error));
    mr_status status;
    MR_TRY_OR(status, mr_part_file_read_schema(check.file, path, &check.schema, error), done);
    check.vector = malloc(check.schema.dimension * sizeof *check.vector);
    if (!check.vector) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a vector");
        goto done;
    }
    MR_TRY_OR(status, mr_table_reader_open(check.file, path, check.schema.columns, check.schema.count, &reader, error), done);
    MR_TRY_OR(status, mr_table_reader_verify(reader, error), done);
    MR_TRY_OR(status, check_source_names(&check, error), done);
    MR_TRY_OR(status, check_rows(&check, reader, error), done);
    MR_TRY_OR(status, check_counts(&check, mr_table_reader_rows(reader), error), done);
    if (output) status = check_index(&check, mr_table_reader_rows(reader), error);
done:
    mr_table_reader_close(reader);
    free(check.vector);
    H5Fclose(check.file);
    return status;
}

static mr_status verify_parts(const char *path, mr_error *error)
{
    mr_part_list list = { 0 };
    mr_range *ranges = NULL;
    size_t count = 0;
    uint64_t rows = 0;
    char *parts = mr_strf("%s.parts", path);
    mr_status status = parts ? mr_part_list_scan(&list, parts, error) : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    if (status == MR_OK && list.count == 0) status = mr_error_set(error, MR_NO_INPUT, "there is neither %s nor a part of it in %s", path, parts);
    for (size_t i = 0; status == MR_OK && i < list.count; i++) status = verify_file(list.items[i].path, list.items[i].first, false, error);
    if (status == MR_OK) status = mr_part_list_ranges(&list, &ranges, &count, error);
    for (size_t i = 0; i < count; i++) rows += ranges[i].end - ranges[i].first;
    if (status == MR_OK) status = mr_error_set(error, MR_INCOMPLETE, "%s is not finished; its %zu parts with %llu records are sound",
                                               path, list.count, (unsigned long long)rows);
    free(ranges);
    mr_part_list_fini(&list);
    free(parts);
    return status;
}

mr_status mr_output_verify(const char *path, mr_error *error)
{
    if (!mr_path_exists(path)) return verify_parts(path, error);
    if (mr_output_name_is_json_lines(path)) return mr_error_set(error, MR_BAD_INPUT, "%s: JSON lines hold no checksums; verify is for HDF5 outputs", path);
    return verify_file(path, 0, true, error);
}
