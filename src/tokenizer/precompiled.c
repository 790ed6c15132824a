/* The normalizer "Precompiled": SentencePiece's character map, a double array over UTF-8 keys. */
#include "tokenizer/precompiled.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tokenizer/unicode.h"

struct mr_precompiled {
    uint32_t *units;
    size_t unit_count;
    char *strings; /* NUL-terminated, one behind the other; a NUL stands behind the last */
    size_t string_bytes;
    bool same[128]; /* ASCII characters that stay as they are */
};

static uint32_t unit_offset(uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }
static uint32_t unit_label(uint32_t unit) { return unit & 0x800000FF; }
static bool unit_has_leaf(uint32_t unit) { return unit >> 8 & 1; }

/* ---------------------------------------------------------------- reading */

/* What each character stands for, + 1; 0: none of Base64's. */
static const unsigned char base64_digits[256] = {
    ['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    ['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
    ['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, ['+'] = 63, ['/'] = 64,
};

size_t mr_base64_decode(mr_str text, unsigned char *out)
{
    size_t count = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    while (text.length && text.data[text.length - 1] == '=') text.length--;
    for (size_t i = 0; i < text.length; i++) {
        unsigned digit = base64_digits[(unsigned char)text.data[i]];
        if (!digit) return SIZE_MAX;
        bits = bits << 6 | (digit - 1);
        have += 6;
        if (have < 8) continue;
        have -= 8;
        out[count++] = (unsigned char)(bits >> have);
    }
    return text.length % 4 == 1 ? SIZE_MAX : count;
}

static mr_status fill(mr_precompiled *map, const unsigned char *data, size_t length, const char *where, mr_error *error)
{
    uint32_t bytes = 0;
    if (length >= 4) bytes = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
    if (length < 8 || bytes % 4 || bytes < 4 || bytes > length - 4) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: Precompiled: the character map is cut short", where);
    map->unit_count = bytes / 4;
    map->string_bytes = length - 4 - bytes;
    map->units = mr_mem_alloc(bytes, MR_MEM_TOKENIZER);
    map->strings = mr_mem_alloc(map->string_bytes + 1, MR_MEM_TOKENIZER);
    if (!map->units || !map->strings) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    for (size_t i = 0; i < map->unit_count; i++) {
        const unsigned char *u = data + 4 + 4 * i;
        map->units[i] = (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
    }
    if (map->string_bytes) memcpy(map->strings, data + 4 + bytes, map->string_bytes);
    map->strings[map->string_bytes] = '\0';
    if (mr_utf8_check(map->strings, map->string_bytes) < map->string_bytes) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: Precompiled: a replacement is not valid UTF-8", where);
    return MR_OK;
}

/* ---------------------------------------------------------------- running */

/* The replacement of the shortest key that `text` begins with: not the longest, as SentencePiece itself would. */
static bool first_match(const mr_precompiled *map, mr_str text, mr_str *out)
{
    size_t at = unit_offset(map->units[0]);
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        at ^= byte;
        if (byte == 0 || at >= map->unit_count || unit_label(map->units[at]) != byte) return false;
        uint32_t unit = map->units[at];
        at ^= unit_offset(unit);
        if (!unit_has_leaf(unit)) continue;
        if (at >= map->unit_count) return false;
        size_t start = map->units[at] & 0x7FFFFFFF;
        if (start > map->string_bytes) return false;
        /* A hostile offset may point inside a character. */
        if (start < map->string_bytes && ((unsigned char)map->strings[start] & 0xC0) == 0x80) return false;
        *out = mr_str_of(map->strings + start);
        return true;
    }
    return false;
}

/* CR is left out: with LF it makes one cluster. */
static void find_same(mr_precompiled *map)
{
    mr_str unused;
    for (int c = 0; c < 128; c++) {
        char byte = (char)c;
        map->same[c] = c != '\r' && !first_match(map, (mr_str){ &byte, 1 }, &unused);
    }
}

mr_status mr_precompiled_open(mr_str base64, const char *where, mr_precompiled **out, mr_error *error)
{
    mr_precompiled *map = calloc(1, sizeof *map);
    unsigned char *data = malloc(base64.length + 1);
    mr_status status = MR_OK;
    if (!map || !data) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    } else {
        size_t length = mr_base64_decode(base64, data);
        if (length == SIZE_MAX) status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: Precompiled: the character map is not Base64", where);
        else status = fill(map, data, length, where, error);
    }
    free(data);
    if (status == MR_OK) {
        find_same(map);
        *out = map;
    } else {
        mr_precompiled_close(map);
    }
    return status;
}

void mr_precompiled_close(mr_precompiled *map)
{
    if (!map) return;
    mr_mem_free(map->units);
    mr_mem_free(map->strings);
    free(map);
}

/* Bytes of the extended grapheme cluster that `text` begins with; exact for clusters shorter than 6 bytes, which are
 * the only ones that matter (no Hangul, emoji, flag or conjunct rules). */
static size_t cluster_length(mr_str text)
{
    size_t at = 0, length;
    enum mr_grapheme_break kind = mr_unicode_break(mr_utf8_decode(text.data, &length));
    if (kind == MR_BREAK_CR) return text.length > 1 && text.data[1] == '\n' ? 2 : 1;
    while (kind == MR_BREAK_PREPEND) {
        at += length;
        if (at == text.length) return at;
        kind = mr_unicode_break(mr_utf8_decode(text.data + at, &length));
    }
    if (kind >= MR_BREAK_CONTROL) return at ? at : length;
    at += length;
    while (at < text.length && mr_unicode_break(mr_utf8_decode(text.data + at, &length)) == MR_BREAK_EXTENDING) at += length;
    return at;
}

/* Bytes at the front that are ASCII, unchanged, and followed by ASCII: each is a cluster of its own. */
static size_t plain_run(const mr_precompiled *map, mr_str text)
{
    size_t count = 0;
    while (count < text.length && (unsigned char)text.data[count] < 0x80 && map->same[(unsigned char)text.data[count]]) count++;
    return count > 0 && count < text.length && (unsigned char)text.data[count] >= 0x80 ? count - 1 : count;
}

/* A short cluster that has a replacement, else its characters one by one; *inside: bytes left of such a cluster. */
size_t mr_precompiled_next(const mr_precompiled *map, mr_str text, size_t *inside, mr_str *replacement)
{
    if (*inside == 0) {
        size_t cluster = cluster_length(text);
        if (cluster < 6 && first_match(map, (mr_str){ text.data, cluster }, replacement)) return cluster;
        *inside = cluster;
    }
    size_t length = mr_utf8_length((unsigned char)text.data[0]);
    *inside -= length;
    if (!first_match(map, (mr_str){ text.data, length }, replacement)) *replacement = (mr_str){ 0 };
    return length;
}

bool mr_precompiled_run(const mr_precompiled *map, mr_str text, mr_buf *out)
{
    size_t inside = 0;
    while (text.length) {
        size_t plain = inside ? 0 : plain_run(map, text);
        if (!mr_buf_append(out, text.data, plain)) return false;
        text = (mr_str){ text.data + plain, text.length - plain };
        if (text.length == 0) break;
        mr_str replacement;
        size_t length = mr_precompiled_next(map, text, &inside, &replacement);
        if (!(replacement.data ? mr_buf_append(out, replacement.data, replacement.length) : mr_buf_append(out, text.data, length))) return false;
        text = (mr_str){ text.data + length, text.length - length };
    }
    return true;
}
