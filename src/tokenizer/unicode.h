/* Facts about code points and UTF-8, each from the Unicode version the reference uses for that purpose.
 *
 * Tables: unicode_tables.c, made by tables/make_tables.pl (which lists the versions). Two levels: blocks of 128
 * code points, equal blocks stored once. */
#ifndef MR_TOKENIZER_UNICODE_H
#define MR_TOKENIZER_UNICODE_H

#include "core/str.h"

#define MR_CODE_POINT_MAX 0x10FFFF
#define MR_REPLACEMENT 0xFFFD /* REPLACEMENT CHARACTER */
#define MR_REPLACEMENT_UTF8 "\xEF\xBF\xBD"

/* Order of @CATEGORY in make_tables.pl. */
enum mr_category {
    MR_CN, MR_CC, MR_CF, MR_CO, MR_CS, MR_LL, MR_LM, MR_LO, MR_LT, MR_LU, MR_MC, MR_ME, MR_MN, MR_ND, MR_NL, MR_NO,
    MR_PC, MR_PD, MR_PE, MR_PF, MR_PI, MR_PO, MR_PS, MR_SC, MR_SK, MR_SM, MR_SO, MR_ZL, MR_ZP, MR_ZS
};
#define MR_CATEGORY_BIT(category) (UINT32_C(1) << (category))
#define MR_CATEGORIES_L (MR_CATEGORY_BIT(MR_LL) | MR_CATEGORY_BIT(MR_LM) | MR_CATEGORY_BIT(MR_LO) | MR_CATEGORY_BIT(MR_LT) | MR_CATEGORY_BIT(MR_LU))
#define MR_CATEGORIES_M (MR_CATEGORY_BIT(MR_MC) | MR_CATEGORY_BIT(MR_ME) | MR_CATEGORY_BIT(MR_MN))
#define MR_CATEGORIES_N (MR_CATEGORY_BIT(MR_ND) | MR_CATEGORY_BIT(MR_NL) | MR_CATEGORY_BIT(MR_NO))
#define MR_CATEGORIES_P (MR_CATEGORY_BIT(MR_PC) | MR_CATEGORY_BIT(MR_PD) | MR_CATEGORY_BIT(MR_PE) | MR_CATEGORY_BIT(MR_PF) | \
                         MR_CATEGORY_BIT(MR_PI) | MR_CATEGORY_BIT(MR_PO) | MR_CATEGORY_BIT(MR_PS))
#define MR_CATEGORIES_S (MR_CATEGORY_BIT(MR_SC) | MR_CATEGORY_BIT(MR_SK) | MR_CATEGORY_BIT(MR_SM) | MR_CATEGORY_BIT(MR_SO))

enum mr_grapheme_break { MR_BREAK_OTHER, MR_BREAK_EXTENDING, MR_BREAK_PREPEND, MR_BREAK_CONTROL, MR_BREAK_CR, MR_BREAK_LF };

extern const uint16_t mr_unicode_record_index_block[];
extern const uint8_t mr_unicode_record_index[];
extern const uint32_t mr_unicode_record[];
extern const uint8_t mr_unicode_lower_index_block[];
extern const uint8_t mr_unicode_lower_index[];
extern const int32_t mr_unicode_lower_delta[];
extern const uint8_t mr_unicode_decomposition_block[];
extern const uint16_t mr_unicode_decomposition[];
/* At each offset of mr_unicode_decomposition: canonical count | compatibility count << 8, then the code points
 * of the full canonical and of the full compatibility decomposition (0 of either: not given, see normal_forms.c). */
extern const uint32_t mr_unicode_decomposition_pool[];
extern const size_t mr_unicode_composition_count;
extern const uint32_t mr_unicode_composition[][3]; /* first, second, composed; sorted by the first two */

static inline uint32_t mr_unicode_lookup(uint32_t c)
{
    return mr_unicode_record[mr_unicode_record_index[(size_t)mr_unicode_record_index_block[c >> 7] * 128 + (c & 127)]];
}

/* Category of Unicode 8.0 (BERT) and of 16.0 (regular expressions), as a bit for MR_CATEGORIES_*. */
static inline uint32_t mr_unicode_category8(uint32_t c) { return MR_CATEGORY_BIT(mr_unicode_lookup(c) & 31); }
static inline uint32_t mr_unicode_category16(uint32_t c) { return MR_CATEGORY_BIT(mr_unicode_lookup(c) >> 5 & 31); }
static inline enum mr_grapheme_break mr_unicode_break(uint32_t c) { return (enum mr_grapheme_break)(mr_unicode_lookup(c) >> 10 & 7); }
/* Canonical combining class of Unicode 9.0. */
static inline uint32_t mr_unicode_class(uint32_t c) { return mr_unicode_lookup(c) >> 13 & 255; }
/* The 25 of White_Space. */
static inline bool mr_unicode_is_space(uint32_t c) { return mr_unicode_lookup(c) >> 21 & 1; }
static inline bool mr_unicode_is_han(uint32_t c) { return mr_unicode_lookup(c) >> 22 & 1; }
/* \w: Alphabetic, M, Nd, Nl, Pc and the two joiners. */
static inline bool mr_unicode_is_word(uint32_t c) { return mr_unicode_lookup(c) >> 23 & 1; }
/* Assigned between 14.0 and 16.0: unknown to the regular expression library of Debian 12. */
static inline bool mr_unicode_is_newer(uint32_t c) { return mr_unicode_lookup(c) >> 24 & 1; }

