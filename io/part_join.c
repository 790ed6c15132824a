#include "io/part_join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/log.h"
#include "core/pulse.h"
#include "io/file_publish.h"
#include "io/id_index.h"
#include "io/json_write.h"
#include "io/lines_mark.h"
#include "io/output_name.h"
#include "io/text_output.h"

#define STEP_ROWS ((size_t)512)             /* copied at once: 2 MiB of 1024-wide f32 */
#define JSON_GROWTH 4                       /* a float takes 9 to 13 characters instead of 4 bytes */
#define SPARE_BYTES (UINT64_C(1) << 20)     /* for metadata, beside the sum of the parts */
#define INDEX_ROW_BYTES 16                  /* of the index of ids */

/* Rows [from, from + count) of one part. */
typedef struct segment {
    const mr_part *part;
    uint64_t from, count;
} segment;

typedef struct open_part {
    hid_t file;
    mr_table_reader *reader;
} open_part;

typedef struct joining {
    bool distinct;
    mr_join_options options;
    mr_part base;        /* path NULL: none */
    open_part base_open; /* its segments are many: opened and verified once */
    segment *segments;
    size_t count;
    uint64_t total;
    mr_embedding_schema schema;
    uint64_t packed[MR_COLUMNS_MAX];
    uint64_t part_bytes;
    mr_part_facts facts;
} joining;

static void close_part(open_part *part)
{
    mr_table_reader_close(part->reader);
    if (part->file > 0) H5Fclose(part->file);
    *part = (open_part){ 0 };
}

static mr_status open_one(const mr_part *part, const mr_embedding_schema *schema, open_part *out, mr_error *error)
{
    *out = (open_part){ 0 };
    MR_TRY(mr_h5_open(part->path, &out->file, error));
    mr_status status = mr_table_reader_open(out->file, part->path, schema->columns, schema->count, &out->reader, error);
    if (status == MR_OK && mr_table_reader_rows(out->reader) != part->end - part->first)
        status = mr_error_set(error, MR_BAD_INPUT, "%s does not hold the rows of its name", part->path);
    if (status != MR_OK) close_part(out);
    return status;
}

/* The base is opened for the whole join; others are for one segment: give_back. */
static mr_status take(joining *join, const mr_part *part, open_part *out, mr_error *error)
{
    if (part != &join->base) return open_one(part, &join->schema, out, error);
    if (!join->base_open.reader) MR_TRY(open_one(part, &join->schema, &join->base_open, error));
    *out = join->base_open;
    return MR_OK;
}

static void give_back(const joining *join, const mr_part *part, open_part *opened)
{
    if (part != &join->base) close_part(opened);
}

/* The part that holds `at` and goes on longest, else the base up to where the next part begins. *next moves over the
 * list, which is sorted: what it leaves behind ends before the part it gives. NULL: nothing holds it, up to *end. */
static const mr_part *find_part(const mr_part_list *list, const joining *join, size_t *next, uint64_t at, uint64_t *end)
{
    const mr_part *best = NULL;
    for (; *next < list->count && list->items[*next].first <= at; (*next)++)
        if (list->items[*next].end > at && (!best || list->items[*next].end > best->end)) best = &list->items[*next];
    uint64_t limit = *next < list->count && list->items[*next].first < join->total ? list->items[*next].first : join->total;
    *end = best ? best->end : limit;
    return best || !join->base.path ? best : &join->base;
}

/* Which rows come from where, in order. */
static mr_status plan(const mr_part_list *list, joining *join, mr_error *error)
{
    uint64_t at = 0, end;
    size_t next = 0;
    join->segments = calloc(2 * list->count + 2, sizeof *join->segments);
    if (!join->segments) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the plan of a join");
    while (at < join->total) {
        const mr_part *part = find_part(list, join, &next, at, &end);
        if (!part) return mr_error_set(error, MR_INCOMPLETE, "records %llu to %llu are not done yet; run the same command again",
                                       (unsigned long long)at, (unsigned long long)end - 1);
        join->segments[join->count++] = (segment){ part, at - part->first, end - at };
        if (part != &join->base) join->part_bytes += part->file_bytes;
        at = end;
    }
    for (size_t p = 0; p < list->count; p++)
        if (list->items[p].end > join->total)
            return mr_error_set(error, MR_OUTPUT_DIFFERS, "%s goes beyond the %llu records of the input: the input has become shorter. Use --overwrite",
                                list->items[p].path, (unsigned long long)join->total);
    return MR_OK;
}

static uint64_t bytes_needed(const joining *join, bool lines)
{
    uint64_t vectors = join->total * mr_column_row_bytes(&join->schema.columns[MR_COLUMN_EMBEDDING]);
    uint64_t parts = join->options.in_place && vectors < join->part_bytes ? join->part_bytes - vectors : join->part_bytes;
    return lines ? JSON_GROWTH * parts : parts + join->total * INDEX_ROW_BYTES + SPARE_BYTES;
}

