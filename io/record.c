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

static mr_status create(mr_str id, mr_str text, mr_str image, const char *error_text, mr_record **out, mr_error *error)
{
    mr_str reason = mr_str_of(error_text);
    size_t bytes = sizeof(mr_record) + 4; /* the NULs */
    const mr_str views[] = { id, text, image, reason };
    for (size_t i = 0; i < 4; i++)
        if (!mr_checked_add(bytes, views[i].length, &bytes)) return mr_error_set(error, MR_OUT_OF_MEMORY, "a record is too large for this machine");
    mr_record *record = malloc(bytes);
    if (!record) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate %zu bytes for a record", bytes);
    *record = (mr_record){ .status = error_text ? MR_BAD_RECORD : MR_OK, .bytes = bytes };
    char *cursor = (char *)(record + 1);
    record->id = place(&cursor, id);
    record->text = place(&cursor, text);
    record->image = place(&cursor, image);
    mr_str kept_reason = place(&cursor, reason);
    record->error_text = error_text ? kept_reason.data : NULL;
    *out = record;
    return MR_OK;
}

mr_status mr_record_create(mr_str id, mr_str text, mr_str image, const char *error_text, mr_record **out, mr_error *error)
{
    if (mr_utf8_check(id.data, id.length) == id.length && (!error_text || mr_utf8_check(error_text, strlen(error_text)) == strlen(error_text)))
        return create(id, text, image, error_text, out, error);
    char *clean_id = mr_utf8_escape(id.data, id.length);
    char *clean_reason = error_text ? mr_utf8_escape(error_text, strlen(error_text)) : NULL;
    mr_status status = MR_OUT_OF_MEMORY;
    if (clean_id && (clean_reason || !error_text)) status = create(mr_str_of(clean_id), text, image, clean_reason, out, error);
    else mr_error_set(error, status, "cannot allocate a record");
    free(clean_id);
    free(clean_reason);
    return status;
}
