/* Rows -> parts -> one HDF5 file, or one of JSON lines: the commit protocol. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "io/file_publish.h"
#include "io/lines_mark.h"
#include "io/output_lock.h"
#include "io/output_name.h"
#include "io/part_join.h"
#include "io/part_name.h"
#include "io/sink_kind.h"
#include "io/vector_convert.h"

#define DEFAULT_ROWS_PER_PART 16384
#define PART_BYTES ((uint64_t)32 << 20) /* of vectors: what a kill can cost in memory and repeated work */
#define DEFAULT_INTERVAL (30 * MR_CLOCK_SECOND)
#define DEFAULT_LOCK_NAME "run"

typedef struct parts_sink {
    mr_sink_options options;
    const char *lock_name;
    char *parts; /* directory */
    char *temporary;
    mr_output_lock *lock;
    mr_job_identity job;
    mr_embedding_schema schema;
    mr_range *committed;
    size_t committed_count;
    mr_block block;  /* rows [first, first + block.rows), not committed yet */
    uint64_t first;
    int64_t since_ns; /* when its first row came */
    void *stored;     /* one converted vector */
    bool refers;      /* the finished output refers to OUT.parts */
    uint64_t failed;  /* rows of the finished output */
} parts_sink;

static void close_sink(void *sink)
{
    parts_sink *self = sink;
    mr_output_lock_release(self->lock);
    if (self->parts) rmdir(self->parts); /* stays while it holds anything */
    mr_block_fini(&self->block);
    free(self->stored);
    free(self->committed);
    free(self->temporary);
    free(self->parts);
    free(self);
}

static mr_status check_attributes(const mr_sink_options *options, mr_error *error)
{
    for (size_t i = 0; i < options->attribute_count; i++)
        if (mr_attribute_is_reserved(options->attributes[i].name))
            return mr_error_set(error, MR_INVALID_ARGUMENT, "the attribute name %s is the sink's own", options->attributes[i].name);
    return MR_OK;
}

static parts_sink *create(const mr_sink_options *options)
{
    parts_sink *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    self->options = *options;
    if (!self->options.fingerprint) self->options.fingerprint = "";
    if (!self->options.job_text) self->options.job_text = "";
    self->job = (mr_job_identity){ self->options.fingerprint, self->options.job_text, NULL };
    for (size_t i = 0; i < options->attribute_count; i++)
        if (strcmp(options->attributes[i].name, "inputs") == 0) self->job.inputs = options->attributes[i].value;
    if (!self->options.clock) self->options.clock = mr_clock_monotonic();
    if (self->options.commit_interval_ns <= 0) self->options.commit_interval_ns = DEFAULT_INTERVAL;
    if (mr_output_name_is_json_lines(options->path)) self->options.dtype = MR_VECTOR_F32;
    mr_embedding_schema_init(&self->schema, self->options.dtype, options->dimension,
                             (mr_embedding_extras){ .text = options->store_text, .image_sizes = options->image_sizes });
    size_t row_bytes = mr_vector_stored_bytes(self->options.dtype, options->dimension);
    uint64_t *rows = &self->options.rows_per_part;
    for (*rows = *rows ? *rows : DEFAULT_ROWS_PER_PART; *rows > 16 && *rows * row_bytes > PART_BYTES;) *rows /= 2;
    self->lock_name = options->lock_name ? options->lock_name : DEFAULT_LOCK_NAME;
    self->parts = mr_strf("%s%s.parts", options->path, options->retry_failed ? ".retry" : "");
    self->temporary = self->parts ? mr_strf("%s/%s.tmp", self->parts, self->lock_name) : NULL;
    self->stored = malloc(row_bytes);
    if (self->parts && self->temporary && self->stored && mr_block_init(&self->block, self->schema.columns, self->schema.count)) return self;
    close_sink(self);
    return NULL;
}