static mr_status check_space(const joining *join, bool lines, const char *temporary, mr_error *error)
{
    char directory[4096];
    const char *slash = strrchr(temporary, '/');
    size_t length = slash ? (size_t)(slash - temporary) : 0;
    if (length == 0 || length >= sizeof directory) return MR_OK;
    memcpy(directory, temporary, length);
    directory[length] = '\0';
    struct statvfs disk;
    if (statvfs(directory, &disk) != 0) return MR_OK; /* then the writes will tell */
    uint64_t available = (uint64_t)disk.f_bavail * disk.f_frsize, needed = bytes_needed(join, lines);
    if (available >= needed) return MR_OK;
    char need[16], have[16];
    return mr_error_set(error, MR_NO_SPACE, "joining %zu parts needs %s in %s, %s are free. Nothing is lost: make room and run the same command again%s",
                        join->count, mr_str_bytes(need, needed), directory, mr_str_bytes(have, available),
                        lines || join->options.in_place ? "" : ", or add --in-place-parts to leave the vectors in the parts");
}

/* A part that turns out damaged is dropped: its records are done again by the next run. */
static mr_status drop_damaged(const joining *join, const mr_part *part, mr_status status, mr_error *problem, mr_error *error)
{
    if (status != MR_BAD_INPUT || join->distinct || part == &join->base) {
        if (error) *error = *problem;
        return status;
    }
    unlink(part->path);
    return mr_error_set(error, MR_INCOMPLETE, "%s. The part is dropped; run the same command again to redo its records", problem->text);
}

/* Checks every part and sums up the bytes of packed columns. */
static mr_status measure(joining *join, mr_error *error)
{
    for (size_t s = 0; s < join->count; s++) {
        const segment *piece = &join->segments[s];
        open_part part = { 0 };
        mr_error problem = { 0 };
        bool again = piece->part == &join->base && join->base_open.reader;
        mr_status status = take(join, piece->part, &part, &problem);
        if (status == MR_OK && !again) status = mr_table_reader_verify(part.reader, &problem);
        for (size_t c = 0; status == MR_OK && c < join->schema.count; c++) {
            uint64_t bytes = 0;
            if (join->schema.columns[c].packed) status = mr_table_reader_packed_bytes(part.reader, c, piece->from, piece->count, &bytes, &problem);
            join->packed[c] += bytes;
        }
        give_back(join, piece->part, &part);
        if (status != MR_OK) return drop_damaged(join, piece->part, status, &problem, error);
    }
    return MR_OK;
}

/* Each file counts its inputs from 0. */
static void raise_source_numbers(mr_block *block, uint32_t base)
{
    uint32_t *numbers = (uint32_t *)(void *)block->data[MR_COLUMN_SHARD].bytes.data; /* malloc'ed, so aligned */
    for (size_t i = 0; base && i < block->rows; i++) numbers[i] += base;
}

typedef mr_status block_taker(void *context, const mr_block *block, mr_error *error);

static mr_status each_block_of(joining *join, const segment *piece, mr_block *block, block_taker *taker, void *context, mr_error *error)
{
    open_part part;
    MR_TRY(take(join, piece->part, &part, error));
    mr_status status = MR_OK;
    for (uint64_t done = 0; status == MR_OK && done < piece->count; done += block->rows) {
        mr_pulse_beat();
        MR_FAULT("join");
        uint64_t rest = piece->count - done;
        status = mr_table_reader_read(part.reader, piece->from + done, rest < STEP_ROWS ? (size_t)rest : STEP_ROWS, block, error);
        if (status == MR_OK) mr_part_facts_count(&join->facts, block);
        if (status == MR_OK) raise_source_numbers(block, piece->part->source_base);
        if (status == MR_OK) status = taker(context, block, error);
    }
    give_back(join, piece->part, &part);
    return status;
}

/* Every row in order, a block at a time. */
static mr_status each_block(joining *join, block_taker *taker, void *context, mr_error *error)
{
    mr_block block;
    mr_status status = MR_OK;
    if (!mr_block_init(&block, join->schema.columns, join->schema.count)) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate rows");
    for (size_t s = 0; status == MR_OK && s < join->count; s++) status = each_block_of(join, &join->segments[s], &block, taker, context, error);
    mr_block_fini(&block);
    return status;
}

static mr_status take_for_table(void *writer, const mr_block *block, mr_error *error)
{
    return mr_table_writer_append(writer, block, error);
}

/* "a/b/c" -> "b/c" */
static const char *last_two_names(const char *path)
{
    const char *at = path + strlen(path);
    for (int slashes = 0; at > path && (at[-1] != '/' || ++slashes < 2);) at--;
    return at;
}

