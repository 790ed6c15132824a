#include "core/str.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "core/checked.h"

mr_str mr_str_of(const char *c_string)
{
    return (mr_str){ c_string ? c_string : "", c_string ? strlen(c_string) : 0 };
}

bool mr_str_equal(mr_str a, mr_str b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool mr_str_ends_with(mr_str text, const char *suffix)
{
    size_t length = strlen(suffix);
    return length <= text.length && strncasecmp(text.data + text.length - length, suffix, length) == 0;
}

void mr_buf_fini(mr_buf *buffer)
{
    free(buffer->data);
    *buffer = (mr_buf){ 0 };
}

bool mr_buf_reserve(mr_buf *buffer, size_t extra)
{
    size_t needed;
    if (!mr_checked_add(buffer->length, extra, &needed) || !mr_checked_add(needed, 1, &needed)) return false;
    if (needed <= buffer->capacity) return true;
    size_t capacity = buffer->capacity ? buffer->capacity : 64;
    while (capacity < needed)
        if (!mr_checked_mul(capacity, 2, &capacity)) return false;
    char *grown = realloc(buffer->data, capacity);
    if (!grown) return false;
    buffer->data = grown;
    buffer->capacity = capacity;
    return true;
}

bool mr_buf_append(mr_buf *buffer, const void *data, size_t length)
{
    if (!mr_buf_reserve(buffer, length)) return false;
    if (length) memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
    return true;
}

bool mr_buf_append_str(mr_buf *buffer, const char *c_string)
{
    return mr_buf_append(buffer, c_string, strlen(c_string));
}

static bool append_format(mr_buf *buffer, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0 || !mr_buf_reserve(buffer, (size_t)length)) return false;
    vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, arguments);
    buffer->length += (size_t)length;
    return true;
}

bool mr_buf_printf(mr_buf *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool done = append_format(buffer, format, arguments);
    va_end(arguments);
    return done;
}

char *mr_buf_detach(mr_buf *buffer)
{
    if (!mr_buf_reserve(buffer, 0)) return NULL;
    char *data = buffer->data;
    data[buffer->length] = '\0';
    *buffer = (mr_buf){ 0 };
    return data;
}

char *mr_strndup(const char *data, size_t length)
{
    if (length == SIZE_MAX) return NULL;
    char *copy = malloc(length + 1);
    if (!copy) return NULL;
    if (length) memcpy(copy, data, length);
    copy[length] = '\0';
    return copy;
}

char *mr_strdup(const char *c_string)
{
    return mr_strndup(c_string, strlen(c_string));
}

char *mr_strf(const char *format, ...)
{
    mr_buf buffer = { 0 };
    va_list arguments;
    va_start(arguments, format);
    bool done = append_format(&buffer, format, arguments);
    va_end(arguments);
    if (done) return buffer.data;
    mr_buf_fini(&buffer);
    return NULL;
}

/* Length of the well-formed sequence at data[0..length), 0 when ill-formed. */
static size_t utf8_sequence(const unsigned char *data, size_t length)
{
    unsigned char lead = data[0];
    if (lead < 0x80) return 1;
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || need > length) return 0;
    unsigned char low = 0x80, high = 0xBF; /* limits of the second byte */
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    if (data[1] < low || data[1] > high) return 0;
    for (size_t i = 2; i < need; i++)
        if ((data[i] & 0xC0) != 0x80) return 0;
    return need;
}

/* The same where four bytes can be read, with the common cases first: two bytes, and three that any second byte may follow. */
static inline size_t utf8_sequence_inside(const unsigned char *data)
{
    unsigned char lead = data[0];
    if (lead >= 0xC2 && lead < 0xE0) return (data[1] & 0xC0) == 0x80 ? 2 : 0;
    if (lead > 0xE0 && lead < 0xF0 && lead != 0xED) return (((data[1] & 0xC0) ^ 0x80) | ((data[2] & 0xC0) ^ 0x80)) == 0 ? 3 : 0;
    return utf8_sequence(data, 4);
}

static uint64_t load_word(const unsigned char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

#if defined(__SSE2__) /* part of every x86-64: nothing to choose at run time */

#define BLOCK 64

/* Which of a block's bytes are less than `limit`, as signed numbers: 0x80 is the least, and those below 0x80 come last. */
static inline uint64_t below(const __m128i block[4], unsigned char limit)
{
    uint64_t set = 0;
    for (int i = 0; i < 4; i++) set |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmplt_epi8(block[i], _mm_set1_epi8((char)limit))) << 16 * i;
    return set;
}

static inline uint64_t equal(const __m128i block[4], unsigned char byte)
{
    uint64_t set = 0;
    for (int i = 0; i < 4; i++) set |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(block[i], _mm_set1_epi8((char)byte))) << 16 * i;
    return set;
}

