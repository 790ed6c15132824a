/* Classes of characters, as the well-known splitting patterns tell them apart. */
#ifndef MR_TOKENIZER_SPLIT_KIND_H
#define MR_TOKENIZER_SPLIT_KIND_H

#include "tokenizer/unicode.h"

enum {
    MR_LETTER = 1,
    MR_NUMBER = 2,
    MR_SPACE = 4,
    MR_LINE_END = 8,      /* CR, LF; also MR_SPACE */
    MR_MAY_BE_UPPER = 16, /* Lu Lt Lm Lo M */
    MR_MAY_BE_LOWER = 32, /* Ll Lm Lo M */
    MR_HAN = 64,
    MR_SIGN = 128, /* P and S */
};
#define MR_WORD (MR_MAY_BE_UPPER | MR_MAY_BE_LOWER) /* L and M, but no other */

extern const uint8_t mr_kind_of_ascii[128];
extern const uint8_t mr_kind_of_category[32];

/* Kind of a code point beyond ASCII. */
static inline unsigned mr_kind_of(uint32_t c)
{
    uint32_t record = mr_unicode_lookup(c);
    unsigned kind = mr_kind_of_category[record >> 5 & 31];
    if (record >> 21 & 1) kind |= MR_SPACE;
    if (record >> 22 & 1) kind |= MR_HAN;
    return kind;
}

/* Kind of the character at `at`, and where the next begins. At the end of the text: 0 and no step. */
static inline unsigned mr_kind_at(mr_str text, size_t at, size_t *next)
{
    if (at >= text.length) return *next = at, 0;
    unsigned char byte = (unsigned char)text.data[at];
    if (byte < 0x80) return *next = at + 1, mr_kind_of_ascii[byte];
    size_t length;
    uint32_t c = mr_utf8_decode(text.data + at, &length);
    *next = at + length;
    return mr_kind_of(c);
}

/* What DeepSeek-V3's second expression takes: Han, Hiragana, Katakana, whatever is assigned there. */
static inline bool mr_is_cjk(uint32_t c)
{
    return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x4E00 && c <= 0x9FA5);
}

#endif
