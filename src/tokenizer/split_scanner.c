#include "tokenizer/split_scanner.h"

#include <string.h>

#include "tokenizer/unicode.h"

#define CONTRACTIONS "'s|'t|'re|'ve|'m|'ll|'d"
#define FRONT "[^\\r\\n\\p{L}\\p{N}]?"
#define TAIL "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define OTHERS " ?[^\\s\\p{L}\\p{N}]+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define NOT_HAN(class) "(?:(?!\\p{Han})" class ")"
#define CASED(upper, lower) \
    FRONT upper "*" lower "+(?i:" CONTRACTIONS ")?|" FRONT upper "+" lower "*(?i:" CONTRACTIONS ")?|\\p{N}{1,3}|" OTHERS

#define LETTERS(digits) "(?i:" CONTRACTIONS ")|" FRONT "\\p{L}+|" digits "|" OTHERS "[\\r\\n]*|" TAIL

const char mr_pattern_gpt2[] = CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+|" OTHERS "|\\s+(?!\\S)|\\s+";
const char mr_pattern_cl100k[] = LETTERS("\\p{N}{1,3}");
const char mr_pattern_qwen2[] = LETTERS("\\p{N}");
const char mr_pattern_o200k[] = CASED(UPPER, LOWER) "[\\r\\n/]*|" TAIL;
const char mr_pattern_kimi[] = "[\\p{Han}]+|" CASED(NOT_HAN(UPPER), NOT_HAN(LOWER)) "[\\r\\n]*|" TAIL;

/* Carriage return and line feed stand for themselves in the published one. */
const char mr_pattern_deepseek[] = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
                                   "\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
const char mr_pattern_numbers[] = "\\p{N}{1,3}";
const char mr_pattern_cjk[] = "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+";
#define CLIP_START "<|startoftext|>"
#define CLIP_END "<|endoftext|>"
const char mr_pattern_clip[] = "<\\|startoftext\\|>|<\\|endoftext\\|>|" CONTRACTIONS "|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

static const mr_scanner scanners[] = {
    { { mr_pattern_gpt2 }, MR_WORDS_GPT2, 0, false },
    { { mr_pattern_cl100k }, MR_WORDS_LETTERS, 3, false },
    { { mr_pattern_qwen2 }, MR_WORDS_LETTERS, 1, false },
    { { mr_pattern_numbers, mr_pattern_cjk, mr_pattern_deepseek }, MR_WORDS_DEEPSEEK, 3, false },
    { { mr_pattern_o200k }, MR_WORDS_CASED, 3, true },
    { { mr_pattern_kimi }, MR_WORDS_CASED_HAN, 3, false },
    { { mr_pattern_clip }, MR_WORDS_CLIP, 1, false },
};

const mr_scanner *mr_scanner_at(size_t index)
{
    return index < sizeof scanners / sizeof *scanners ? &scanners[index] : NULL;
}

const mr_scanner *mr_scanner_find(const mr_str *patterns, size_t count)
{
    const mr_scanner *scanner;
    for (size_t i = 0; (scanner = mr_scanner_at(i)); i++) {
        size_t same = 0;
        while (same < count && scanner->patterns[same] && mr_str_equal(mr_str_of(scanner->patterns[same]), patterns[same])) same++;
        if (same == count && (same == MR_SCANNER_PATTERNS || !scanner->patterns[same])) return scanner;
    }
    return NULL;
}

/* ---------------------------------------------------------------- character classes */

enum {
    LETTER = 1,
    NUMBER = 2,
    SPACE = 4,
    LINE_END = 8, /* CR, LF; also SPACE */
    IS_UPPER = 16, /* may stand in UPPER */
    IS_LOWER = 32, /* may stand in LOWER */
    HAN = 64,
    SIGN = 128, /* P and S */
};

#define WORD (IS_UPPER | IS_LOWER) /* L and M, but no other */

