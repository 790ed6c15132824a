#include "io/text_repair.h"

#include <stdlib.h>
#include <string.h>

static mr_status out_of_memory(mr_error *error)
{
    return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a repaired text");
}

mr_status mr_text_repair(mr_str *text, bool replace, mr_buf *storage, mr_error *error)
{
    size_t good = mr_utf8_check(text->data, text->length);
    if (good == text->length) return MR_OK;
    if (!replace) return mr_error_set(error, MR_BAD_RECORD, "invalid UTF-8 at byte %zu", good);
    storage->length = 0;
    if (!mr_utf8_append_replacing(storage, text->data, text->length)) return out_of_memory(error);
    *text = (mr_str){ storage->data, storage->length };
    return MR_OK;
}

/* The code unit of an escape at `at`, 0 where there is none. */
static unsigned long escape_at(mr_str line, size_t at)
{
    char digits[5] = { 0 };
    if (line.length - at < 6 || line.data[at] != '\\' || line.data[at + 1] != 'u') return 0;
    memcpy(digits, line.data + at + 2, 4);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtoul(digits, NULL, 16) : 0;
}

/* The next half of a pair at or behind `at`; line.length when there is none. */
static size_t find_half(mr_str line, size_t at)
{
    while (at < line.length) {
        const char *escape = memchr(line.data + at, '\\', line.length - at);
        if (!escape) break;
        at = (size_t)(escape - line.data);
        unsigned long unit = escape_at(line, at);
        if (unit >= 0xD800 && unit <= 0xDFFF) {
            unsigned long next = unit <= 0xDBFF ? escape_at(line, at + 6) : 0;
            if (next < 0xDC00 || next > 0xDFFF) return at;
            at += 6;
        }
        at += unit ? 6 : 2;
    }
    return line.length;
}

mr_status mr_text_repair_json(mr_str *line, bool replace, mr_buf *storage, mr_error *error)
{
    MR_TRY(mr_text_repair(line, replace, storage, error));
    if (!replace) return MR_OK; /* the parser refuses halves */
    for (size_t at = find_half(*line, 0); at < line->length; at = find_half(*line, at + 6)) {
        if (line->data != storage->data) {
            storage->length = 0;
            if (!mr_buf_append(storage, line->data, line->length)) return out_of_memory(error);
            line->data = storage->data;
        }
        memcpy(storage->data + at + 2, "fffd", 4);
    }
    return MR_OK;
}