/* JSON lines cannot say what made them; an extended attribute of the file does, where the file system has such. */
static mr_status check_lines(const parts_sink *self, bool *finished, mr_error *error)
{
    mr_lines_mark mark;
    *finished = mr_lines_mark_read(self->options.path, &mark) && strcmp(mark.fingerprint, self->options.fingerprint) == 0;
    if (*finished) return MR_OK;
    return mr_error_set(error, MR_OUTPUT_DIFFERS, "%s exists and does not say that this job made it. Choose another output or add --overwrite", self->options.path);
}

/* OUT is there: *finished when it is this job's, OUTPUT_DIFFERS when not. */
static mr_status check_output(parts_sink *self, bool *finished, mr_error *error)
{
    struct stat info;
    *finished = false;
    if (lstat(self->options.path, &info) != 0) return MR_OK;
    if (S_ISDIR(info.st_mode)) return mr_error_set(error, MR_CANNOT_CREATE, "%s is a directory", self->options.path);
    if (self->options.overwrite) return MR_OK;
    if (mr_output_name_is_json_lines(self->options.path)) return check_lines(self, finished, error);
    hid_t file;
    mr_embedding_schema stored;
    mr_error problem;
    mr_status status = mr_h5_open(self->options.path, &file, &problem);
    if (status == MR_OK) {
        status = mr_part_file_read_schema(file, self->options.path, &stored, &problem);
        if (status == MR_OK) status = mr_part_file_check_job(file, self->options.path, &self->job, &problem);
        self->refers = status == MR_OK && mr_part_file_is_in_place(file);
        H5Fclose(file);
    }
    *finished = status == MR_OK;
    if (status == MR_OUTPUT_DIFFERS && error) *error = problem;
    if (status == MR_OK || status == MR_OUTPUT_DIFFERS) return status;
    return mr_error_set(error, MR_OUTPUT_DIFFERS, "%s exists and is not an output of such a job (%s). Choose another output or add --overwrite",
                        self->options.path, problem.text);
}

static mr_status take_parts_directory(parts_sink *self, mr_error *error)
{
    MR_TRY(mr_path_make_directories(self->parts, error));
    MR_TRY(mr_path_sync_directory_of(self->parts, error));
    MR_TRY(mr_output_lock_acquire(self->parts, self->lock_name, &self->lock, error));
    char prefix[128];
    size_t length = strlen(self->lock_name);
    if (length + 2 > sizeof prefix) return mr_error_set(error, MR_INVALID_ARGUMENT, "lock name %s is too long", self->lock_name);
    memcpy(prefix, self->lock_name, length);
    memcpy(prefix + length, ".", 2);
    mr_parts_remove_temporaries(self->parts, prefix);
    return MR_OK;
}

/* With --overwrite a finished output goes, with its parts; so do parts of another job. */
static mr_status drop_old(const parts_sink *self, mr_error *error)
{
    struct stat info;
    if (lstat(self->options.path, &info) != 0) return MR_OK;
    if (unlink(self->options.path) != 0) return mr_error_errno(error, errno, "cannot replace %s", self->options.path);
    MR_TRY(mr_path_sync_directory_of(self->options.path, error)); /* it may refer to the parts */
    mr_parts_remove_all(self->parts);
    return MR_OK;
}

static mr_status read_parts(parts_sink *self, mr_error *error)
{
    mr_part_list list = { 0 };
    mr_status status = mr_part_list_scan(&list, self->parts, error);
    if (status == MR_OK) status = mr_part_list_check(&list, &self->schema, &self->job, error);
    if (status == MR_OUTPUT_DIFFERS && self->options.overwrite) {
        mr_parts_remove_all(self->parts);
        mr_part_list_fini(&list);
        status = MR_OK;
    }
    if (status == MR_OK) status = mr_part_list_ranges(&list, &self->committed, &self->committed_count, error);
    mr_part_list_fini(&list);
    return status;
}

/* Rows of a finished output that did not fail -> parts of a list, as if they were committed. */
static mr_status list_good_rows(mr_embedding_file *file, mr_part_list *list, mr_error *error)
{
    uint64_t rows = mr_embedding_file_rows(file), first = 0;
    for (uint64_t i = 0; i <= rows; i++) {
        mr_embedding_row row = { .status = MR_ROW_FAILED };
        if (i < rows) MR_TRY(mr_embedding_file_row(file, i, &row, error));
        if (row.status != MR_ROW_FAILED) continue;
        if (i > first) MR_TRY(mr_part_list_add(list, "", first, i, error));
        first = i + 1;
    }
    return MR_OK;
}

