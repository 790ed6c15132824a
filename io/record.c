#include "io/record.h"

#include <stdlib.h>
#include <string.h>

#include "core/checked.h"

void mr_record_free(mr_record *record)
{
    free(record);
}

size_t mr_record_bytes(const mr_record *record)
{
    return record->bytes;
}

char *mr_utf8_escape(const char *data, size_t length)
{
    mr_buf out = { 0 };
    size_t at = 0;
    while (at < length) {
        size_t good = mr_utf8_check(data + at, length - at);
        if (!mr_buf_append(&out, data + at, good)) goto failed;
        at += good;
        if (at == length) break;
        if (!mr_buf_printf(&out, "\\x%02x", (unsigned char)data[at])) goto failed;
        at++;
    }
    return mr_buf_detach(&out);
failed:
    mr_buf_fini(&out);
    return NULL;
}

/* Copies `view` with a NUL behind it, moves the cursor on, returns the copy. */
static mr_str place(char **cursor, mr_str view)
{
    mr_str copy = { *cursor, view.length };
    if (view.length) memcpy(*cursor, view.data, view.length);
    (*cursor)[view.length] = '\0';
    *cursor += view.length + 1;
    return copy;
}

static mr_status create(const mr_record_content *content, mr_record **out, mr_error *error)
{
    const bool good = !content->error_text;
    const mr_str none = { "", 0 }, reason = mr_str_of(good ? "" : content->error_text);
    const mr_str views[] = { content->id, good ? content->text : none, good ? content->image : none, good ? content->messages : none, reason };
    const size_t count = sizeof views / sizeof *views;
    mr_str copies[sizeof views / sizeof *views];
    size_t bytes = sizeof(mr_record) + count; /* the NULs */
    for (size_t i = 0; i < count; i++)
        if (!mr_checked_add(bytes, views[i].length, &bytes)) return mr_error_set(error, MR_OUT_OF_MEMORY, "a record is too large for this machine");
    mr_record *record = malloc(bytes);
    if (!record) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate %zu bytes for a record", bytes);
    char *cursor = (char *)(record + 1);
    for (size_t i = 0; i < count; i++) copies[i] = place(&cursor, views[i]);
    *record = (mr_record){ .status = good ? MR_OK : MR_BAD_RECORD, .bytes = bytes, .id = copies[0], .text = copies[1], .image = copies[2],
                           .messages = copies[3], .error_text = good ? NULL : copies[4].data };
    *out = record;
    return MR_OK;
}

void mr_record_drop_image(mr_record **record)
{
    mr_record *old = *record, *slim;
    const mr_record_content rest = { .id = old->id, .text = old->text, .messages = old->messages, .error_text = old->error_text };
    if (old->image.length == 0 || create(&rest, &slim, NULL) != MR_OK) return;
    slim->ordinal = old->ordinal;
    slim->source_index = old->source_index;
    slim->source_record = old->source_record;
    mr_record_free(old);
    *record = slim;
}

static bool is_clean(mr_str text)
{
    return mr_utf8_check(text.data, text.length) == text.length;
}

mr_status mr_record_create(const mr_record_content *content, mr_record **out, mr_error *error)
{
    const char *reason = content->error_text;
    if (is_clean(content->id) && (!reason || is_clean(mr_str_of(reason)))) return create(content, out, error);
    char *clean_id = mr_utf8_escape(content->id.data, content->id.length);
    char *clean_reason = reason ? mr_utf8_escape(reason, strlen(reason)) : NULL;
    mr_record_content clean = *content;
    clean.id = mr_str_of(clean_id);
    clean.error_text = clean_reason;
    mr_status status = MR_OUT_OF_MEMORY;
    if (clean_id && (clean_reason || !reason)) status = create(&clean, out, error);
    else mr_error_set(error, status, "cannot allocate a record");
    free(clean_id);
    free(clean_reason);
    return status;
}
