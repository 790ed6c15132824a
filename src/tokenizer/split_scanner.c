#include "tokenizer/split_scanner.h"

#include <string.h>

#include "tokenizer/split_kind.h"

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

/* ---------------------------------------------------------------- runs */

/* End of the run of characters that have a bit of `mask` and none of `without`. */
static size_t run_end(mr_str text, size_t at, unsigned mask, unsigned without)
{
    size_t next;
    for (; at < text.length; at = next) {
        unsigned kind = mr_kind_at(text, at, &next);
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
        if (mr_kind_at(text, end, &next) & (MR_LETTER | MR_NUMBER | MR_SPACE)) break;
    if (end == start) return at;
    if (scanner->words == MR_WORDS_GPT2) return end;
    while (end < text.length && (text.data[end] == '\r' || text.data[end] == '\n' || (scanner->slash && text.data[end] == '/'))) end++;
    return end;
}

static bool is_cjk(mr_str text, size_t at)
{
    size_t length;
    if ((unsigned char)text.data[at] < 0xE3) return false;
    return mr_is_cjk(mr_utf8_decode(text.data + at, &length));
}

/* `\s*[\r\n]+|\s+(?!\S)|\s+`; GPT-2 without the first. For DeepSeek's third expression numbers and CJK are the end of the text. */
static size_t blanks(const mr_scanner *scanner, mr_str text, size_t at)
{
    size_t end = at, next, last = at, line_end = 0;
    unsigned kind = 0;
    for (; end < text.length; end = next) {
        kind = mr_kind_at(text, end, &next);
        if (!(kind & MR_SPACE)) break;
        if (kind & MR_LINE_END) line_end = next;
        last = end;
    }
    if (line_end && scanner->words != MR_WORDS_GPT2) return line_end;
    if (end == text.length || last == at) return end;
    if (scanner->words == MR_WORDS_DEEPSEEK && ((kind & MR_NUMBER) || is_cjk(text, end))) return end;
    return last; /* the last blank belongs to what follows */
}

/* FRONT and letters. */
static size_t letters(mr_str text, size_t at, unsigned kind, size_t next)
{
    size_t start = kind & (MR_LETTER | MR_NUMBER | MR_LINE_END) ? at : next;
    size_t end = run_end(text, start, MR_LETTER, 0);
    return end > start ? end : at;
}

/* UPPER* LOWER+ from `at`. Greedy: all of the UPPER run, then LOWER; if none is left, UPPER gives back characters until
 * one can stand in LOWER. */
static size_t upper_lower(mr_str text, size_t at, unsigned without)
{
    size_t end = at, next, both = at;
    for (; end < text.length; end = next) {
        unsigned kind = mr_kind_at(text, end, &next);
        if (!(kind & MR_MAY_BE_UPPER) || (kind & without)) break;
        if (kind & MR_MAY_BE_LOWER) both = next;
    }
    size_t lower = run_end(text, end, MR_MAY_BE_LOWER, without);
    return lower > end ? lower : both;
}

/* The two word alternatives of o200k. FRONT may be a mark, which may also begin the word itself. */
static size_t cased_word(mr_str text, size_t at, unsigned kind, size_t next, unsigned without)
{
    bool front = !(kind & (MR_LETTER | MR_NUMBER | MR_LINE_END));
    size_t end = front ? upper_lower(text, next, without) : next;
    if (!front || end == next) end = upper_lower(text, at, without);
    if (end > at) return contraction(text, end, true);
    if (front) {
        end = run_end(text, next, MR_MAY_BE_UPPER, without);
        if (end > next) return contraction(text, run_end(text, end, MR_MAY_BE_LOWER, without), true);
    }
    end = run_end(text, at, MR_MAY_BE_UPPER, without);
    return end > at ? contraction(text, run_end(text, end, MR_MAY_BE_LOWER, without), true) : at;
}

static size_t numbers(const mr_scanner *scanner, mr_str text, size_t at)
{
    size_t next = at, before;
    for (size_t i = 0; i < scanner->digits; i++) {
        before = next;
        if (!(mr_kind_at(text, before, &next) & MR_NUMBER)) return before;
    }
    return next;
}

static size_t ascii_letters(mr_str text, size_t at)
{
    while (at < text.length && (text.data[at] & 0x80) == 0 && (mr_kind_of_ascii[(unsigned char)text.data[at]] & MR_LETTER)) at++;
    return at;
}

/* End of a run within CJK, or outside of it. */
static size_t side_end(mr_str text, size_t at, unsigned mask, bool cjk)
{
    size_t next;
    for (; at < text.length; at = next)
        if (!(mr_kind_at(text, at, &next) & mask) || is_cjk(text, at) != cjk) break;
    return at;
}

/* A match of DeepSeek's first expression or, as between matches of the first two, of the third. */
static size_t deepseek_word(const mr_scanner *scanner, mr_str text, size_t at)
{
    size_t next, end;
    unsigned kind = mr_kind_at(text, at, &next);
    if (kind & MR_NUMBER) return numbers(scanner, text, at);
    if ((kind & MR_SIGN) && (text.data[at] & 0x80) == 0 && (end = ascii_letters(text, next)) > next) return end;
    bool cjk = is_cjk(text, at);
    if (kind & MR_WORD) return side_end(text, at, MR_WORD, cjk);
    if (!(kind & (MR_SIGN | MR_LINE_END)) && (end = side_end(text, next, MR_WORD, cjk)) > next) return end;
    size_t start = at + (text.data[at] == ' ');
    if ((end = side_end(text, start, MR_SIGN, cjk)) > start) {
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
    unsigned kind = mr_kind_at(text, at, &next);
    if (begins(text, at, CLIP_START)) return at + strlen(CLIP_START);
    if (begins(text, at, CLIP_END)) return at + strlen(CLIP_END);
    if ((end = contraction(text, at, false)) > at) return end;
    if (kind & MR_LETTER) return run_end(text, at, MR_LETTER, 0);
    if (kind & MR_NUMBER) return next;
    for (end = at; end < text.length; end = next)
        if (mr_kind_at(text, end, &next) & (MR_LETTER | MR_NUMBER | MR_SPACE)) break;
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
    unsigned kind = mr_kind_at(text, at, &next);
    *gap = false;
    bool cased = scanner->words >= MR_WORDS_CASED;
    unsigned without = scanner->words == MR_WORDS_CASED_HAN ? MR_HAN : 0;
    if (without && (kind & MR_HAN)) return run_end(text, at, MR_HAN, 0);
    if (!cased && (end = contraction(text, at, scanner->words != MR_WORDS_GPT2)) > at) return end;
    if (cased) end = cased_word(text, at, kind, next, without);
    else if (scanner->words == MR_WORDS_LETTERS) end = letters(text, at, kind, next);
    else end = spaced_run(text, at, MR_LETTER);
    if (end > at) return end;
    end = scanner->digits ? numbers(scanner, text, at) : spaced_run(text, at, MR_NUMBER);
    if (end > at) return end;
    end = others(scanner, text, at);
    if (end > at) return end;
    end = blanks(scanner, text, at);
    return end > at ? end : next;
}