/* The output stands, but for its failed rows and what an earlier retry has committed. *finished: none failed. */
static mr_status read_finished(parts_sink *self, bool *finished, mr_error *error)
{
    mr_embedding_file *file;
    mr_part_list list = { 0 };
    MR_TRY(mr_embedding_file_open(self->options.path, &file, error));
    uint64_t rows = mr_embedding_file_rows(file);
    mr_status status = mr_part_list_scan(&list, self->parts, error);
    if (status == MR_OK) status = mr_part_list_check(&list, &self->schema, &self->job, error);
    if (status == MR_OK) status = list_good_rows(file, &list, error);
    mr_embedding_file_close(file);
    mr_part_list_sort(&list);
    if (status == MR_OK) status = mr_part_list_ranges(&list, &self->committed, &self->committed_count, error);
    *finished = status == MR_OK && (rows == 0 || (list.count == 1 && list.items[0].end == rows));
    mr_part_list_fini(&list);
    return status;
}

static mr_status open_retry(const mr_sink_options *options, void **out, bool *finished, mr_error *error)
{
    parts_sink *self = create(options);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a sink", options->path);
    mr_status status;
    MR_TRY_OR(status, check_output(self, finished, error), failed);
    if (!*finished) {
        status = mr_error_set(error, MR_NO_INPUT, "%s is not finished: run its job to the end first", options->path);
        goto failed;
    }
    MR_TRY_OR(status, take_parts_directory(self, error), failed);
    MR_TRY_OR(status, read_finished(self, finished, error), failed);
    if (!*finished) {
        *out = self;
        return MR_OK;
    }
failed:
    close_sink(self);
    return status;
}

static mr_status open_sink(const mr_sink_options *options, void **out, bool *finished, mr_error *error)
{
    MR_TRY(check_attributes(options, error));
    if (options->retry_failed && options->overwrite)
        return mr_error_set(error, MR_INVALID_ARGUMENT, "failed rows are retried in an output that stays: not with overwrite");
    if (options->retry_failed && mr_output_name_is_json_lines(options->path))
        return mr_error_set(error, MR_INVALID_ARGUMENT, "%s: failed rows are retried in HDF5 outputs only", options->path);
    if (options->retry_failed) return open_retry(options, out, finished, error);
    parts_sink *self = create(options);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a sink", options->path);
    mr_status status;
    MR_TRY_OR(status, check_output(self, finished, error), failed);
    if (*finished) {
        if (!self->options.keep_parts && !self->refers) mr_parts_remove_leftovers(self->parts, self->lock_name);
        goto failed; /* nothing to do: no sink */
    }
    MR_TRY_OR(status, take_parts_directory(self, error), failed);
    MR_TRY_OR(status, check_output(self, finished, error), failed); /* again: its last writer may just have finished */
    if (*finished) goto failed;
    if (options->overwrite) MR_TRY_OR(status, drop_old(self, error), failed);
    MR_TRY_OR(status, read_parts(self, error), failed);
    *out = self;
    return MR_OK;
failed:
    close_sink(self);
    return status;
}

static const mr_range *committed_ranges(const void *sink, size_t *count)
{
    const parts_sink *self = sink;
    *count = self->committed_count;
    return self->committed;
}

static mr_status write_part(parts_sink *self, mr_error *error)
{
    char *path = mr_part_path(self->parts, self->first, self->first + self->block.rows);
    if (!path) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    bool existed = false; /* a unit done twice is the same: the part that is there stays */
    mr_status status = mr_part_file_write(self->temporary, &self->options, &self->schema, &self->block, self->first, error);
    if (status == MR_OK) status = mr_file_publish(self->temporary, path, &existed, error);
    if (status == MR_OK) mr_log(MR_LOG_DEBUG, "io", "committed %s", path);
    mr_block_clear(&self->block);
    free(path);
    return status;
}

