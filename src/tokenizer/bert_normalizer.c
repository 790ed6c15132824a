/* BertNormalizer: clean, isolate Chinese characters, strip accents, lower-case; categories of Unicode 8.0. */
#include <string.h>

#include "tokenizer/normalizer.h"

uint32_t mr_bert_clean(uint32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r') return ' ';
    if (c == 0 || c == MR_REPLACEMENT) return 0;
    uint32_t category = mr_unicode_category8(c);
    if (category & (MR_CATEGORY_BIT(MR_CC) | MR_CATEGORY_BIT(MR_CF) | MR_CATEGORY_BIT(MR_CO))) return 0;
    return mr_unicode_is_space(c) ? ' ' : c;
}

bool mr_bert_is_chinese(uint32_t c)
{
    if (c < 0x3400) return false;
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

void mr_bert_normalizer_prepare(mr_bert_normalizer *normalizer)
{
    for (uint32_t c = 0; c < 128; c++) {
        uint32_t to = normalizer->clean_text ? mr_bert_clean(c) : c;
        normalizer->ascii[c] = (unsigned char)(normalizer->lowercase ? mr_unicode_lower(to) : to);
    }
}

typedef struct writer {
    const mr_bert_normalizer *normalizer;
    mr_marks *marks;
    mr_buf *out;
} writer;

/* Room for one code point, lower-cased, at the end of `out` is there. */
static void write_point(writer *w, uint32_t c)
{
    if (w->normalizer->lowercase) {
        if (c == 0x130) {
            memcpy(w->out->data + w->out->length, "i\xCC\x87", 3);
            w->out->length += 3;
            return;
        }
        c = mr_unicode_lower(c);
    }
    w->out->length += mr_utf8_encode(c, w->out->data + w->out->length);
}

static bool flush_marks(writer *w)
{
    mr_marks *marks = w->marks;
    if (marks->count == 0) return true;
    if (!mr_marks_sort(marks) || !mr_buf_reserve(w->out, 4 * marks->count)) return false;
    for (size_t i = 0; i < marks->count; i++) write_point(w, marks->items[i] & 0xFFFFFF);
    marks->count = 0;
    return true;
}

/* Accent stripping deletes Mn behind the canonical ordering; what is left keeps its order, so Mn never enters it. */
static bool put(writer *w, uint32_t c)
{
    if (!mr_buf_reserve(w->out, 4 * MR_DECOMPOSITION_MAX)) return false;
    if (!w->normalizer->strip_accents) return write_point(w, c), true;
    uint32_t parts[MR_DECOMPOSITION_MAX];
    size_t count = mr_unicode_decompose(c, false, parts);
    for (size_t i = 0; i < count; i++) {
        if (mr_unicode_category8(parts[i]) & MR_CATEGORY_BIT(MR_MN)) continue;
        uint32_t class = mr_unicode_class(parts[i]);
        if (class) {
            if (!mr_marks_add(w->marks, parts[i], class)) return false;
        } else {
            if (!flush_marks(w) || !mr_buf_reserve(w->out, 4 * MR_DECOMPOSITION_MAX)) return false;
            write_point(w, parts[i]);
        }
    }
    return true;
}

/* At the code point text[*at], not ASCII. */
static bool run_point(writer *w, mr_str text, size_t *at)
{
    size_t length;
    uint32_t c = mr_utf8_decode(text.data + *at, &length);
    *at += length;
    if (w->normalizer->clean_text) {
        c = mr_bert_clean(c);
        if (c == 0) return true;
    }
    if (!w->normalizer->handle_chinese_chars || !mr_bert_is_chinese(c)) return put(w, c);
    return put(w, ' ') && put(w, c) && put(w, ' ');
}

bool mr_bert_normalizer_run(const mr_bert_normalizer *normalizer, mr_marks *marks, mr_segment *segment, mr_buf *out)
{
    mr_str text = segment->text;
    writer w = { normalizer, marks, out };
    marks->count = 0;
    /* One byte in, at most one byte out for ASCII; other code points reserve their own room on top. */
    if (!mr_buf_reserve(out, text.length)) return false;
    size_t at = 0;
    while (at < text.length) {
        if ((unsigned char)text.data[at] >= 0x80) {
            if (!run_point(&w, text, &at)) return false;
            continue;
        }
        if (!flush_marks(&w) || !mr_buf_reserve(out, text.length - at)) return false;
        char *to = out->data + out->length;
        for (; at < text.length && (unsigned char)text.data[at] < 0x80; at++) {
            *to = (char)normalizer->ascii[(unsigned char)text.data[at]];
            /* U+0000 is text when nothing is cleaned. */
            to += *to != 0 || !normalizer->clean_text;
        }
        out->length = (size_t)(to - out->data);
    }
    if (!flush_marks(&w)) return false;
    /* Deleting the first character moves the text away from offset 0. */
    if (segment->at_origin && normalizer->clean_text) {
        size_t length;
        if (text.length && mr_bert_clean(mr_utf8_decode(text.data, &length)) == 0) segment->at_origin = false;
    }
    segment->text = (mr_str){ out->data, out->length };
    return true;
}