static const uint8_t kind_of_category[32] = {
    [MR_LU] = LETTER | IS_UPPER, [MR_LT] = LETTER | IS_UPPER, [MR_LL] = LETTER | IS_LOWER, [MR_LM] = LETTER | IS_UPPER | IS_LOWER,
    [MR_LO] = LETTER | IS_UPPER | IS_LOWER, [MR_MC] = IS_UPPER | IS_LOWER, [MR_ME] = IS_UPPER | IS_LOWER, [MR_MN] = IS_UPPER | IS_LOWER,
    [MR_ND] = NUMBER, [MR_NL] = NUMBER, [MR_NO] = NUMBER,
    [MR_PC] = SIGN, [MR_PD] = SIGN, [MR_PE] = SIGN, [MR_PF] = SIGN, [MR_PI] = SIGN, [MR_PO] = SIGN, [MR_PS] = SIGN,
    [MR_SC] = SIGN, [MR_SK] = SIGN, [MR_SM] = SIGN, [MR_SO] = SIGN,
};

/* Rows of 16: controls (TAB LF VT FF CR are space), space and punctuation, digits, upper case, lower case. */
#define A LETTER | IS_UPPER
#define B LETTER | IS_LOWER
#define S SPACE
#define L SPACE | LINE_END
#define N NUMBER
#define P SIGN
static const uint8_t kind_of_ascii[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, S, L, S, S, L, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    S, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, N, N, N, N, N, N, N, N, N, N, P, P, P, P, P, P,
    P, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, P, P, P, P, P,
    P, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B, P, P, P, P, 0,
};
#undef A
#undef B
#undef S
#undef L
#undef N
#undef P

/* Class of the character at `at`, and where the next begins. At the end of the text: 0 and no step. */
static inline unsigned kind_at(mr_str text, size_t at, size_t *next)
{
    if (at >= text.length) return *next = at, 0;
    unsigned char byte = (unsigned char)text.data[at];
    if (byte < 0x80) return *next = at + 1, kind_of_ascii[byte];
    size_t length;
    uint32_t record = mr_unicode_lookup(mr_utf8_decode(text.data + at, &length));
    *next = at + length;
    unsigned kind = kind_of_category[record >> 5 & 31];
    if (record >> 21 & 1) kind |= SPACE;
    if (record >> 22 & 1) kind |= HAN;
    return kind;
}

/* End of the run of characters that have a bit of `mask` and none of `without`. */
static size_t run_end(mr_str text, size_t at, unsigned mask, unsigned without)
{
    size_t next;
    for (; at < text.length; at = next) {
        unsigned kind = kind_at(text, at, &next);
        if (!(kind & mask) || (kind & without)) break;
    }
    return at;
}

/* ---------------------------------------------------------------- alternatives; each returns `at` when it fails */

static char folded(mr_str text, size_t at)
{
    return at < text.length ? (char)(text.data[at] | 0x20) : '\0';
}

/* CONTRACTIONS, with `(?i:` when `fold`: then the long s (U+017F) counts as s. */
static size_t contraction(mr_str text, size_t at, bool fold)
{
    if (at >= text.length || text.data[at] != '\'') return at;
    size_t left = text.length - at;
    if (fold && left >= 3 && text.data[at + 1] == '\xC5' && text.data[at + 2] == '\xBF') return at + 3;
    char first = folded(text, at + 1), second = folded(text, at + 2);
    if (!fold && left >= 2 && text.data[at + 1] != first) return at;
    switch (first) {
    case 's': case 't': case 'm': case 'd': return at + 2;
    case 'r': case 'v': case 'l':
        if (second != (first == 'l' ? 'l' : 'e') || (!fold && text.data[at + 2] != second)) return at;
        return at + 3;
    default: return at;
    }
}

/* ` ?` and a run of the class. */
static size_t spaced_run(mr_str text, size_t at, unsigned mask)
{
    size_t start = at + (text.data[at] == ' '), end = run_end(text, start, mask, 0);
    return end > start ? end : at;
}

