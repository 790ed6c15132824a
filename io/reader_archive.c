/* tar and zip: webdataset samples (consecutive members of one stem), plain members, and .jsonl members line by line.
 *
 * Numbering depends on member names alone, so that passing over records reads no member. Nothing is extracted, so "../",
 * absolute names and links are only names. */
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/input_list.h"
#include "io/json_line.h"
#include "io/name_kind.h"
#include "io/raw_input.h"
#include "io/text_repair.h"

typedef enum slot { SLOT_IMAGE, SLOT_TEXT, SLOT_JSON, SLOT_COUNT } slot;

typedef struct archive_reader {
    const mr_reader_options *options;
    mr_raw_input *input;
    bool pending; /* `name` is a member whose header was read and that belongs to the next record */
    mr_error broken; /* status != OK: the archive ended or broke off; told once what could be read is delivered */
    mr_buf name;
    mr_name_kind kind;
    bool is_link;
    uint64_t records;

    /* the record being put together */
    mr_buf stem, first_name;
    size_t members; /* of that stem, also those of no use */
    bool filled[SLOT_COUNT];
    mr_buf bytes[SLOT_COUNT];
    mr_buf repaired; /* of the text */
    char *problem; /* first reason why the record fails */

    /* a .jsonl member being read */
    mr_reader_options lines_options;
    char *lines_name;
    void *lines;
} archive_reader;

static void close_lines(archive_reader *self)
{
    if (self->lines) mr_reader_jsonl.close(self->lines);
    free(self->lines_name);
    self->lines = NULL;
    self->lines_name = NULL;
}

static void close_archive(void *reader)
{
    archive_reader *self = reader;
    close_lines(self);
    mr_raw_input_close(self->input);
    mr_buf_fini(&self->name);
    mr_buf_fini(&self->stem);
    mr_buf_fini(&self->first_name);
    mr_buf_fini(&self->repaired);
    for (int i = 0; i < SLOT_COUNT; i++) mr_buf_fini(&self->bytes[i]);
    free(self->problem);
    free(self);
}

static mr_status open_archive(const mr_reader_options *options, void **out, mr_error *error)
{
    archive_reader *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", options->name);
    self->options = options;
    mr_status status = mr_raw_input_open(options, MR_RAW_ARCHIVE, &self->input, error);
    if (status == MR_OK) *out = self;
    else close_archive(self);
    return status;
}

static mr_status no_memory(const archive_reader *self, mr_error *error)
{
    return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a member", self->options->name);
}

/* Length of directory and name up to the first dot of the name. */
static size_t stem_length(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    return (size_t)(base - name) + strcspn(base, ".");
}

static bool is_hidden(const char *name)
{
    const char *slash = strrchr(name, '/');
    return (slash ? slash[1] : name[0]) == '.';
}

/* What a member is to us, from its name without compression endings: members are not unpacked once more. */
static mr_name_kind member_kind(const char *name)
{
    mr_str view = mr_str_of(name);
    mr_name_kind kind = mr_name_kind_of(name);
    if (kind == MR_NAME_TEXT && !mr_str_ends_with(view, ".txt")) return MR_NAME_OTHER;
    if (kind == MR_NAME_JSONL && !mr_str_ends_with(view, ".jsonl") && !mr_str_ends_with(view, ".ndjson")) return MR_NAME_OTHER;
    return kind == MR_NAME_ARCHIVE ? MR_NAME_OTHER : kind;
}

/* The next member that is a file or a link to one -> name, kind, is_link. END behind the last. */
static mr_status read_header(archive_reader *self, mr_error *error)
{
    for (;;) {
        struct archive_entry *entry;
        MR_TRY(mr_raw_input_next(self->input, &entry, error));
        const char *name = archive_entry_pathname(entry);
        if (!name) return mr_error_set(error, MR_BAD_INPUT, "%s: a member has a name that cannot be read", self->options->name);
        bool is_link = archive_entry_hardlink(entry) || archive_entry_filetype(entry) == AE_IFLNK;
        if (!*name || is_hidden(name) || (!is_link && archive_entry_filetype(entry) != AE_IFREG)) continue;
        self->name.length = 0;
        if (!mr_buf_append_str(&self->name, name)) return no_memory(self, error);
        self->kind = member_kind(name);
        self->is_link = is_link;
        self->pending = true;
        return MR_OK;
    }
}

