/* NFC, NFD, NFKC, NFKD: Unicode Standard Annex 15, with the tables of Unicode 9.0. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/unicode.h"

/* Hangul syllables are composed by arithmetic (Unicode Standard 3.12). */
enum { S_BASE = 0xAC00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11A7, L_COUNT = 19, V_COUNT = 21, T_COUNT = 28 };
enum { S_COUNT = L_COUNT * V_COUNT * T_COUNT };

void mr_marks_fini(mr_marks *marks)
{
    free(marks->items);
    *marks = (mr_marks){ 0 };
}

static bool marks_reserve(mr_marks *marks, size_t capacity)
{
    if (capacity <= marks->capacity) return true;
    if (capacity < 2 * marks->capacity) capacity = 2 * marks->capacity;
    if (capacity < 32) capacity = 32;
    if (capacity > SIZE_MAX / sizeof *marks->items) return false;
    uint32_t *grown = realloc(marks->items, capacity * sizeof *grown);
    if (!grown) return false;
    marks->items = grown;
    marks->capacity = capacity;
    return true;
}

bool mr_marks_add(mr_marks *marks, uint32_t c, uint32_t class)
{
    if (!marks_reserve(marks, marks->count + 1)) return false;
    marks->items[marks->count++] = c | class << 24;
    return true;
}

#define FEW_MARKS 16 /* insertion sort up to here; long runs are hostile and need linear time */

bool mr_marks_sort(mr_marks *marks)
{
    uint32_t *items = marks->items;
    if (marks->count <= FEW_MARKS) {
        for (size_t i = 1; i < marks->count; i++) {
            uint32_t item = items[i];
            size_t at = i;
            for (; at > 0 && items[at - 1] >> 24 > item >> 24; at--) items[at] = items[at - 1];
            items[at] = item;
        }
        return true;
    }
    if (!marks_reserve(marks, 2 * marks->count)) return false;
    items = marks->items;
    size_t start[257] = { 0 };
    for (size_t i = 0; i < marks->count; i++) start[(items[i] >> 24) + 1]++;
    for (size_t class = 0; class < 256; class++) start[class + 1] += start[class];
    uint32_t *sorted = items + marks->count;
    for (size_t i = 0; i < marks->count; i++) sorted[start[items[i] >> 24]++] = items[i];
    memcpy(items, sorted, marks->count * sizeof *items);
    return true;
}

size_t mr_unicode_decompose(uint32_t c, bool compatible, uint32_t out[MR_DECOMPOSITION_MAX])
{
    if (c - S_BASE < S_COUNT) {
        uint32_t index = c - S_BASE;
        out[0] = L_BASE + index / (V_COUNT * T_COUNT);
        out[1] = V_BASE + index % (V_COUNT * T_COUNT) / T_COUNT;
        out[2] = T_BASE + index % T_COUNT;
        return index % T_COUNT ? 3 : 2;
    }
    const uint32_t *entry = mr_unicode_decomposition_pool + mr_unicode_decomposition[(size_t)mr_unicode_decomposition_block[c >> 7] * 128 + (c & 127)];
    size_t canonical = *entry & 255, compatibility = *entry >> 8;
    const uint32_t *from = entry + 1;
    size_t count = canonical;
    if (compatible && compatibility) {
        from += canonical;
        count = compatibility;
    }
    if (count == 0) return out[0] = c, 1;
    memcpy(out, from, count * sizeof *out);
    return count;
}

uint32_t mr_unicode_compose(uint32_t first, uint32_t second)
{
    if (first - L_BASE < L_COUNT && second - V_BASE < V_COUNT) return S_BASE + ((first - L_BASE) * V_COUNT + (second - V_BASE)) * T_COUNT;
    if (first - S_BASE < S_COUNT && (first - S_BASE) % T_COUNT == 0 && second - T_BASE - 1 < T_COUNT - 1) return first + (second - T_BASE);
    size_t low = 0, high = mr_unicode_composition_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const uint32_t *entry = mr_unicode_composition[middle];
        if (entry[0] == first && entry[1] == second) return entry[2];
        if (entry[0] < first || (entry[0] == first && entry[1] < second)) low = middle + 1;
        else high = middle;
    }
    return 0;
}