static mr_status commit(void *sink, mr_error *error)
{
    parts_sink *self = sink;
    return self->block.rows ? write_part(self, error) : MR_OK;
}

static bool append(parts_sink *self, const mr_embedding_row *row)
{
    mr_block *block = &self->block;
    const uint8_t row_status = (uint8_t)row->status;
    float scale = 0.0f;
    mr_vector_store(self->schema.dtype, row->vector, self->schema.dimension, self->stored, &scale);
    bool good = mr_block_put_fixed(block, MR_COLUMN_EMBEDDING, self->stored) && mr_block_put_fixed(block, MR_COLUMN_STATUS, &row_status) &&
                mr_block_put_fixed(block, MR_COLUMN_TOKENS, &row->tokens) && mr_block_put_packed(block, MR_COLUMN_ID, row->id) &&
                mr_block_put_packed(block, MR_COLUMN_ERROR, row->error) && mr_block_put_fixed(block, MR_COLUMN_SHARD, &row->source_index) &&
                mr_block_put_fixed(block, MR_COLUMN_RECORD, &row->source_record);
    if (good && self->schema.scale) good = mr_block_put_fixed(block, self->schema.scale, &scale);
    if (good && self->schema.width) good = mr_block_put_fixed(block, self->schema.width, &row->width) && mr_block_put_fixed(block, self->schema.height, &row->height);
    if (good && self->schema.text) good = mr_block_put_packed(block, self->schema.text, row->text);
    if (good) mr_block_end_row(block);
    return good;
}

static mr_status put(void *sink, const mr_embedding_row *row, mr_error *error)
{
    parts_sink *self = sink;
    int64_t now = mr_clock_now(self->options.clock);
    if (self->block.rows && row->ordinal != self->first + self->block.rows) MR_TRY(commit(self, error));
    if (self->block.rows == 0) {
        self->first = row->ordinal;
        self->since_ns = now;
    }
    if (!append(self, row)) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate row %llu", (unsigned long long)row->ordinal);
    bool full = (row->ordinal + 1) % self->options.rows_per_part == 0;
    return full || now - self->since_ns >= self->options.commit_interval_ns ? commit(self, error) : MR_OK;
}

/* What the output before the retry referred to. */
static void remove_old_parts(const parts_sink *self)
{
    char *parts = mr_strf("%s.parts", self->options.path);
    if (!parts) return;
    mr_parts_remove_all(parts);
    rmdir(parts);
    free(parts);
}

static mr_status finish(void *sink, uint64_t total, mr_error *error)
{
    parts_sink *self = sink;
    MR_TRY(commit(self, error));
    mr_part_list list = { 0 };
    mr_status status;
    if (total == 0) { /* a part of no rows carries the attributes */
        self->first = 0;
        MR_TRY(write_part(self, error));
    }
    MR_TRY(mr_parts_note_total(self->parts, total, error));
    MR_TRY_OR(status, mr_part_list_scan(&list, self->parts, error), done);
    mr_join_options join = { .failed = &self->failed, .in_place = self->options.in_place_parts };
    if (self->options.retry_failed) join = (mr_join_options){ .replace = true, .base = self->options.path, .failed = &self->failed };
    MR_TRY_OR(status, mr_part_list_join(&list, total, join, self->temporary, self->options.path, error), done);
    if (!self->options.keep_parts && !join.in_place) mr_parts_remove_all(self->parts);
    if (self->options.retry_failed && self->refers) remove_old_parts(self); /* the new output has copies */
done:
    mr_part_list_fini(&list);
    return status;
}

static mr_status finish_shard(void *sink, uint64_t total, mr_error *error)
{
    parts_sink *self = sink;
    MR_TRY(commit(self, error));
    return mr_parts_note_total(self->parts, total, error);
}

static uint64_t failed_rows(const void *sink)
{
    return ((const parts_sink *)sink)->failed;
}

const mr_sink_kind mr_sink_parts = { open_sink, committed_ranges, put, commit, finish, finish_shard, failed_rows, close_sink };
