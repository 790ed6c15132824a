#include "io/source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/input_list.h"
#include "io/name_kind.h"
#include "io/read_ahead.h"

#define DEFAULT_MAX_RECORD ((size_t)64 << 20)     /* a longer text or image is a mistake, not a document */
#define DEFAULT_MAX_UNPACKED (UINT64_C(1) << 40)
#define DEFAULT_READ_AHEAD ((size_t)8 << 20)

struct mr_source {
    mr_input_list inputs;
    mr_read_ahead *ahead;
    uint64_t limit;
    uint64_t ordinal; /* of the next record */
    mr_error broken;  /* status != OK: what every later call returns */
    _Atomic bool stop;
    uint64_t total_bytes;
};

mr_status mr_source_open(const mr_source_options *options, mr_source **out, mr_error *error)
{
    mr_source *source = calloc(1, sizeof *source);
    if (!source) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a source");
    const mr_reader_options reader_options = {
        .text_field = options->text_field,
        .id_field = options->id_field,
        .replace_invalid = options->replace_invalid,
        .max_record_bytes = options->max_record_bytes ? options->max_record_bytes : DEFAULT_MAX_RECORD,
        .max_unpacked_bytes = options->max_unpacked_bytes ? options->max_unpacked_bytes : DEFAULT_MAX_UNPACKED,
        .stop = &source->stop,
    };
    const size_t bytes = options->read_ahead_bytes ? options->read_ahead_bytes : DEFAULT_READ_AHEAD;
    mr_status status = mr_input_list_build(&source->inputs, options->paths, options->path_count, error);
    if (status == MR_OK) status = mr_read_ahead_create(&source->inputs, &reader_options, options->readers, bytes, &source->ahead, error);
    if (status != MR_OK) {
        mr_source_close(source);
        return status;
    }
    source->limit = options->limit ? options->limit : UINT64_MAX;
    bool known = true;
    for (size_t i = 0; i < source->inputs.count; i++) {
        source->total_bytes += source->inputs.items[i].bytes;
        known = known && !source->inputs.items[i].streamed;
    }
    if (!known) source->total_bytes = 0;
    *out = source;
    return MR_OK;
}

void mr_source_close(mr_source *source)
{
    if (!source) return;
    mr_source_stop(source);
    mr_read_ahead_destroy(source->ahead);
    mr_input_list_fini(&source->inputs);
    free(source);
}

/* Keeps an error for every later call; a stop hides what it may have cut off. */
static mr_status settle(mr_source *source, mr_status status, const mr_error *problem, mr_error *error)
{
    if (atomic_load(&source->stop)) return mr_error_set(error, MR_CANCELLED, "reading was stopped");
    if (status == MR_OK || status == MR_END) return status;
    source->broken = *problem;
    source->broken.status = status;
    if (error) *error = source->broken;
    return status;
}

static mr_status check_broken(const mr_source *source, mr_error *error)
{
    if (source->broken.status != MR_OK && error) *error = source->broken;
    return source->broken.status;
}

mr_status mr_source_next(mr_source *source, mr_record **out, mr_error *error)
{
    mr_record *record = NULL;
    mr_error problem = { 0 };
    MR_TRY(check_broken(source, error));
    if (source->ordinal >= source->limit) return MR_END;
    mr_status status = settle(source, mr_read_ahead_next(source->ahead, &record, &problem), &problem, error);
    if (status != MR_OK) {
        mr_record_free(record);
        return status;
    }
    record->ordinal = source->ordinal++;
    *out = record;
    return MR_OK;
}

mr_status mr_source_skip_to(mr_source *source, uint64_t ordinal, mr_error *error)
{
    uint64_t passed, target = ordinal < source->limit ? ordinal : source->limit;
    mr_error problem = { 0 };
    if (ordinal < source->ordinal)
        return mr_error_set(error, MR_INVALID_ARGUMENT, "cannot go back from record %llu to %llu", (unsigned long long)source->ordinal, (unsigned long long)ordinal);
    if (ordinal == source->ordinal) return MR_OK;
    MR_TRY(check_broken(source, error));
    mr_status status = mr_read_ahead_pass(source->ahead, target - source->ordinal, &passed, &problem);
    source->ordinal += passed;
    MR_TRY(settle(source, status, &problem, error));
    return target < ordinal ? MR_END : MR_OK;
}

uint64_t mr_source_position(const mr_source *source)
{
    return source->ordinal;
}

void mr_source_stop(mr_source *source)
{
    atomic_store(&source->stop, true);
}

void mr_source_progress(const mr_source *source, uint64_t *consumed, uint64_t *total)
{
    *consumed = mr_read_ahead_position(source->ahead);
    *total = source->total_bytes;
}

uint64_t mr_source_file_count(const mr_source *source)
{
    uint64_t count = 0;
    for (size_t i = 0; i < source->inputs.count; i++) count += source->inputs.items[i].files;
    return count;
}

size_t mr_source_count(const mr_source *source)
{
    return source->inputs.count;
}

const char *mr_source_name(const mr_source *source, size_t index)
{
    return index < source->inputs.count ? source->inputs.items[index].name : NULL;
}

bool mr_source_has_file(const mr_source *source, const char *path)
{
    struct stat info, input;
    if (stat(path, &info) != 0) return false;
    for (size_t i = 0; i < source->inputs.count; i++)
        if (stat(source->inputs.items[i].path, &input) == 0 && input.st_dev == info.st_dev && input.st_ino == info.st_ino) return true;
    return false;
}

const mr_input_list *mr_source_inputs(const mr_source *source)
{
    return &source->inputs;
}

bool mr_source_is_lines(const mr_source *source)
{
    for (size_t i = 0; i < source->inputs.count; i++) {
        const mr_input *input = &source->inputs.items[i];
        const mr_name_kind kind = mr_name_kind_of(input->path);
        if (input->directory || (kind != MR_NAME_JSONL && kind != MR_NAME_TEXT && !input->streamed)) return false;
    }
    return true;
}