/* A block as sets of places: continuation bytes must be where the first bytes want them, and the second bytes within the limits that
 * utf8_sequence has. Bytes to go on behind, the last character beginning anew unless it is whole; 0 when ill-formed. */
static size_t utf8_block(const unsigned char *data)
{
    __m128i block[4];
    for (int i = 0; i < 4; i++) block[i] = _mm_loadu_si128((const __m128i *)(const void *)(data + 16 * i));
    uint64_t high = below(block, 0), rest = below(block, 0xC0), lead = high & ~rest;
    if (!high) return BLOCK;
    uint64_t three = lead & ~below(block, 0xE0), four = 0, bad = lead & below(block, 0xC2);
    if (three) {
        uint64_t e0 = equal(block, 0xE0), ed = equal(block, 0xED);
        uint64_t low = e0 | ed ? below(block, 0xA0) : 0;
        bad |= (e0 << 1 & low) | (ed << 1 & ~low);
        four = lead & ~below(block, 0xF0);
    }
    if (four) {
        uint64_t low = below(block, 0x90);
        bad |= (equal(block, 0xF0) << 1 & low) | (equal(block, 0xF4) << 1 & ~low) | (lead & ~below(block, 0xF5));
    }
    if (bad || (lead << 1 | three << 2 | four << 3) != rest) return 0;
    if (lead >> 63) return BLOCK - 1;
    if (three >> 62) return BLOCK - 2;
    return four >> 61 ? BLOCK - 3 : BLOCK;
}

/* Bytes at the front that are well-formed, as far as blocks tell. */
static size_t utf8_blocks(const unsigned char *data, size_t length)
{
    size_t at = 0, step = BLOCK;
    for (; length - at >= BLOCK && step; at += step) step = utf8_block(data + at);
    return at;
}

#else

static size_t utf8_blocks(const unsigned char *data, size_t length)
{
    (void)data, (void)length;
    return 0;
}

#endif

size_t mr_utf8_check(const char *data, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)data;
    const uint64_t high = UINT64_C(0x8080808080808080);
    size_t at = utf8_blocks(bytes, length);
    while (at < length) {
        if (bytes[at] < 0x80) { /* ASCII runs, eight at a time */
            while (length - at >= 8 && (load_word(bytes + at) & high) == 0) at += 8;
            while (at < length && bytes[at] < 0x80) at++;
            continue;
        }
        size_t step = length - at >= 4 ? utf8_sequence_inside(bytes + at) : utf8_sequence(bytes + at, length - at);
        if (step == 0) return at;
        at += step;
    }
    return length;
}

size_t mr_utf8_subpart(const char *data, size_t length, bool *complete)
{
    const unsigned char *s = (const unsigned char *)data;
    *complete = s[0] < 0x80;
    if (s[0] < 0xC2 || s[0] > 0xF4) return 1;
    size_t need = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
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
        if (!mr_buf_append_str(out, "\xEF\xBF\xBD")) return false;
        data += bad;
        length -= bad;
    }
    return true;
}

#define NEAREST_MAX 64

static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[NEAREST_MAX + 1];
    for (size_t j = 0; j <= b_length; j++) row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t substitute = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            size_t shorter = (row[j - 1] < row[j] ? row[j - 1] : row[j]) + 1;
            diagonal = row[j];
            row[j] = substitute < shorter ? substitute : shorter;
        }
    }
    return row[b_length];
}

const char *mr_str_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t length = strlen(word);
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    if (length > NEAREST_MAX) return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t candidate_length = strlen(candidates[i]);
        if (candidate_length > NEAREST_MAX) continue;
        size_t longest = length > candidate_length ? length : candidate_length;
        size_t distance = edit_distance(word, length, candidates[i], candidate_length);
        if (distance <= (longest + 2) / 3 && distance < best) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

char *mr_str_bytes(char out[16], uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024.0 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024.0;
        unit++;
    }
    snprintf(out, 16, unit == 0 || value >= 100.0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

bool mr_str_parse_bytes(const char *text, uint64_t *out)
{
    if (!isdigit((unsigned char)*text)) return false;
    char *end;
    double value = strtod(text, &end);
    double multiple = 1.0;
    static const char letters[] = "kmgt";
    if (*end) {
        const char *letter = strchr(letters, tolower((unsigned char)*end));
        if (letter && *letter) {
            for (const char *c = letters; c <= letter; c++) multiple *= 1024.0;
            end++;
            if (tolower((unsigned char)*end) == 'i') end++;
        }
        if (tolower((unsigned char)*end) == 'b') end++;
    }
    if (*end || !(value * multiple < 9.2e18)) return false;
    *out = (uint64_t)(value * multiple);
    return true;
}