/* OTHERS and what may follow. */
static size_t others(const mr_scanner *scanner, mr_str text, size_t at)
{
    size_t start = at + (text.data[at] == ' '), end = start, next;
    for (; end < text.length; end = next)
        if (kind_at(text, end, &next) & (LETTER | NUMBER | SPACE)) break;
    if (end == start) return at;
    if (scanner->words == MR_WORDS_GPT2) return end;
    while (end < text.length && (text.data[end] == '\r' || text.data[end] == '\n' || (scanner->slash && text.data[end] == '/'))) end++;
    return end;
}

static bool is_cjk(mr_str text, size_t at)
{
    size_t length;
    if ((unsigned char)text.data[at] < 0xE3) return false;
    uint32_t c = mr_utf8_decode(text.data + at, &length);
    return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x4E00 && c <= 0x9FA5);
}

/* `\s*[\r\n]+|\s+(?!\S)|\s+`; GPT-2 without the first. For DeepSeek's third expression numbers and CJK are the end of the text. */
static size_t blanks(const mr_scanner *scanner, mr_str text, size_t at)
{
    size_t end = at, next, last = at, line_end = 0;
    unsigned kind = 0;
    for (; end < text.length; end = next) {
        kind = kind_at(text, end, &next);
        if (!(kind & SPACE)) break;
        if (kind & LINE_END) line_end = next;
        last = end;
    }
    if (line_end && scanner->words != MR_WORDS_GPT2) return line_end;
    if (end == text.length || last == at) return end;
    if (scanner->words == MR_WORDS_DEEPSEEK && ((kind & NUMBER) || is_cjk(text, end))) return end;
    return last; /* the last blank belongs to what follows */
}

/* FRONT and letters. */
static size_t letters(mr_str text, size_t at, unsigned kind, size_t next)
{
    size_t start = kind & (LETTER | NUMBER | LINE_END) ? at : next;
    size_t end = run_end(text, start, LETTER, 0);
    return end > start ? end : at;
}

/* UPPER* LOWER+ from `at`. Greedy: all of the UPPER run, then LOWER; if none is left, UPPER gives back characters until
 * one can stand in LOWER. */
static size_t upper_lower(mr_str text, size_t at, unsigned without)
{
    size_t end = at, next, both = at;
    for (; end < text.length; end = next) {
        unsigned kind = kind_at(text, end, &next);
        if (!(kind & IS_UPPER) || (kind & without)) break;
        if (kind & IS_LOWER) both = next;
    }
    size_t lower = run_end(text, end, IS_LOWER, without);
    return lower > end ? lower : both;
}

/* The two word alternatives of o200k. FRONT may be a mark, which may also begin the word itself. */
static size_t cased_word(mr_str text, size_t at, unsigned kind, size_t next, unsigned without)
{
    bool front = !(kind & (LETTER | NUMBER | LINE_END));
    size_t end = front ? upper_lower(text, next, without) : next;
    if (!front || end == next) end = upper_lower(text, at, without);
    if (end > at) return contraction(text, end, true);
    if (front) {
        end = run_end(text, next, IS_UPPER, without);
        if (end > next) return contraction(text, run_end(text, end, IS_LOWER, without), true);
    }
    end = run_end(text, at, IS_UPPER, without);
    return end > at ? contraction(text, run_end(text, end, IS_LOWER, without), true) : at;
}

static size_t numbers(const mr_scanner *scanner, mr_str text, size_t at)
{
    size_t next = at, before;
    for (size_t i = 0; i < scanner->digits; i++) {
        before = next;
        if (!(kind_at(text, before, &next) & NUMBER)) return before;
    }
    return next;
}

static size_t ascii_letters(mr_str text, size_t at)
{
    while (at < text.length && (text.data[at] & 0x80) == 0 && (kind_of_ascii[(unsigned char)text.data[at]] & LETTER)) at++;
    return at;
}

/* End of a run within CJK, or outside of it. */
static size_t side_end(mr_str text, size_t at, unsigned mask, bool cjk)
{
    size_t next;
    for (; at < text.length; at = next)
        if (!(kind_at(text, at, &next) & mask) || is_cjk(text, at) != cjk) break;
    return at;
}