/* The segments as an output beside the directory of parts sees them. */
static mr_status list_origins(const joining *join, mr_table_origins *out, mr_error *error)
{
    out->items = calloc(join->count, sizeof *out->items);
    for (size_t s = 0; out->items && s < join->count; s++) {
        const segment *piece = &join->segments[s];
        mr_virtual_origin *origin = &out->items[out->count++];
        *origin = (mr_virtual_origin){ mr_strdup(last_two_names(piece->part->path)), piece->part->end - piece->part->first, piece->from, piece->count };
        if (!origin->file) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the names of parts");
    }
    return out->items ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the names of parts");
}

static mr_status copy_rows(joining *join, hid_t file, mr_error *error)
{
    mr_table_writer *writer = NULL;
    mr_table_origins origins = { 0 };
    mr_status status = MR_OK;
    if (join->options.in_place && join->total) MR_TRY_OR(status, list_origins(join, &origins, error), done);
    MR_TRY_OR(status, mr_table_writer_create(file, join->schema.columns, join->schema.count, join->total, join->packed, origins, &writer, error), done);
    status = each_block(join, take_for_table, writer, error);
    if (status == MR_OK) status = mr_table_writer_finish(writer, error);
done:
    mr_table_writer_destroy(writer);
    for (size_t i = 0; i < origins.count; i++) free(origins.items[i].file);
    free(origins.items);
    return status;
}

/* Appends the input names of one file. */
static mr_status append_names(const mr_part *part, mr_block *names, mr_error *error)
{
    hid_t file;
    mr_table_reader *reader = NULL;
    mr_block own = { 0 };
    MR_TRY(mr_h5_open(part->path, &file, error));
    mr_status status = mr_table_reader_open(file, part->path, &mr_source_files_column, 1, &reader, error);
    if (status == MR_OK && !mr_block_init(&own, &mr_source_files_column, 1)) status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the names of inputs");
    if (status == MR_OK) status = mr_table_reader_read(reader, 0, (size_t)mr_table_reader_rows(reader), &own, error);
    for (size_t i = 0; status == MR_OK && i < own.rows; i++) {
        if (!mr_block_put_packed(names, 0, mr_block_packed(&own, 0, i))) status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the names of inputs");
        mr_block_end_row(names);
    }
    mr_block_fini(&own);
    mr_table_reader_close(reader);
    H5Fclose(file);
    return status;
}

/* Names of inputs: parts of one job all have the same, distinct files follow one another. */
static mr_status write_names(const joining *join, const mr_part *model, hid_t file, mr_error *error)
{
    mr_block names;
    if (!mr_block_init(&names, &mr_source_files_column, 1)) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the names of inputs");
    mr_status status = join->distinct ? MR_OK : append_names(model, &names, error);
    for (size_t i = 0; join->distinct && status == MR_OK && i < join->count; i++) status = append_names(join->segments[i].part, &names, error);
    if (status == MR_OK) status = mr_part_file_write_table(file, &mr_source_files_column, 1, &names, error);
    mr_block_fini(&names);
    return status;
}

static mr_status copy_job(const joining *join, const mr_part *model, hid_t file, mr_error *error)
{
    hid_t from;
    MR_TRY(mr_h5_open(model->path, &from, error));
    mr_status status = mr_part_file_copy_job(from, file, join->options.fingerprint, join->options.job_text, error);
    H5Fclose(from);
    return status == MR_OK ? write_names(join, model, file, error) : status;
}

static mr_status write_joined(joining *join, const mr_part *model, const char *temporary, mr_error *error)
{
    mr_h5_output *output;
    MR_TRY(mr_h5_output_create(temporary, &output, error));
    hid_t file = mr_h5_output_id(output);
    mr_status status = copy_rows(join, file, error);
    if (status == MR_OK) status = mr_id_index_write(file, temporary, error);
    if (status == MR_OK) status = copy_job(join, model, file, error);
    join->facts.end = join->total;
    if (status == MR_OK) status = mr_part_file_describe(file, &join->facts, error);
    if (status == MR_OK) return mr_h5_output_close(output, error);
    mr_status cause = mr_h5_output_check(output, error);
    mr_h5_output_abandon(output);
    return cause != MR_OK ? cause : status;
}

typedef struct lines_writer {
    const mr_embedding_schema *schema;
    mr_text_output output;
} lines_writer;

