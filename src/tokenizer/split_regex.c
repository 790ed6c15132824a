#include "tokenizer/split_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/unicode.h"

struct mr_regex {
    pcre2_code *code;
};

/* Steps one match may take: real patterns need a few per byte. */
#define MATCH_LIMIT 10000000
#define MAX_PATTERN_BYTES 16384
#define WHITE_SPACE "\\x{09}-\\x{0D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
/* Oniguruma's \w in a class: Alphabetic, M, Nd, Pc. Outside of classes these six are words to it, too. */
#define WORDS "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}"
#define MORE_WORDS WORDS "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"
#define WORD "[" MORE_WORDS "]"

/* ---------------------------------------------------------------- translation */

typedef struct translation {
    mr_str in;
    size_t at;
    mr_buf out;
    const char *problem; /* set: refused */
} translation;

static bool refuse(translation *t, const char *problem)
{
    t->problem = problem;
    return false;
}

static char look(const translation *t, size_t ahead)
{
    return t->at + ahead < t->in.length ? t->in.data[t->at + ahead] : '\0';
}

static bool copy(translation *t, size_t count)
{
    bool done = mr_buf_append(&t->out, t->in.data + t->at, count);
    t->at += count;
    return done;
}

/* At \p or \P. */
static bool property(translation *t)
{
    static const char *const known[] = { "L", "M", "N", "P", "S", "Z", "C", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps",
        "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf" };
    size_t start = t->at + 2;
    if (look(t, 2) != '{') return refuse(t, "\\p without braces");
    const char *close = memchr(t->in.data + start, '}', t->in.length - start);
    if (!close) return refuse(t, "unterminated \\p{");
    size_t end = (size_t)(close - t->in.data), name = start + 1 + (t->in.data[start + 1] == '^');
    mr_str wanted = { t->in.data + name, name <= end ? end - name : 0 };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (mr_str_equal(wanted, mr_str_of(known[i]))) return copy(t, end + 1 - t->at);
    if (mr_str_equal(wanted, MR_STR("Han"))) { /* PCRE2's plain name means script extensions */
        bool negative = (look(t, 1) == 'P') != (name > start + 1);
        t->at = end + 1;
        return mr_buf_append_str(&t->out, negative ? "\\P{sc:Han}" : "\\p{sc:Han}");
    }
    return refuse(t, "unknown \\p{} class");
}

static bool escape(translation *t, bool in_class)
{
    static const struct {
        char letter;
        const char *in_class, *outside; /* NULL: refused */
    } written_out[] = {
        { 's', WHITE_SPACE, "[" WHITE_SPACE "]" }, { 'S', NULL, "[^" WHITE_SPACE "]" }, { 'w', WORDS, WORD }, { 'W', NULL, "[^" MORE_WORDS "]" },
        { 'b', NULL, "(?:(?<=" WORD ")(?!" WORD ")|(?<!" WORD ")(?=" WORD "))" }, { 'B', NULL, "(?:(?<=" WORD ")(?=" WORD ")|(?<!" WORD ")(?!" WORD "))" },
    };
    char c = look(t, 1);
    if (c == 'p' || c == 'P') return property(t);
    for (size_t i = 0; i < sizeof written_out / sizeof *written_out; i++) {
        const char *meaning = in_class ? written_out[i].in_class : written_out[i].outside;
        if (c == written_out[i].letter && meaning) return t->at += 2, mr_buf_append_str(&t->out, meaning);
    }
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter && !strchr("rntdf", c)) return refuse(t, "unsupported escape");
    if (c == '\0') return refuse(t, "escape at the end");
    return copy(t, 1 + mr_utf8_length((unsigned char)c));
}

static bool class(translation *t)
{
    if (!copy(t, look(t, 1) == '^' ? 2 : 1)) return false;
    for (bool first = true; t->at < t->in.length; first = false) {
        char c = look(t, 0);
        if (c == ']' && !first) return copy(t, 1);
        if (c == '[' || (c == '&' && look(t, 1) == '&')) return refuse(t, "nested class or && in a class");
        if (c == '\\' ? !escape(t, true) : !copy(t, 1)) return false;
    }
    return refuse(t, "unterminated class");
}

static bool group(translation *t)
{
    static const char *const openings[] = { "(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>" };
    if (look(t, 1) != '?') return mr_buf_append_str(&t->out, "(?:") && (t->at++, true);
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        size_t length = strlen(openings[i]);
        if (t->in.length - t->at >= length && memcmp(t->in.data + t->at, openings[i], length) == 0) return copy(t, length);
    }
    return refuse(t, "unsupported group");
}

static bool translate(translation *t)
{
    while (t->at < t->in.length) {
        char c = look(t, 0);
        bool done;
        if (c == '\\') done = escape(t, false);
        else if (c == '[') done = class(t);
        else if (c == '(') done = group(t);
        else if (c == '^' || c == '$') done = refuse(t, "anchors");
        else if (c == '\0') done = refuse(t, "U+0000");
        else done = copy(t, 1);
        if (!done) return false;
    }
    return true;
}

/* ---------------------------------------------------------------- open */