/* A text may not be in NFC (NFKC) if it has this: Quick_Check is not Yes (Unicode 9.0). */
static inline bool mr_unicode_breaks_nfc(uint32_t record, bool compatible) { return record >> (compatible ? 26 : 25) & 1; }

/* Lower case of Unicode 17.0, one to one; U+0130, which becomes `i` U+0307, is left to the caller. */
static inline uint32_t mr_unicode_lower(uint32_t c)
{
    return (uint32_t)((int32_t)c + mr_unicode_lower_delta[mr_unicode_lower_index[(size_t)mr_unicode_lower_index_block[c >> 7] * 128 + (c & 127)]]);
}

/* The punctuation of BertPreTokenizer and Punctuation. */
static inline bool mr_unicode_is_bert_punctuation(uint32_t c)
{
    if (c < 0x80) return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) || (c >= 0x7B && c <= 0x7E);
    return (mr_unicode_category8(c) & MR_CATEGORIES_P) != 0;
}

/* ---------------------------------------------------------------- UTF-8 (text known to be well-formed) */

static inline size_t mr_utf8_length(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }
static inline size_t mr_utf8_encoded_length(uint32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

/* The code point at `text`; *length its bytes. */
static inline uint32_t mr_utf8_decode(const char *text, size_t *length)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) return *length = 1, s[0];
    if (s[0] < 0xE0) return *length = 2, (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu);
    if (s[0] < 0xF0) return *length = 3, (s[0] & 0x0Fu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu);
    return *length = 4, (s[0] & 0x07u) << 18 | (s[1] & 0x3Fu) << 12 | (s[2] & 0x3Fu) << 6 | (s[3] & 0x3Fu);
}

/* Start of the code point that ends before `at` (at > 0). */
static inline size_t mr_utf8_before(const char *text, size_t at)
{
    do at--;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80);
    return at;
}

/* Writes at most 4 bytes, returns how many. */
static inline size_t mr_utf8_encode(uint32_t c, char out[4])
{
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) return out[0] = (char)(0xC0 | c >> 6), out[1] = (char)(0x80 | (c & 0x3F)), 2;
    if (c < 0x10000) return out[0] = (char)(0xE0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 0x3F)), out[2] = (char)(0x80 | (c & 0x3F)), 3;
    return out[0] = (char)(0xF0 | c >> 18), out[1] = (char)(0x80 | (c >> 12 & 0x3F)), out[2] = (char)(0x80 | (c >> 6 & 0x3F)), out[3] = (char)(0x80 | (c & 0x3F)), 4;
}

/* True when all bytes are below 0x80. */
bool mr_is_ascii(const char *data, size_t length);
size_t mr_utf8_count(mr_str text); /* code points */

/* ---------------------------------------------------------------- normal forms (Unicode 9.0) */

typedef enum mr_normal_form { MR_NFC, MR_NFD, MR_NFKC, MR_NFKD } mr_normal_form;

/* Code points waiting for their canonical order; reusable, zero-initialise. */
typedef struct mr_marks {
    uint32_t *items; /* code point | class << 24 */
    size_t count;
    size_t capacity;
} mr_marks;

void mr_marks_fini(mr_marks *marks);
/* Adds a code point of class > 0. */
bool mr_marks_add(mr_marks *marks, uint32_t c, uint32_t class);
/* Sorts stably by class. False when out of memory. */
bool mr_marks_sort(mr_marks *marks);

#define MR_DECOMPOSITION_MAX 18 /* longest full decomposition: U+FDFA */
/* Full decomposition of one code point, itself when it has none; returns the count. */
size_t mr_unicode_decompose(uint32_t c, bool compatible, uint32_t out[MR_DECOMPOSITION_MAX]);
/* 0 when the two do not compose. */
uint32_t mr_unicode_compose(uint32_t first, uint32_t second);
/* True when `text` is known to be in that form already; false when it may not be. */
bool mr_unicode_is_normal(mr_normal_form form, mr_str text);
/* Appends the normal form of `text`. False when out of memory. */
bool mr_unicode_normalize(mr_normal_form form, mr_str text, mr_marks *marks, mr_buf *out);

#endif