static void set_problem(archive_reader *self, const char *text)
{
    if (!self->problem) self->problem = mr_strf("%s: member %s: %s", self->options->name, self->name.data, text);
}

/* The member's bytes -> out. What is wrong with this member alone becomes the record's problem. */
static mr_status read_member(archive_reader *self, mr_buf *out, mr_error *error)
{
    if (self->is_link) {
        set_problem(self, "is a link; the archive does not hold its bytes under this name");
        return MR_OK;
    }
    mr_error problem = { 0 };
    mr_str piece;
    mr_status status;
    while ((status = mr_raw_input_read(self->input, &piece, &problem)) == MR_OK) {
        if (piece.length > self->options->max_record_bytes - out->length) {
            char text[64];
            snprintf(text, sizeof text, "has more than the %zu bytes allowed", self->options->max_record_bytes);
            set_problem(self, text);
            return MR_OK;
        }
        if (!mr_buf_append(out, piece.data, piece.length)) return no_memory(self, error);
    }
    if (status == MR_BAD_RECORD) {
        set_problem(self, problem.text);
    } else if (status != MR_END) {
        if (error) *error = problem;
        return status;
    }
    if (out->length == 0 && status == MR_END) set_problem(self, "is empty");
    return MR_OK;
}

static void clear_record(archive_reader *self)
{
    for (int i = 0; i < SLOT_COUNT; i++) {
        self->filled[i] = false;
        self->bytes[i].length = 0;
    }
    free(self->problem);
    self->problem = NULL;
    self->members = 0;
}

static bool slot_of(mr_name_kind kind, slot *out)
{
    *out = kind == MR_NAME_IMAGE ? SLOT_IMAGE : kind == MR_NAME_TEXT ? SLOT_TEXT : SLOT_JSON;
    return kind == MR_NAME_IMAGE || kind == MR_NAME_TEXT || kind == MR_NAME_JSON;
}

static bool has_content(const archive_reader *self)
{
    return self->filled[SLOT_IMAGE] || self->filled[SLOT_TEXT] || self->filled[SLOT_JSON];
}

/* Puts the pending member into the record. *taken = false when it begins the next one. */
static mr_status take_member(archive_reader *self, bool reading, bool *taken, mr_error *error)
{
    const char *name = self->name.data;
    size_t length = stem_length(name);
    bool same = self->members && length == self->stem.length && memcmp(name, self->stem.data, length) == 0;
    slot wanted;
    bool useful = slot_of(self->kind, &wanted);
    *taken = false;
    if (self->kind == MR_NAME_JSONL) return MR_OK;
    if (has_content(self) && (!same || (useful && self->filled[wanted]))) return MR_OK;
    if (!same) {
        clear_record(self);
        self->stem.length = self->first_name.length = 0;
        if (!mr_buf_append(&self->stem, name, length)) return no_memory(self, error);
    }
    *taken = true;
    self->pending = false;
    self->members++;
    if (!useful) return MR_OK;
    if (!has_content(self) && !mr_buf_append_str(&self->first_name, name)) return no_memory(self, error);
    self->filled[wanted] = true;
    return reading ? read_member(self, &self->bytes[wanted], error) : MR_OK;
}

/* Text and id from the .json member. */
static mr_status read_json(archive_reader *self, mr_json_line *json, mr_error *error)
{
    const mr_json_fields fields = { .text = self->options->text_field, .id = self->options->id_field, .replace_invalid = self->options->replace_invalid,
                                    .text_optional = self->filled[SLOT_IMAGE] || self->filled[SLOT_TEXT] };
    const mr_buf *bytes = &self->bytes[SLOT_JSON];
    mr_error problem;
    mr_status status = mr_json_line_parse((mr_str){ bytes->data, bytes->length }, &fields, json, &problem);
    if (status == MR_OK && json->several)
        status = mr_error_set(&problem, MR_BAD_RECORD, "it holds %zu texts; a sample has one: give each its own, or all in a .jsonl", json->several);
    if (status == MR_OK) return MR_OK;
    if (status == MR_BAD_RECORD && !self->problem)
        self->problem = mr_strf("%s: member %.*s.json: %s", self->options->name, (int)self->stem.length, self->stem.data, problem.text);
    if (status != MR_BAD_RECORD && error) *error = problem;
    return status == MR_BAD_RECORD ? MR_OK : status;
}