static bool append(mr_buf *out, uint32_t c)
{
    if (!mr_buf_reserve(out, 4)) return false;
    out->length += mr_utf8_encode(c, out->data + out->length);
    return true;
}

/* The last starter and the marks behind it, until it is known that nothing more joins them. */
typedef struct writer {
    mr_marks *marks;
    mr_buf *out;
    uint32_t starter;
    bool has_starter;
    bool compose;
} writer;

/* Canonical order, then every mark that composes with the starter goes into it. */
static bool settle(writer *w)
{
    if (w->marks->count == 0) return true;
    if (!mr_marks_sort(w->marks)) return false;
    if (!w->compose || !w->has_starter) return true;
    uint32_t *items = w->marks->items;
    uint32_t last_class = 0; /* a mark is blocked when one of its class was kept before it */
    size_t kept = 0;
    for (size_t i = 0; i < w->marks->count; i++) {
        uint32_t class = items[i] >> 24;
        uint32_t composed = class > last_class ? mr_unicode_compose(w->starter, items[i] & 0xFFFFFF) : 0;
        if (composed) {
            w->starter = composed;
        } else {
            items[kept++] = items[i];
            last_class = class;
        }
    }
    w->marks->count = kept;
    return true;
}

static bool write_out(writer *w)
{
    if (w->has_starter && !append(w->out, w->starter)) return false;
    for (size_t i = 0; i < w->marks->count; i++)
        if (!append(w->out, w->marks->items[i] & 0xFFFFFF)) return false;
    w->marks->count = 0;
    return true;
}

static bool put_starter(writer *w, uint32_t c)
{
    if (!settle(w)) return false;
    /* Nothing below U+0300 is the second half of a composition. */
    if (w->compose && w->has_starter && w->marks->count == 0 && c >= 0x300) {
        uint32_t composed = mr_unicode_compose(w->starter, c);
        if (composed) return w->starter = composed, true;
    }
    if (!write_out(w)) return false;
    w->starter = c;
    w->has_starter = true;
    return true;
}

/* Lead bytes whose characters all are in NFC and NFKC wherever they stand: ASCII, U+00C0-00FF, most of Cyrillic, U+4000-9FFF, U+B000-DFFF. */
static inline bool is_plain_lead(unsigned char lead)
{
    return lead < 0x80 || lead == 0xC3 || lead == 0xD0 || lead == 0xD1 || (lead >= 0xE4 && lead <= 0xE9) || (lead >= 0xEB && lead <= 0xED);
}

bool mr_unicode_is_normal(mr_normal_form form, mr_str text)
{
    if (mr_is_ascii(text.data, text.length)) return true;
    if (form == MR_NFD || form == MR_NFKD) return false;
    uint32_t last = 0;
    for (size_t at = 0, length; at < text.length; at += length) {
        unsigned char lead = (unsigned char)text.data[at];
        if (is_plain_lead(lead)) {
            length = mr_utf8_length(lead);
            last = 0;
            continue;
        }
        uint32_t record = mr_unicode_lookup(mr_utf8_decode(text.data + at, &length)), class = record >> 13 & 255;
        if (mr_unicode_breaks_nfc(record, form == MR_NFKC) || (class && class < last)) return false;
        last = class;
    }
    return true;
}

bool mr_unicode_normalize(mr_normal_form form, mr_str text, mr_marks *marks, mr_buf *out)
{
    bool compatible = form == MR_NFKC || form == MR_NFKD;
    writer w = { .marks = marks, .out = out, .compose = form == MR_NFC || form == MR_NFKC };
    marks->count = 0;
    for (size_t at = 0; at < text.length;) {
        size_t length;
        uint32_t c = mr_utf8_decode(text.data + at, &length);
        at += length;
        uint32_t parts[MR_DECOMPOSITION_MAX];
        size_t count = c < 0x80 ? (parts[0] = c, 1) : mr_unicode_decompose(c, compatible, parts);
        for (size_t i = 0; i < count; i++) {
            uint32_t class = parts[i] < 0x300 ? 0 : mr_unicode_class(parts[i]);
            if (class ? !mr_marks_add(marks, parts[i], class) : !put_starter(&w, parts[i])) return false;
        }
    }
    return settle(&w) && write_out(&w);
}
