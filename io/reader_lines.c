/* JSONL and text: one record a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/json_line.h"
#include "io/line_reader.h"
#include "io/raw_input.h"
#include "io/text_repair.h"

typedef struct lines {
    const mr_reader_options *options;
    mr_line_reader *reader;
    bool jsonl;
    mr_json_line array; /* a line of several texts, being given one by one */
    size_t given;       /* of them; array.several: all */
    uint64_t array_number;
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
    mr_json_line_fini(&self->array);
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

/* `problem`, when there is one, becomes the error text; "file#line" the id when the content has none. */
static mr_status create_record(const lines *self, uint64_t number, mr_record_content content, const char *problem, mr_record **out, mr_error *error)
{
    char *place = mr_strf("%s#%llu", self->options->name, (unsigned long long)number);
    char *reason = problem ? mr_strf("%s:%llu: %s", self->options->name, (unsigned long long)number, problem) : NULL;
    mr_status status = MR_OUT_OF_MEMORY;
    if (!content.id.length) content.id = mr_str_of(place);
    content.error_text = reason;
    if (place && (reason || !problem)) status = mr_record_create(&content, out, error);
    else mr_error_set(error, status, "%s: cannot allocate a record", self->options->name);
    free(place);
    free(reason);
    return status;
}

/* The next text of an array: its id is that of the line, "/" and its index. */
static mr_status next_of_array(lines *self, mr_record **out, mr_error *error)
{
    size_t i = self->given++;
    mr_status status = MR_OK;
    if (out) {
        char *id = mr_strf("%.*s/%zu", (int)self->array.id.length, self->array.id.data, i);
        const mr_record_content content = { .id = mr_str_of(id), .text = mr_json_line_text(&self->array, i) };
        status = id ? create_record(self, self->array_number, content, NULL, out, error)
                    : mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a record", self->options->name);
        free(id);
    }
    if (self->given == self->array.several) mr_json_line_fini(&self->array);
    return status;
}

static mr_status read_jsonl(lines *self, const mr_line *line, mr_record **out, mr_error *error)
{
    const mr_json_fields fields = { .text = self->options->text_field, .id = self->options->id_field, .replace_invalid = self->options->replace_invalid };
    mr_json_line json;
    mr_error problem;
    if (!out && !mr_json_line_may_be_several(line->bytes, &fields)) return MR_OK;
    mr_status status = mr_json_line_parse(line->bytes, &fields, &json, &problem);
    if (status == MR_OK && json.several) {
        self->array = json;
        self->given = 0;
        self->array_number = line->number;
        return next_of_array(self, out, error);
    }
    if (status != MR_OK && status != MR_BAD_RECORD && error) *error = problem;
    if (status == MR_OK || status == MR_BAD_RECORD) {
        const mr_record_content content = { .id = json.id, .text = json.text, .messages = json.messages };
        status = out ? create_record(self, line->number, content, status == MR_OK ? NULL : problem.text, out, error) : MR_OK;
    }
    mr_json_line_fini(&json);
    return status;
}

static mr_status read_text(const lines *self, const mr_line *line, mr_record **out, mr_error *error)
{
    if (!out) return MR_OK;
    mr_record_content content = { .text = line->bytes };
    mr_buf repaired = { 0 };
    mr_error problem;
    mr_status status = mr_text_repair(&content.text, self->options->replace_invalid, &repaired, &problem);
    if (status == MR_OUT_OF_MEMORY) return mr_error_set(error, status, "%s", problem.text);
    status = create_record(self, line->number, content, status == MR_OK ? NULL : problem.text, out, error);
    mr_buf_fini(&repaired);
    return status;
}

static mr_status next_line(void *reader, mr_record **out, mr_error *error)
{
    lines *self = reader;
    mr_line line;
    if (self->array.several) return next_of_array(self, out, error);
    do MR_TRY(mr_line_reader_next(self->reader, &line, error));
    while (self->jsonl && !line.too_long && is_blank(line.bytes));
    if (line.too_long) {
        if (!out) return MR_OK;
        char problem[96];
        snprintf(problem, sizeof problem, "the line has %llu bytes, more than the %zu allowed", (unsigned long long)line.length, self->options->max_record_bytes);
        return create_record(self, line.number, (mr_record_content){ 0 }, problem, out, error);
    }
    return self->jsonl ? read_jsonl(self, &line, out, error) : read_text(self, &line, out, error);
}

const mr_reader_kind mr_reader_jsonl = { open_jsonl, next_line, close_lines };
const mr_reader_kind mr_reader_text = { open_text, next_line, close_lines };
const mr_reader_kind mr_reader_sniffed = { open_sniffed, next_line, close_lines };