/* A match of DeepSeek's first expression or, as between matches of the first two, of the third. */
static size_t deepseek_word(const mr_scanner *scanner, mr_str text, size_t at)
{
    size_t next, end;
    unsigned kind = kind_at(text, at, &next);
    if (kind & NUMBER) return numbers(scanner, text, at);
    if ((kind & SIGN) && (text.data[at] & 0x80) == 0 && (end = ascii_letters(text, next)) > next) return end;
    bool cjk = is_cjk(text, at);
    if (kind & WORD) return side_end(text, at, WORD, cjk);
    if (!(kind & (SIGN | LINE_END)) && (end = side_end(text, next, WORD, cjk)) > next) return end;
    size_t start = at + (text.data[at] == ' ');
    if ((end = side_end(text, start, SIGN, cjk)) > start) {
        while (!cjk && end < text.length && (text.data[end] == '\r' || text.data[end] == '\n')) end++;
        return end;
    }
    return blanks(scanner, text, at);
}

static bool begins(mr_str text, size_t at, const char *with)
{
    size_t length = strlen(with);
    return text.length - at >= length && memcmp(text.data + at, with, length) == 0;
}

static size_t clip_word(mr_str text, size_t at)
{
    size_t next, end;
    unsigned kind = kind_at(text, at, &next);
    if (begins(text, at, CLIP_START)) return at + strlen(CLIP_START);
    if (begins(text, at, CLIP_END)) return at + strlen(CLIP_END);
    if ((end = contraction(text, at, false)) > at) return end;
    if (kind & LETTER) return run_end(text, at, LETTER, 0);
    if (kind & NUMBER) return next;
    for (end = at; end < text.length; end = next)
        if (kind_at(text, end, &next) & (LETTER | NUMBER | SPACE)) break;
    return end;
}

/* End of a match of a pattern that leaves gaps; `at` where none begins. */
static size_t match_end(const mr_scanner *scanner, mr_str text, size_t at)
{
    return scanner->words == MR_WORDS_CLIP ? clip_word(text, at) : deepseek_word(scanner, text, at);
}

static size_t next_with_gaps(const mr_scanner *scanner, mr_str text, size_t at, bool *gap)
{
    size_t end = match_end(scanner, text, at);
    *gap = end == at;
    if (end > at) return end;
    bool cjk = is_cjk(text, at); /* where that changes a gap of DeepSeek's ends; CLIP's are white space */
    do end += mr_utf8_length((unsigned char)text.data[end]);
    while (end < text.length && is_cjk(text, end) == cjk && match_end(scanner, text, end) == end);
    return end;
}

size_t mr_scanner_next(const mr_scanner *scanner, mr_str text, size_t at, bool *gap)
{
    if (scanner->words == MR_WORDS_CLIP || scanner->words == MR_WORDS_DEEPSEEK) return next_with_gaps(scanner, text, at, gap);
    size_t next, end = at;
    unsigned kind = kind_at(text, at, &next);
    *gap = false;
    bool cased = scanner->words >= MR_WORDS_CASED;
    unsigned without = scanner->words == MR_WORDS_CASED_HAN ? HAN : 0;
    if (without && (kind & HAN)) return run_end(text, at, HAN, 0);
    if (!cased && (end = contraction(text, at, scanner->words != MR_WORDS_GPT2)) > at) return end;
    if (cased) end = cased_word(text, at, kind, next, without);
    else if (scanner->words == MR_WORDS_LETTERS) end = letters(text, at, kind, next);
    else end = spaced_run(text, at, LETTER);
    if (end > at) return end;
    end = scanner->digits ? numbers(scanner, text, at) : spaced_run(text, at, NUMBER);
    if (end > at) return end;
    end = others(scanner, text, at);
    if (end > at) return end;
    end = blanks(scanner, text, at);
    return end > at ? end : next;
}
