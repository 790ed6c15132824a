#include "tokenizer/unicode.h"

#include <string.h>

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