static mr_status take_for_lines(void *context, const mr_block *block, mr_error *error)
{
    lines_writer *writer = context;
    const mr_embedding_schema *schema = writer->schema;
    for (size_t i = 0; i < block->rows; i++) {
        mr_embedding_row row = { .id = mr_block_packed(block, MR_COLUMN_ID, i), .error = mr_block_packed(block, MR_COLUMN_ERROR, i) };
        uint8_t status = *(const uint8_t *)mr_block_fixed(block, MR_COLUMN_STATUS, i);
        row.status = status < MR_ROW_STATUS_COUNT ? (mr_row_status)status : MR_ROW_FAILED;
        memcpy(&row.tokens, mr_block_fixed(block, MR_COLUMN_TOKENS, i), sizeof row.tokens);
        if (schema->width) {
            memcpy(&row.width, mr_block_fixed(block, schema->width, i), sizeof row.width);
            memcpy(&row.height, mr_block_fixed(block, schema->height, i), sizeof row.height);
        }
        if (schema->text) row.text = mr_block_packed(block, schema->text, i);
        const float *vector = mr_block_fixed(block, MR_COLUMN_EMBEDDING, i); /* parts of JSON lines hold f32 */
        bool has_vector = row.status == MR_ROW_OK || row.status == MR_ROW_TRUNCATED;
        if (!mr_json_append_row(&writer->output.held, &row, has_vector ? vector : NULL, schema->dimension))
            return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate rows");
        MR_TRY(mr_text_output_flush(&writer->output, false, error));
    }
    return MR_OK;
}

static void mark_lines(const joining *join, const mr_part *model, const char *path)
{
    hid_t file;
    mr_lines_mark mark;
    if (mr_h5_open(model->path, &file, NULL) != MR_OK) return;
    char *fingerprint = mr_h5_get_text(file, "fingerprint");
    H5Fclose(file);
    snprintf(mark.fingerprint, sizeof mark.fingerprint, "%s", fingerprint ? fingerprint : "");
    memcpy(mark.by_status, join->facts.by_status, sizeof mark.by_status);
    if (fingerprint) mr_lines_mark_write(path, &mark);
    free(fingerprint);
}

static mr_status write_lines(joining *join, const mr_part *model, const char *temporary, mr_error *error)
{
    lines_writer writer = { .schema = &join->schema };
    if (join->schema.dtype != MR_VECTOR_F32) return mr_error_set(error, MR_OUTPUT_DIFFERS, "%s does not hold f32, which JSON lines are made of", model->path);
    MR_TRY(mr_text_output_open(&writer.output, temporary, true, error));
    mr_status status = each_block(join, take_for_lines, &writer, error);
    if (status == MR_OK) mark_lines(join, model, writer.output.temporary); /* in front of the fsync */
    if (status == MR_OK) status = mr_text_output_finish(&writer.output, error);
    mr_text_output_close(&writer.output);
    return status;
}

/* Schema of the base or the first part, which all others share. */
static mr_status read_model(const mr_part *model, joining *join, mr_error *error)
{
    hid_t file;
    MR_TRY(mr_h5_open(model->path, &file, error));
    mr_status status = mr_part_file_read_schema(file, model->path, &join->schema, error);
    H5Fclose(file);
    return status;
}

static mr_status set_base(joining *join, const char *path, mr_error *error)
{
    struct stat info;
    if (stat(path, &info) != 0) return mr_error_errno(error, errno, "cannot open %s", path);
    join->base = (mr_part){ .end = join->total, .file_bytes = (uint64_t)info.st_size, .path = mr_strdup(path) };
    join->part_bytes = join->base.file_bytes;
    return join->base.path ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
}

mr_status mr_part_list_join(const mr_part_list *list, uint64_t total, mr_join_options options, const char *temporary, const char *path, mr_error *error)
{
    if (list->count == 0 && !options.base) return mr_error_set(error, MR_INCOMPLETE, "%s has no parts to join", path);
    joining join = { .total = total, .distinct = list->distinct, .options = options };
    mr_status status;
    bool existed = false, lines = mr_output_name_is_json_lines(path);
    if (options.base) MR_TRY_OR(status, set_base(&join, options.base, error), done);
    MR_TRY_OR(status, plan(list, &join, error), done);
    const mr_part *model = options.base ? &join.base : join.count ? join.segments[0].part : &list->items[0];
    MR_TRY_OR(status, read_model(model, &join, error), done);
    MR_TRY_OR(status, check_space(&join, lines, temporary, error), done);
    MR_TRY_OR(status, measure(&join, error), done);
    MR_TRY_OR(status, (lines ? write_lines : write_joined)(&join, model, temporary, error), done);
    if (options.replace) status = mr_file_replace(temporary, path, error);
    else status = mr_file_publish(temporary, path, &existed, error);
    if (status == MR_OK && options.failed) *options.failed = join.facts.by_status[MR_ROW_FAILED];
    if (existed) status = mr_error_set(error, MR_OUTPUT_DIFFERS, "%s was made by somebody else meanwhile; the parts are kept", path);
done:
    close_part(&join.base_open);
    free(join.base.path);
    free(join.segments);
    return status;
}
