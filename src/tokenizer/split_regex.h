/* The regular expressions of tokenizer.json: Oniguruma's dialect with Unicode 16.0 classes, run by PCRE2 with JIT.
 *
 * Accepted: literals, alternatives, groups (plain, `(?:`, `(?i:`, lookaround), classes without nesting or `&&`,
 * `\p{..}` of general categories and Han, `\s \S \w \W \d \b \B \r \n \t` (in classes `\s \w \d`), `.`, quantifiers. The rest is refused at open. White
 * space is the 25 of White_Space, which PCRE2's own `\s` is not. Code points newer than PCRE2's tables are shown to
 * it as older ones of the same category and length. */
#ifndef MR_TOKENIZER_SPLIT_REGEX_H
#define MR_TOKENIZER_SPLIT_REGEX_H

#include "core/str.h"

typedef struct mr_regex mr_regex;

/* What one thread needs to match; zero-initialise. */
typedef struct mr_regex_scratch {
    void *match;   /* pcre2_match_data */
    void *context; /* pcre2_match_context */
    void *stack;   /* pcre2_jit_stack */
    mr_buf shown;  /* a text with newer code points replaced */
} mr_regex_scratch;

/* `where` (a file) and the pattern appear in error texts. MODEL_UNSUPPORTED for constructs outside the list. */
mr_status mr_regex_open(mr_str pattern, const char *where, mr_regex **out, mr_error *error);
void mr_regex_close(mr_regex *regex); /* NULL is fine */

mr_status mr_regex_scratch_prepare(mr_regex_scratch *scratch, mr_error *error);
void mr_regex_scratch_fini(mr_regex_scratch *scratch);

/* The text to match on, of the same length with characters at the same places: `text` itself, or a copy in the
 * scratch. data NULL when out of memory. */
mr_str mr_regex_show(mr_regex_scratch *scratch, mr_str text);

typedef enum mr_regex_result { MR_REGEX_NONE, MR_REGEX_MATCH, MR_REGEX_LIMIT } mr_regex_result;
/* The first non-empty match in shown[from..), as offsets in it; `shown` is the whole text, lookaround sees nothing
 * beyond. LIMIT: the pattern explodes on this text. */
mr_regex_result mr_regex_next(const mr_regex *regex, mr_regex_scratch *scratch, mr_str shown, size_t from, size_t *start, size_t *end);

#endif