static mr_status compile(mr_str pattern, mr_regex **out, mr_error *error)
{
    int problem;
    PCRE2_SIZE offset;
    mr_regex *regex = calloc(1, sizeof *regex);
    if (!regex) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    regex->code = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.length, PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &problem, &offset, NULL);
    if (!regex->code) {
        PCRE2_UCHAR text[128];
        pcre2_get_error_message(problem, text, sizeof text);
        free(regex);
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s", (const char *)text);
    }
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter gives the same matches */
    *out = regex;
    return MR_OK;
}

mr_status mr_regex_open(mr_str pattern, const char *where, mr_regex **out, mr_error *error)
{
    translation t = { .in = pattern };
    mr_status status = MR_OK;
    if (pattern.length > MAX_PATTERN_BYTES) refuse(&t, "too long");
    else if (!translate(&t) && !t.problem) status = mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    if (status == MR_OK && t.problem) status = mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s", t.problem);
    if (status == MR_OK) status = compile((mr_str){ t.out.data ? t.out.data : "", t.out.length }, out, error);
    mr_buf_fini(&t.out);
    if (status == MR_OK) return MR_OK;
    return mr_error_prefix(error, status, "%s: regular expression \"%.*s\"", where, (int)(pattern.length < 200 ? pattern.length : 200), pattern.data);
}

void mr_regex_close(mr_regex *regex)
{
    if (!regex) return;
    pcre2_code_free(regex->code);
    free(regex);
}

mr_status mr_regex_scratch_prepare(mr_regex_scratch *scratch, mr_error *error)
{
    if (scratch->match) return MR_OK;
    scratch->context = pcre2_match_context_create(NULL);
    scratch->stack = pcre2_jit_stack_create(32 << 10, 8 << 20, NULL);
    scratch->match = scratch->context && scratch->stack ? pcre2_match_data_create(1, NULL) : NULL;
    if (!scratch->match) return mr_regex_scratch_fini(scratch), mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    pcre2_set_match_limit(scratch->context, MATCH_LIMIT);
    pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
    return MR_OK;
}

void mr_regex_scratch_fini(mr_regex_scratch *scratch)
{
    pcre2_match_data_free(scratch->match);
    pcre2_match_context_free(scratch->context);
    pcre2_jit_stack_free(scratch->stack);
    mr_buf_fini(&scratch->shown);
    *scratch = (mr_regex_scratch){ 0 };
}

/* ---------------------------------------------------------------- matching */

/* An old code point of the same category and UTF-8 length, which patterns treat alike. */
static uint32_t older(uint32_t c, size_t length)
{
    bool three = length == 3;
    if (mr_unicode_is_han(c)) return 0x20000;
    switch (mr_unicode_lookup(c) >> 5 & 31) {
    case MR_LU: return three ? 0x1E00 : 0x10400;
    case MR_LL: return three ? 0x1E01 : 0x10428;
    case MR_LM: return three ? 0x1D2C : 0x10780;
    case MR_MN: return three ? 0x0900 : 0x101FD;
    case MR_MC: return three ? 0x0903 : 0x11000;
    case MR_ND: return three ? 0x0966 : 0x104A0;
    case MR_NO: return three ? 0x2460 : 0x10107;
    case MR_PO: return three ? 0x2016 : 0x10100;
    case MR_PD: return three ? 0x2013 : 0x10EAD;
    case MR_SM: return three ? 0x2200 : 0x1D6C1;
    case MR_SO: return three ? 0x2190 : 0x10137;
    case MR_CF: return three ? 0x200B : 0x110BD;
    default: return three ? 0x0904 : 0x10000; /* Lo */
    }
}

mr_str mr_regex_show(mr_regex_scratch *scratch, mr_str text)
{
    bool copied = false;
    for (size_t at = 0, length; at < text.length; at += length) {
        unsigned char lead = (unsigned char)text.data[at];
        length = mr_utf8_length(lead);
        if (lead < 0xE0) continue;
        uint32_t c = mr_utf8_decode(text.data + at, &length);
        if (!mr_unicode_is_newer(c)) continue;
        if (!copied) {
            scratch->shown.length = 0;
            if (!mr_buf_append(&scratch->shown, text.data, text.length)) return (mr_str){ 0 };
            copied = true;
        }
        /* U+0897 and its like: three bytes each, as their replacements. */
        mr_utf8_encode(older(c, length), scratch->shown.data + at);
    }
    return copied ? (mr_str){ scratch->shown.data, text.length } : text;
}

mr_regex_result mr_regex_next(const mr_regex *regex, mr_regex_scratch *scratch, mr_str shown, size_t from, size_t *start, size_t *end)
{
    while (from < shown.length) {
        int got = pcre2_match(regex->code, (PCRE2_SPTR)shown.data, shown.length, from, PCRE2_NO_UTF_CHECK, scratch->match, scratch->context);
        if (got == PCRE2_ERROR_NOMATCH) return MR_REGEX_NONE;
        if (got < 0) return MR_REGEX_LIMIT;
        const PCRE2_SIZE *found = pcre2_get_ovector_pointer(scratch->match);
        if (found[1] > found[0]) {
            *start = found[0];
            *end = found[1];
            return MR_REGEX_MATCH;
        }
        if (found[0] >= shown.length) return MR_REGEX_NONE;
        from = found[0] + mr_utf8_length((unsigned char)shown.data[found[0]]);
    }
    return MR_REGEX_NONE;
}
