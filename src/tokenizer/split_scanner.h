/* Hand-written forms of the well-known splitting patterns. They give exactly the matches of the regular expression
 * (tests compare them on random texts), many times faster. Most match at every place, so the matches of a text
 * cover it; what others leave between them is a gap. */
#ifndef MR_TOKENIZER_SPLIT_SCANNER_H
#define MR_TOKENIZER_SPLIT_SCANNER_H

#include "tokenizer/pieces.h"

/* What a match may be: GPT-2's words, cl100k's (letters with one character in front), DeepSeek-V3's (letters with one character in
 * front, within what numbers and runs of CJK leave), o200k's (by case, contraction behind), Kimi's (o200k without Han, runs of Han by
 * themselves), CLIP's (without white space). The matches of DeepSeek-V3's and CLIP's leave gaps. */
typedef enum mr_word_rule { MR_WORDS_GPT2, MR_WORDS_LETTERS, MR_WORDS_DEEPSEEK, MR_WORDS_CASED, MR_WORDS_CASED_HAN, MR_WORDS_CLIP } mr_word_rule;

/* Expressions run one behind the other: each within the pieces, matches and gaps, of the one before. */
#define MR_SCANNER_PATTERNS 3

typedef struct mr_scanner {
    const char *patterns[MR_SCANNER_PATTERNS]; /* NULL behind the last */
    mr_word_rule words;
    size_t digits; /* numbers in one match; 0: any, with a space in front */
    bool slash;    /* "/" may follow punctuation like a line end */
} mr_scanner;

extern const char mr_pattern_gpt2[];
extern const char mr_pattern_cl100k[]; /* GPT-4, Llama-3, Phi-4 */
extern const char mr_pattern_qwen2[];
extern const char mr_pattern_o200k[]; /* GPT-4o */
extern const char mr_pattern_numbers[]; /* DeepSeek-V3: these three */
extern const char mr_pattern_cjk[];
extern const char mr_pattern_deepseek[];
extern const char mr_pattern_clip[];
extern const char mr_pattern_kimi[]; /* with class intersection written as lookahead, as PCRE2 understands it */

/* NULL when these are not known ones. */
const mr_scanner *mr_scanner_find(const mr_str *patterns, size_t count);
/* End of the match that starts at `at`, or of the gap; at < text.length. */
size_t mr_scanner_next(const mr_scanner *scanner, mr_str text, size_t at, bool *gap);
/* All of them, for tests: NULL behind the last. */
const mr_scanner *mr_scanner_at(size_t index);

/* Adds the matches of a known pattern in text[piece], and the gaps between them if they are kept. False when out of memory. */
bool mr_scanner_split(const mr_scanner *scanner, mr_str text, mr_piece piece, bool keep_gaps, mr_pieces *out);

#endif
