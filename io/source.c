#include "io/source.h"

#include <stdlib.h>
#include <string.h>

#include "io/input_list.h"

#define DEFAULT_MAX_RECORD ((size_t)64 << 20)     /* a longer text or image is a mistake, not a document */
#define DEFAULT_MAX_UNPACKED (UINT64_C(1) << 40)

struct mr_source {
    mr_input_list inputs;
    mr_reader_options reader_options;
    uint64_t limit;
    uint64_t ordinal;       /* of the next record */
    size_t current;         /* input being read */
    void *reader;           /* of that input; NULL before it is opened */
    uint64_t source_record; /* of the next record within it */
    mr_error broken;        /* status != OK: what every later call returns */
    _Atomic uint64_t finished_bytes, position;
    _Atomic bool stop;
    uint64_t total_bytes;
};

mr_status mr_source_open(const mr_source_options *options, mr_source **out, mr_error *error)
{
    mr_source *source = calloc(1, sizeof *source);
    if (!source) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a source");
    mr_status status = mr_input_list_build(&source->inputs, options->paths, options->path_count, error);
    if (status != MR_OK) {
        mr_source_close(source);
        return status;
    }
    source->limit = options->limit ? options->limit : UINT64_MAX;
    source->reader_options = (mr_reader_options){
        .text_field = options->text_field,
        .id_field = options->id_field,
        .max_record_bytes = options->max_record_bytes ? options->max_record_bytes : DEFAULT_MAX_RECORD,
        .max_unpacked_bytes = options->max_unpacked_bytes ? options->max_unpacked_bytes : DEFAULT_MAX_UNPACKED,
        .position = &source->position,
        .stop = &source->stop,
    };
    bool known = true;
    for (size_t i = 0; i < source->inputs.count; i++) {
        source->total_bytes += source->inputs.items[i].bytes;
        known = known && !source->inputs.items[i].streamed;
    }
    if (!known) source->total_bytes = 0;
    *out = source;
    return MR_OK;
}

static void close_reader(mr_source *source)
{
    if (source->reader) source->inputs.items[source->current].kind->close(source->reader);
    source->reader = NULL;
}

void mr_source_close(mr_source *source)
{
    if (!source) return;
    close_reader(source);
    mr_input_list_fini(&source->inputs);
    free(source);
}

static mr_status open_reader(mr_source *source, mr_error *error)
{
    const mr_input *input = &source->inputs.items[source->current];
    source->reader_options.path = input->path;
    source->reader_options.name = input->name;
    source->source_record = 0;
    atomic_store(&source->position, 0);
    return input->kind->open(&source->reader_options, &source->reader, error);
}

/* One record further, over the ends of inputs; `out` NULL passes over it. */
static mr_status step(mr_source *source, mr_record **out, mr_error *error)
{
    if (source->ordinal >= source->limit) return MR_END;
    while (source->current < source->inputs.count) {
        const mr_input *input = &source->inputs.items[source->current];
        if (!source->reader) MR_TRY(open_reader(source, error));
        mr_status status = input->kind->next(source->reader, out, error);
        if (status != MR_END) return status;
        MR_TRY(mr_input_check_unchanged(input, error));
        close_reader(source);
        atomic_fetch_add(&source->finished_bytes, input->bytes);
        atomic_store(&source->position, 0);
        source->current++;
    }
    return MR_END;
}

static mr_status step_or_break(mr_source *source, mr_record **out, mr_error *error)
{
    if (source->broken.status == MR_OK) {
        mr_error problem = { 0 };
        mr_status status = step(source, out, &problem);
        if (atomic_load(&source->stop)) { /* perhaps half a line: not a record */
            if (status == MR_OK && out) mr_record_free(*out);
            return mr_error_set(error, MR_CANCELLED, "reading was stopped");
        }
        if (status == MR_OK || status == MR_END) return status;
        source->broken = problem;
        source->broken.status = status;
    }
    if (error) *error = source->broken;
    return source->broken.status;
}

mr_status mr_source_next(mr_source *source, mr_record **out, mr_error *error)
{
    mr_record *record = NULL;
    MR_TRY(step_or_break(source, &record, error));
    record->ordinal = source->ordinal++;
    record->source_index = (uint32_t)source->current;
    record->source_record = source->source_record++;
    *out = record;
    return MR_OK;
}

mr_status mr_source_skip_to(mr_source *source, uint64_t ordinal, mr_error *error)
{
    if (ordinal < source->ordinal)
        return mr_error_set(error, MR_INVALID_ARGUMENT, "cannot go back from record %llu to %llu", (unsigned long long)source->ordinal, (unsigned long long)ordinal);
    while (source->ordinal < ordinal) {
        MR_TRY(step_or_break(source, NULL, error));
        source->ordinal++;
        source->source_record++;
    }
    return MR_OK;
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
    *consumed = atomic_load(&source->finished_bytes) + atomic_load(&source->position);
    *total = source->total_bytes;
}

size_t mr_source_count(const mr_source *source)
{
    return source->inputs.count;
}

const char *mr_source_name(const mr_source *source, size_t index)
{
    return index < source->inputs.count ? source->inputs.items[index].name : NULL;
}

const mr_input_list *mr_source_inputs(const mr_source *source)
{
    return &source->inputs;
}
