/* JSONL and text: one record a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_line.h"
#include "io/line_reader.h"
#include "io/raw_input.h"

typedef struct lines {
    const mr_reader_options *options;
    mr_line_reader *reader;
    bool jsonl;
} lines;

static mr_status open_lines(const mr_reader_options *options, lines **out, mr_error *error)
{
    lines *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", options->name);
    self->options = options;
    mr_status status = mr_line_reader_open(options, &self->reader, error);
    if (status == MR_OK) *out = self;
    else free(self);
    return status;
}

static void close_lines(void *reader)
{
    lines *self = reader;
    mr_line_reader_close(self->reader);
    free(self);
}

static mr_status open_jsonl(const mr_reader_options *options, void **out, mr_error *error)
{
    lines *self = NULL;
    MR_TRY(open_lines(options, &self, error));
    self->jsonl = true;
    *out = self;
    return MR_OK;
}

static mr_status open_text(const mr_reader_options *options, void **out, mr_error *error)
{
    lines *self = NULL;
    MR_TRY(open_lines(options, &self, error));
    *out = self;
    return MR_OK;
}

static mr_status open_sniffed(const mr_reader_options *options, void **out, mr_error *error)
{
    lines *self = NULL;
    char first;
    MR_TRY(open_lines(options, &self, error));
    mr_status status = mr_line_reader_peek(self->reader, &first, error);
    if (status != MR_OK) {
        close_lines(self);
        return status;
    }
    self->jsonl = first == '{';
    *out = self;
    return MR_OK;
}

mr_status mr_member_lines_open(mr_raw_input *input, const mr_reader_options *options, void **out, mr_error *error)
{
    lines *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", options->name);
    self->options = options;
    self->jsonl = true;
    mr_status status = mr_line_reader_attach(input, options, &self->reader, error);
    if (status == MR_OK) *out = self;
    else free(self);
    return status;
}

static bool is_blank(mr_str line)
{
    for (size_t i = 0; i < line.length; i++)
        if (!strchr(" \t\r", line.data[i]) || line.data[i] == '\0') return false;
    return true;
}

/* A record of what could be read of the line: `problem` NULL when all. */
static mr_status create_record(const lines *self, const mr_line *line, mr_str id, mr_str text, const char *problem, mr_record **out, mr_error *error)
{
    char *place = mr_strf("%s#%llu", self->options->name, (unsigned long long)line->number);
    char *reason = problem ? mr_strf("%s:%llu: %s", self->options->name, (unsigned long long)line->number, problem) : NULL;
    mr_status status = MR_OUT_OF_MEMORY;
    if (place && (reason || !problem)) status = mr_record_create(id.length ? id : mr_str_of(place), text, (mr_str){ "", 0 }, reason, out, error);
    else mr_error_set(error, status, "%s: cannot allocate a record", self->options->name);
    free(place);
    free(reason);
    return status;
}

static mr_status read_jsonl(const lines *self, const mr_line *line, mr_record **out, mr_error *error)
{
    mr_json_line json;
    mr_error problem;
    mr_status status = mr_json_line_parse(line->bytes.data, line->bytes.length, self->options->text_field, self->options->id_field, &json, &problem);
    if (status == MR_OK || status == MR_BAD_RECORD)
        status = create_record(self, line, json.id, status == MR_OK ? json.text : (mr_str){ "", 0 }, status == MR_OK ? NULL : problem.text, out, error);
    else if (error) *error = problem;
    mr_json_line_fini(&json);
    return status;
}

static mr_status read_text(const lines *self, const mr_line *line, mr_record **out, mr_error *error)
{
    const mr_str none = { "", 0 };
    size_t good = mr_utf8_check(line->bytes.data, line->bytes.length);
    if (good == line->bytes.length) return create_record(self, line, none, line->bytes, NULL, out, error);
    char problem[64];
    snprintf(problem, sizeof problem, "invalid UTF-8 at byte %zu", good);
    return create_record(self, line, none, none, problem, out, error);
}

static mr_status next_line(void *reader, mr_record **out, mr_error *error)
{
    lines *self = reader;
    const mr_str none = { "", 0 };
    mr_line line;
    do MR_TRY(mr_line_reader_next(self->reader, &line, error));
    while (self->jsonl && !line.too_long && is_blank(line.bytes));
    if (!out) return MR_OK;
    if (line.too_long) {
        char problem[96];
        snprintf(problem, sizeof problem, "the line has %llu bytes, more than the %zu allowed", (unsigned long long)line.length, self->options->max_record_bytes);
        return create_record(self, &line, none, none, problem, out, error);
    }
    return self->jsonl ? read_jsonl(self, &line, out, error) : read_text(self, &line, out, error);
}

const mr_reader_kind mr_reader_jsonl = { open_jsonl, next_line, close_lines };
const mr_reader_kind mr_reader_text = { open_text, next_line, close_lines };
const mr_reader_kind mr_reader_sniffed = { open_sniffed, next_line, close_lines };