static mr_str text_of(archive_reader *self)
{
    const mr_buf *bytes = &self->bytes[SLOT_TEXT];
    mr_str text = { bytes->data ? bytes->data : "", bytes->length };
    mr_error problem;
    if (mr_text_repair(&text, self->options->replace_invalid, &self->repaired, &problem) != MR_OK && !self->problem)
        self->problem = mr_strf("%s: member %.*s.txt: %s", self->options->name, (int)self->stem.length, self->stem.data, problem.text);
    bool marked = text.length >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0;
    return marked ? (mr_str){ text.data + 3, text.length - 3 } : text;
}

/* The record put together so far; id: the stem of several members, the name of one. */
static mr_status finish_record(archive_reader *self, mr_record **out, mr_error *error)
{
    mr_status status = MR_OK;
    if (out) {
        mr_json_line json = { 0 };
        mr_record_content content = { .error_text = NULL };
        const mr_buf *name = self->members > 1 && self->stem.length ? &self->stem : &self->first_name;
        content.id = (mr_str){ name->data, name->length };
        if (self->filled[SLOT_JSON] && !self->problem) status = read_json(self, &json, error);
        if (json.id.length) content.id = json.id;
        if (json.has_text) content.text = json.text;
        content.messages = json.messages;
        if (self->filled[SLOT_TEXT]) content.text = text_of(self);
        if (self->filled[SLOT_IMAGE]) content.image = (mr_str){ self->bytes[SLOT_IMAGE].data, self->bytes[SLOT_IMAGE].length };
        content.error_text = self->problem;
        if (status == MR_OK) status = mr_record_create(&content, out, error);
        mr_json_line_fini(&json);
    }
    clear_record(self);
    self->records++;
    return status;
}

static mr_status start_lines(archive_reader *self, mr_error *error)
{
    self->pending = false;
    if (self->is_link) return MR_OK; /* its lines are under the other name */
    char *joined = mr_strf("%s/%s", self->options->name, self->name.data);
    self->lines_name = joined ? mr_utf8_escape(joined, strlen(joined)) : NULL;
    free(joined);
    if (!self->lines_name) return no_memory(self, error);
    self->lines_options = *self->options;
    self->lines_options.name = self->lines_name;
    return mr_member_lines_open(self->input, &self->lines_options, &self->lines, error);
}

/* The next line of a .jsonl member; END when the member ends. */
static mr_status next_line(archive_reader *self, mr_record **out, mr_error *error)
{
    mr_status status = mr_reader_jsonl.next(self->lines, out, error);
    if (status == MR_OK) self->records++;
    if (status == MR_END) close_lines(self);
    return status;
}

static mr_status next_record(void *reader, mr_record **out, mr_error *error)
{
    archive_reader *self = reader;
    for (;;) {
        mr_status status;
        if (self->lines) {
            status = next_line(self, out, error);
            if (status != MR_END) return status;
        }
        if (!self->pending) {
            status = self->broken.status == MR_OK ? read_header(self, &self->broken) : self->broken.status;
            if (status != MR_OK) self->broken.status = status;
            /* A record whose members were all read is good, even when the archive breaks off behind it. */
            if (status != MR_OK && has_content(self)) return finish_record(self, out, error);
            if (status == MR_END && self->records == 0)
                return mr_error_set(error, MR_BAD_INPUT, "%s holds no image, .txt, .json or .jsonl member", self->options->name);
            if (status != MR_OK && status != MR_END && error) *error = self->broken;
            if (status != MR_OK) return status;
        }
        bool taken;
        MR_TRY(take_member(self, out != NULL, &taken, error));
        if (taken) continue;
        if (has_content(self)) return finish_record(self, out, error);
        MR_TRY(start_lines(self, error));
    }
}

const mr_reader_kind mr_reader_archive = { open_archive, next_record, close_archive };
