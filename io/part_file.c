#include "io/part_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/vector_convert.h"

#define SCHEMA_NAME "millrace-embedding"

/* What mr_part_file_describe writes anew in every file, then what identifies the job. */
static const char *const file_names[] = { "first_ordinal", "end_ordinal", "rows", "rows_ok", "rows_truncated", "rows_failed", "rows_skipped", "written_utc" };
static const char *const job_names[] = { "schema", "schema_version", "dtype", "dimension", "fingerprint", "job" };

static bool is_in(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static bool is_of_file(const char *name)
{
    return is_in(name, file_names, sizeof file_names / sizeof *file_names);
}

bool mr_attribute_is_reserved(const char *name)
{
    return is_of_file(name) || is_in(name, job_names, sizeof job_names / sizeof *job_names);
}

/* Root attributes of a part: the job's own, then what identifies job and schema. */
static mr_status put_job(hid_t file, const mr_sink_options *options, const mr_embedding_schema *schema, mr_error *error)
{
    MR_TRY(mr_h5_put_text(file, "schema", SCHEMA_NAME, error));
    MR_TRY(mr_h5_put_number(file, "schema_version", MR_SCHEMA_VERSION, error));
    MR_TRY(mr_h5_put_text(file, "dtype", mr_vector_dtype_name(schema->dtype), error));
    MR_TRY(mr_h5_put_number(file, "dimension", schema->dimension, error));
    for (size_t i = 0; i < options->attribute_count; i++) MR_TRY(mr_h5_put_text(file, options->attributes[i].name, options->attributes[i].value, error));
    MR_TRY(mr_h5_put_text(file, "fingerprint", options->fingerprint, error));
    return mr_h5_put_text(file, "job", options->job_text, error);
}

typedef struct copying {
    hid_t to;
    const char *fingerprint, *job_text; /* NULL: as they are */
    mr_status status;
    mr_error *error;
} copying;

static bool copy_attribute(void *context, const char *name, const char *value)
{
    copying *copy = context;
    if (is_of_file(name)) return true;
    if (copy->fingerprint && strcmp(name, "fingerprint") == 0) value = copy->fingerprint;
    if (copy->job_text && strcmp(name, "job") == 0) value = copy->job_text;
    bool number = strcmp(name, "schema_version") == 0 || strcmp(name, "dimension") == 0;
    copy->status = number ? mr_h5_put_number(copy->to, name, strtoull(value, NULL, 10), copy->error) : mr_h5_put_text(copy->to, name, value, copy->error);
    return copy->status == MR_OK;
}

mr_status mr_part_file_copy_job(hid_t from, hid_t to, const char *fingerprint, const char *job_text, mr_error *error)
{
    copying copy = { .to = to, .fingerprint = fingerprint, .job_text = job_text, .error = error };
    mr_h5_each_attribute(from, copy_attribute, &copy);
    return copy.status;
}

mr_status mr_part_file_describe(hid_t file, const mr_part_facts *facts, mr_error *error)
{
    const uint64_t values[] = { facts->first, facts->end, facts->end - facts->first, facts->by_status[MR_ROW_OK], facts->by_status[MR_ROW_TRUNCATED],
                                facts->by_status[MR_ROW_FAILED], facts->by_status[MR_ROW_SKIPPED] };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) MR_TRY(mr_h5_put_number(file, file_names[i], values[i], error));
    char now[32];
    time_t seconds = time(NULL);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return mr_h5_put_text(file, "written_utc", now, error);
}

void mr_part_facts_count(mr_part_facts *facts, const mr_block *block)
{
    for (size_t i = 0; i < block->rows; i++) {
        uint8_t status = *(const uint8_t *)mr_block_fixed(block, MR_COLUMN_STATUS, i);
        if (status < MR_ROW_STATUS_COUNT) facts->by_status[status]++;
    }
}

mr_status mr_part_file_write_table(hid_t file, const mr_column *columns, size_t count, const mr_block *block, mr_error *error)
{
    uint64_t packed[MR_COLUMNS_MAX] = { 0 };
    for (size_t i = 0; i < count; i++)
        if (columns[i].packed) packed[i] = block->data[i].bytes.length;
    mr_table_writer *writer;
    MR_TRY(mr_table_writer_create(file, columns, count, block->rows, packed, (mr_table_origins){ 0 }, &writer, error));
    mr_status status = mr_table_writer_append(writer, block, error);
    if (status == MR_OK) status = mr_table_writer_finish(writer, error);
    mr_table_writer_destroy(writer);
    return status;
}

