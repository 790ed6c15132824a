#include "tokenizer/unicode.h"

#include <string.h>

size_t mr_utf8_subpart(const char *data, size_t length, bool *complete)
{
    const unsigned char *s = (const unsigned char *)data;
    *complete = s[0] < 0x80;
    if (s[0] < 0xC2 || s[0] > 0xF4) return 1;
    size_t need = mr_utf8_length(s[0]);
    unsigned char low = 0x80, high = 0xBF;
    if (s[0] == 0xE0) low = 0xA0;
    if (s[0] == 0xED) high = 0x9F;
    if (s[0] == 0xF0) low = 0x90;
    if (s[0] == 0xF4) high = 0x8F;
    size_t have = 1;
    while (have < need && have < length && s[have] >= low && s[have] <= high) {
        have++;
        low = 0x80;
        high = 0xBF;
    }
    *complete = have == need;
    return have;
}

bool mr_utf8_append_replacing(mr_buf *out, const char *data, size_t length)
{
    while (length > 0) {
        size_t good = mr_utf8_check(data, length);
        if (!mr_buf_append(out, data, good)) return false;
        data += good;
        length -= good;
        if (length == 0) break;
        bool complete;
        size_t bad = mr_utf8_subpart(data, length, &complete);
        if (!mr_buf_append_str(out, MR_REPLACEMENT_UTF8)) return false;
        data += bad;
        length -= bad;
    }
    return true;
}

bool mr_is_ascii(const char *data, size_t length)
{
    uint64_t high = 0;
    size_t at = 0;
    for (; length - at >= 8; at += 8) {
        uint64_t eight;
        memcpy(&eight, data + at, 8);
        high |= eight;
    }
    for (; at < length; at++) high |= (unsigned char)data[at];
    return (high & UINT64_C(0x8080808080808080)) == 0;
}

size_t mr_utf8_count(mr_str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++) count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return count;
}