static mr_status write_source_names(hid_t file, const mr_sink_options *options, mr_error *error)
{
    mr_block names;
    bool good = mr_block_init(&names, &mr_source_files_column, 1);
    for (size_t i = 0; good && i < options->source_count; i++) {
        good = mr_block_put_packed(&names, 0, mr_str_of(options->source_names[i]));
        mr_block_end_row(&names);
    }
    mr_status status = MR_OUT_OF_MEMORY;
    if (good) status = mr_part_file_write_table(file, &mr_source_files_column, 1, &names, error);
    else mr_error_set(error, status, "cannot allocate the names of inputs");
    mr_block_fini(&names);
    return status;
}

mr_status mr_part_file_write(const char *path, const mr_sink_options *options, const mr_embedding_schema *schema,
                             const mr_block *block, uint64_t first, mr_error *error)
{
    mr_h5_output *output;
    mr_part_facts facts = { .first = first, .end = first + block->rows };
    mr_part_facts_count(&facts, block);
    MR_TRY(mr_h5_output_create(path, &output, error));
    hid_t file = mr_h5_output_id(output);
    mr_status status = put_job(file, options, schema, error);
    if (status == MR_OK) status = mr_part_file_describe(file, &facts, error);
    if (status == MR_OK) status = mr_part_file_write_table(file, schema->columns, schema->count, block, error);
    if (status == MR_OK) status = write_source_names(file, options, error);
    if (status == MR_OK) return mr_h5_output_close(output, error);
    mr_status cause = mr_h5_output_check(output, error); /* a failed write is why libhdf5 complained */
    mr_h5_output_abandon(output);
    return cause != MR_OK ? cause : status;
}

static bool read_dtype(const char *name, mr_vector_dtype *dtype)
{
    for (int i = MR_VECTOR_F32; i <= MR_VECTOR_BINARY; i++) {
        if (strcmp(name, mr_vector_dtype_name((mr_vector_dtype)i)) != 0) continue;
        *dtype = (mr_vector_dtype)i;
        return true;
    }
    return false;
}

#define MAX_DIMENSION (1u << 20)

mr_status mr_part_file_read_schema(hid_t file, const char *path, mr_embedding_schema *schema, mr_error *error)
{
    mr_status status = MR_BAD_INPUT;
    char *name = mr_h5_get_text(file, "schema"), *version = mr_h5_get_text(file, "schema_version");
    char *dtype_name = mr_h5_get_text(file, "dtype"), *dimension = mr_h5_get_text(file, "dimension");
    mr_vector_dtype dtype;
    if (!name || !version || strcmp(name, SCHEMA_NAME) != 0) {
        mr_error_set(error, status, "%s is not an embedding output (no attribute schema = %s)", path, SCHEMA_NAME);
    } else if (strtoull(version, NULL, 10) != MR_SCHEMA_VERSION) {
        mr_error_set(error, status, "%s has schema version %s, this program reads %d", path, version, MR_SCHEMA_VERSION);
    } else if (!dtype_name || !dimension || !read_dtype(dtype_name, &dtype) || strtoull(dimension, NULL, 10) - 1 >= MAX_DIMENSION) {
        mr_error_set(error, status, "%s: the attributes dtype and dimension make no sense", path);
    } else {
        bool image_sizes = H5Lexists(file, "width", H5P_DEFAULT) > 0;
        const mr_embedding_extras extras = { .text = H5Lexists(file, image_sizes ? "caption" : "text", H5P_DEFAULT) > 0, .image_sizes = image_sizes };
        mr_embedding_schema_init(schema, dtype, (size_t)strtoull(dimension, NULL, 10), extras);
        status = MR_OK;
    }
    free(name);
    free(version);
    free(dtype_name);
    free(dimension);
    return status;
}

bool mr_part_file_is_in_place(hid_t file)
{
    hid_t vectors = H5Dopen2(file, "embedding", H5P_DEFAULT);
    bool is = vectors >= 0 && mr_virtual_is(vectors);
    if (vectors >= 0) H5Dclose(vectors);
    return is;
}

mr_status mr_part_file_check_job(hid_t file, const char *path, const mr_job_identity *job, mr_error *error)
{
    char *fingerprint = mr_h5_get_text(file, "fingerprint"), *text = mr_h5_get_text(file, "job"), *inputs = mr_h5_get_text(file, "inputs");
    mr_status status = MR_OK;
    if (!fingerprint || strcmp(fingerprint, job->fingerprint) != 0) {
        mr_buf differences = { 0 };
        const mr_job_identity theirs = { fingerprint, text ? text : "", inputs };
        mr_job_identity_differences(&differences, job, &theirs);
        status = mr_error_set(error, MR_OUTPUT_DIFFERS, "%s belongs to another job: %s. Choose another output or add --overwrite", path,
                              differences.length ? differences.data : "no settings recorded");
        mr_buf_fini(&differences);
    }
    free(fingerprint);
    free(text);
    free(inputs);
    return status;
}
