/* Cutting a normalised segment into the pieces the model sees. */
#include "tokenizer/pre_tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/component.h"
#include "tokenizer/tokenizer_scratch.h"

/* ---------------------------------------------------------------- reading */

static mr_status read_behavior(mr_json_value component, const char *fallback, mr_split_behavior *out, mr_error *error)
{
    static const char *const names[] = { "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous" }; /* order of mr_split_behavior */
    mr_str name;
    MR_TRY(mr_json_get_str(component, "behavior", mr_str_of(fallback), &name, error));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mr_type_is(name, names[i])) return *out = (mr_split_behavior)i, MR_OK;
    return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: pre-tokenizer behavior \"%.*s\" is not supported", mr_json_path(component),
                        (int)(name.length < 64 ? name.length : 64), name.data);
}

static mr_status read_split(mr_json_value component, mr_pre_tokenizer_step *step, mr_error *error)
{
    mr_json_value pattern = mr_json_get(component, "pattern");
    MR_TRY(read_behavior(component, "", &step->split.behavior, error));
    MR_TRY(mr_json_get_bool(component, "invert", false, &step->split.invert, error));
    mr_json_value regex = mr_json_get(pattern, "Regex");
    if (mr_json_type_of(regex) == MR_JSON_STRING) {
        /* Isolated keeps what is between matches; what is removed where matches stay is just that. */
        bool matches = step->split.behavior == MR_SPLIT_ISOLATED || (step->split.behavior == MR_SPLIT_REMOVED && step->split.invert);
        step->split.scanner = matches ? mr_scanner_find((mr_str[]){ mr_json_bytes(regex) }, 1) : NULL;
        return step->split.scanner ? MR_OK : mr_regex_open(mr_json_bytes(regex), mr_json_path(component), &step->split.regex, error);
    }
    MR_TRY(mr_json_expect(mr_json_get(pattern, "String"), MR_JSON_STRING, "pre-tokenizer Split: the pattern", error));
    step->split.pattern = mr_str_copy(mr_json_bytes(mr_json_get(pattern, "String")));
    return step->split.pattern.data ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
}

static bool is_one_code_point(mr_str text)
{
    return text.length > 0 && mr_utf8_length((unsigned char)text.data[0]) == text.length;
}

static mr_status read_delimiter(mr_json_value component, mr_pre_tokenizer_step *step, mr_error *error)
{
    mr_str delimiter;
    MR_TRY(mr_json_get_str(component, "delimiter", MR_STR(""), &delimiter, error));
    if (!is_one_code_point(delimiter)) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: CharDelimiterSplit: \"delimiter\" must be one character", mr_json_path(component));
    step->split.behavior = MR_SPLIT_REMOVED;
    step->split.pattern = mr_str_copy(delimiter);
    return step->split.pattern.data ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
}

static mr_status read_metaspace(mr_json_value component, mr_pre_tokenizer_step *step, mr_error *error)
{
    mr_str replacement, scheme;
    bool prefix;
    MR_TRY(mr_json_get_str(component, "replacement", MR_STR("\xE2\x96\x81"), &replacement, error));
    if (!is_one_code_point(replacement)) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: Metaspace: \"replacement\" must be one character", mr_json_path(component));
    memcpy(step->metaspace.replacement, replacement.data, replacement.length);
    step->metaspace.replacement_length = replacement.length;
    MR_TRY(mr_json_get_bool(component, "split", true, &step->metaspace.split, error));
    MR_TRY(mr_json_get_bool(component, "add_prefix_space", true, &prefix, error));
    MR_TRY(mr_json_get_str(component, "prepend_scheme", (mr_str){ 0 }, &scheme, error));
    if (scheme.data == NULL) step->metaspace.scheme = prefix ? MR_PREPEND_ALWAYS : MR_PREPEND_NEVER;
    else if (mr_type_is(scheme, "always")) step->metaspace.scheme = MR_PREPEND_ALWAYS;
    else if (mr_type_is(scheme, "first")) step->metaspace.scheme = MR_PREPEND_FIRST;
    else if (mr_type_is(scheme, "never")) step->metaspace.scheme = MR_PREPEND_NEVER;
    else return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: Metaspace: unknown \"prepend_scheme\"", mr_json_path(component));
    if (!prefix && step->metaspace.scheme != MR_PREPEND_NEVER)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: Metaspace: \"add_prefix_space\" false contradicts \"prepend_scheme\"", mr_json_path(component));
    return MR_OK;
}

static mr_status read_byte_level(mr_json_value component, mr_pre_tokenizer_step *step, mr_error *error)
{
    bool use_regex;
    MR_TRY(mr_json_get_bool(component, "use_regex", true, &use_regex, error));
    step->byte_level.scanner = use_regex ? mr_scanner_find((mr_str[]){ mr_str_of(mr_pattern_gpt2) }, 1) : NULL;
    return MR_OK;
}

static mr_status read_step(mr_json_value component, mr_str type, mr_pre_tokenizer_step *step, mr_error *error)
{
    if (mr_type_is(type, "BertPreTokenizer")) return step->type = MR_PRE_BERT, MR_OK;
    if (mr_type_is(type, "WhitespaceSplit")) return step->type = MR_PRE_WHITESPACE_SPLIT, MR_OK;
    if (mr_type_is(type, "Whitespace")) return step->type = MR_PRE_WHITESPACE, MR_OK;
    if (mr_type_is(type, "Punctuation")) return step->type = MR_PRE_PUNCTUATION, read_behavior(component, "Isolated", &step->split.behavior, error);
    if (mr_type_is(type, "Split")) return step->type = MR_PRE_SPLIT, read_split(component, step, error);
    if (mr_type_is(type, "CharDelimiterSplit")) return step->type = MR_PRE_SPLIT, read_delimiter(component, step, error);
    if (mr_type_is(type, "Metaspace")) return step->type = MR_PRE_METASPACE, read_metaspace(component, step, error);
    if (mr_type_is(type, "ByteLevel")) return step->type = MR_PRE_BYTE_LEVEL, read_byte_level(component, step, error);
    if (mr_type_is(type, "Digits")) {
        bool individual;
        MR_TRY(mr_json_get_bool(component, "individual_digits", false, &individual, error));
        step->type = MR_PRE_DIGITS;
        step->split.behavior = individual ? MR_SPLIT_ISOLATED : MR_SPLIT_CONTIGUOUS;
        return MR_OK;
    }
    if (mr_type_is(type, "FixedLength")) {
        step->type = MR_PRE_FIXED_LENGTH;
        MR_TRY(mr_json_get_size(component, "length", UINT32_MAX, 5, &step->length, error));
        return step->length ? MR_OK : mr_error_set(error, MR_MODEL_CORRUPT, "%s: FixedLength: \"length\" must not be 0", mr_json_path(component));
    }
    return mr_component_unsupported(component, "pre-tokenizer", error);
}

/* The expression of a Split that isolates its matches; empty: something else. */
static mr_str isolated_pattern(mr_json_value component)
{
    mr_json_value type = mr_json_get(component, "type"), behavior = mr_json_get(component, "behavior"), regex = mr_json_get(mr_json_get(component, "pattern"), "Regex");
    if (mr_json_type_of(type) != MR_JSON_STRING || mr_json_type_of(behavior) != MR_JSON_STRING || mr_json_type_of(regex) != MR_JSON_STRING) return (mr_str){ 0 };
    bool isolates = mr_type_is(mr_json_bytes(type), "Split") && mr_type_is(mr_json_bytes(behavior), "Isolated") && mr_json_type_of(mr_json_get(component, "invert")) != MR_JSON_TRUE;
    return isolates ? mr_json_bytes(regex) : (mr_str){ 0 };
}

/* One scanner for *item and those behind it: *item becomes the last of them. NULL: there is none. */
static const mr_scanner *find_scanner(mr_json_value list, mr_json_value *item)
{
    mr_str patterns[MR_SCANNER_PATTERNS];
    mr_json_value last = *item, next = *item;
    for (size_t i = 0; i < MR_SCANNER_PATTERNS; i++, next = mr_json_after(last)) {
        if (!mr_json_more(list, next)) return NULL;
        patterns[i] = isolated_pattern(last = next);
    }
    const mr_scanner *scanner = mr_scanner_find(patterns, MR_SCANNER_PATTERNS);
    if (scanner) *item = last;
    return scanner;
}

/* Room for two more. */
static bool reserve_steps(mr_pre_tokenizer *made, mr_error *error)
{
    mr_pre_tokenizer_step *grown = realloc(made->steps, (made->count + 2) * sizeof *grown);
    if (grown) made->steps = grown;
    else mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    return grown != NULL;
}

static mr_status read_steps(mr_json_value component, mr_pre_tokenizer *made, mr_error *error);

static mr_status read_sequence(mr_json_value component, mr_pre_tokenizer *made, mr_error *error)
{
    mr_json_value list = mr_json_get(component, "pretokenizers");
    MR_TRY(mr_json_expect(list, MR_JSON_ARRAY, "pre-tokenizer Sequence: \"pretokenizers\"", error));
    for (mr_json_value item = mr_json_first(list); mr_json_more(list, item); item = mr_json_after(item)) {
        const mr_scanner *scanner = made->bytes ? NULL : find_scanner(list, &item);
        if (!scanner) {
            MR_TRY(read_steps(item, made, error));
            continue;
        }
        if (!reserve_steps(made, error)) return MR_OUT_OF_MEMORY;
        made->steps[made->count++] = (mr_pre_tokenizer_step){ .type = MR_PRE_SPLIT, .split = { .behavior = MR_SPLIT_ISOLATED, .scanner = scanner } };
    }
    return MR_OK;
}

/* Recursion is bounded by the nesting the JSON reader accepts. */
static mr_status read_steps(mr_json_value component, mr_pre_tokenizer *made, mr_error *error)
{
    mr_str type;
    MR_TRY(mr_component_type(component, "pre-tokenizer", &type, error));
    if (mr_type_is(type, "Sequence")) return read_sequence(component, made, error);
    if (made->bytes) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: a pre-tokenizer behind ByteLevel is not supported", mr_json_path(component));
    made->bytes = mr_type_is(type, "ByteLevel");
    bool prefix = false;
    if (made->bytes) MR_TRY(mr_json_get_bool(component, "add_prefix_space", true, &prefix, error));
    if (!reserve_steps(made, error)) return MR_OUT_OF_MEMORY;
    if (prefix) made->steps[made->count++] = (mr_pre_tokenizer_step){ .type = MR_PRE_PREFIX_SPACE };
    made->steps[made->count] = (mr_pre_tokenizer_step){ 0 };
    return read_step(component, type, made->steps + made->count++, error);
}

mr_status mr_pre_tokenizer_open_pattern(const char *pattern, mr_pre_tokenizer *out, mr_error *error)
{
    mr_pre_tokenizer_step *steps = calloc(2, sizeof *steps);
    if (!steps) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    steps[0].type = MR_PRE_SPLIT;
    steps[0].split.scanner = mr_scanner_find((mr_str[]){ mr_str_of(pattern) }, 1);
    steps[1].type = MR_PRE_BYTE_LEVEL;
    *out = (mr_pre_tokenizer){ .steps = steps, .count = 2, .bytes = true };
    return MR_OK;
}

mr_status mr_pre_tokenizer_open(mr_json_value component, mr_pre_tokenizer *out, mr_error *error)
{
    mr_pre_tokenizer made = { 0 };
    if (mr_json_present(component)) {
        mr_status status = read_steps(component, &made, error);
        if (status != MR_OK) return mr_pre_tokenizer_fini(&made), status;
    }
    *out = made;
    return MR_OK;
}

void mr_pre_tokenizer_fini(mr_pre_tokenizer *pre_tokenizer)
{
    for (size_t i = 0; i < pre_tokenizer->count; i++) {
        mr_pre_tokenizer_step *step = pre_tokenizer->steps + i;
        if (step->type == MR_PRE_SPLIT) {
            free((char *)step->split.pattern.data);
            mr_regex_close(step->split.regex);
        }
    }
    free(pre_tokenizer->steps);
    *pre_tokenizer = (mr_pre_tokenizer){ 0 };
}

/* ---------------------------------------------------------------- delimiters and behaviours */

/* Receives the stretches of a piece in order, delimiters and others, and cuts according to the behaviour. */
typedef struct cutter {
    mr_pieces *out;
    mr_split_behavior behavior;
    size_t start, end; /* what is held back; start == end: nothing */
    bool held_delimiter;
} cutter;

static bool cut_flush(cutter *c)
{
    bool done = mr_pieces_add(c->out, c->start, c->end);
    c->start = c->end = 0;
    return done;
}

static bool cut(cutter *c, size_t start, size_t end, bool delimiter)
{
    if (start == end || (delimiter && c->behavior == MR_SPLIT_REMOVED)) return true;
    bool holds = c->start < c->end, joins = false;
    if (c->behavior == MR_SPLIT_MERGED_PREVIOUS) joins = delimiter && !c->held_delimiter;
    if (c->behavior == MR_SPLIT_MERGED_NEXT) joins = !delimiter && c->held_delimiter;
    if (c->behavior == MR_SPLIT_CONTIGUOUS) joins = delimiter == c->held_delimiter;
    if (holds && joins) {
        c->end = end;
    } else {
        if (!cut_flush(c)) return false;
        c->start = start;
        c->end = end;
    }
    c->held_delimiter = delimiter;
    return true;
}

static bool is_delimiter(mr_pre_tokenizer_type type, uint32_t c)
{
    if (type == MR_PRE_PUNCTUATION) return mr_unicode_is_bert_punctuation(c);
    return (mr_unicode_category16(c) & MR_CATEGORIES_N) != 0;
}

static bool split_characters(const mr_pre_tokenizer_step *step, mr_str text, mr_piece piece, mr_pieces *out)
{
    cutter c = { .out = out, .behavior = step->split.behavior };
    size_t at = piece.start, end = at + piece.length, from = at, length;
    for (; at < end; at += length) {
        if (!is_delimiter(step->type, mr_utf8_decode(text.data + at, &length))) continue;
        if (!cut(&c, from, at, false) || !cut(&c, at, at + length, true)) return false;
        from = at + length;
    }
    return cut(&c, from, end, false) && cut_flush(&c);
}

static bool split_string(const mr_pre_tokenizer_step *step, mr_str text, mr_piece piece, mr_pieces *out)
{
    cutter c = { .out = out, .behavior = step->split.behavior };
    mr_str pattern = step->split.pattern;
    bool invert = step->split.invert;
    size_t from = piece.start, end = from + piece.length;
    while (pattern.length) {
        const char *hit = memmem(text.data + from, end - from, pattern.data, pattern.length);
        if (!hit) break;
        size_t at = (size_t)(hit - text.data);
        if (!cut(&c, from, at, invert) || !cut(&c, at, at + pattern.length, !invert)) return false;
        from = at + pattern.length;
    }
    return cut(&c, from, end, invert) && cut_flush(&c);
}

/* Cuts at the matches in `piece`. `shown` is what the regular expression sees of the whole text. */
static mr_status split_regex(const mr_pre_tokenizer_step *step, mr_regex_scratch *scratch, mr_str shown, mr_piece piece, mr_pieces *out, mr_error *error)
{
    cutter c = { .out = out, .behavior = step->split.behavior };
    bool invert = step->split.invert;
    mr_str window = { shown.data + piece.start, piece.length };
    size_t from = 0, base = piece.start, start, end;
    bool done = true;
    while (done) {
        mr_regex_result result = mr_regex_next(step->split.regex, scratch, window, from, &start, &end);
        if (result == MR_REGEX_LIMIT) return mr_error_set(error, MR_BAD_RECORD, "a regular expression of the tokenizer needs too many steps on this text");
        if (result == MR_REGEX_NONE) break;
        done = cut(&c, base + from, base + start, invert) && cut(&c, base + start, base + end, !invert);
        from = end;
    }
    done = done && cut(&c, base + from, base + piece.length, invert) && cut_flush(&c);
    return done ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory cutting a text into pieces");
}

/* ---------------------------------------------------------------- the other kinds */

enum { OTHER, SPACE, PUNCTUATION };

static int bert_kind(uint32_t c)
{
    return mr_unicode_is_space(c) ? SPACE : mr_unicode_is_bert_punctuation(c) ? PUNCTUATION : OTHER;
}

/* bert_kind of ASCII. */
static const unsigned char bert_ascii[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2,
    2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2,
    2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 0,
};

static bool split_bert(mr_str text, mr_piece piece, mr_pieces *out)
{
    size_t at = piece.start, end = at + piece.length, from = at, length;
    while (at < end) {
        unsigned char byte = (unsigned char)text.data[at];
        int kind;
        length = 1;
        if (byte < 0x80) kind = bert_ascii[byte];
        else kind = bert_kind(mr_utf8_decode(text.data + at, &length));
        if (kind != OTHER) {
            if (!mr_pieces_add(out, from, at)) return false;
            if (kind == PUNCTUATION && !mr_pieces_add(out, at, at + length)) return false;
            from = at + length;
        }
        at += length;
    }
    return mr_pieces_add(out, from, end);
}

static bool split_whitespace(mr_str text, mr_piece piece, mr_pieces *out)
{
    size_t at = piece.start, end = at + piece.length, from = at, length;
    for (; at < end; at += length) {
        unsigned char byte = (unsigned char)text.data[at];
        length = 1;
        if (byte < 0x80 ? bert_ascii[byte] != SPACE : !mr_unicode_is_space(mr_utf8_decode(text.data + at, &length))) continue;
        if (!mr_pieces_add(out, from, at)) return false;
        from = at + length;
    }
    return mr_pieces_add(out, from, end);
}

/* Runs of word characters, and runs of what is neither word character nor space. */
static bool split_words(mr_str text, mr_piece piece, mr_pieces *out)
{
    size_t at = piece.start, end = at + piece.length, from = at, length;
    int before = SPACE;
    for (; at < end; at += length) {
        uint32_t c = mr_utf8_decode(text.data + at, &length);
        int kind = mr_unicode_is_word(c) ? OTHER : mr_unicode_is_space(c) ? SPACE : PUNCTUATION;
        if (kind == before) continue;
        if (before != SPACE && !mr_pieces_add(out, from, at)) return false;
        from = at;
        before = kind;
    }
    return before == SPACE || mr_pieces_add(out, from, end);
}

static bool split_fixed(size_t count, mr_str text, mr_piece piece, mr_pieces *out)
{
    size_t at = piece.start, end = at + piece.length, from = at, have = 0;
    while (at < end) {
        at += mr_utf8_length((unsigned char)text.data[at]);
        if (++have < count) continue;
        if (!mr_pieces_add(out, from, at)) return false;
        from = at;
        have = 0;
    }
    return mr_pieces_add(out, from, end);
}

/* One piece into `spaced`, which is cut there. */
static bool run_metaspace(const mr_pre_tokenizer_step *step, mr_str piece, bool first, mr_buf *spaced, mr_pieces *out)
{
    const char *mark = step->metaspace.replacement;
    size_t mark_length = step->metaspace.replacement_length, from = spaced->length;
    bool marked = piece.length >= 1 && (piece.data[0] == ' ' || (piece.length >= mark_length && memcmp(piece.data, mark, mark_length) == 0));
    bool prepend = step->metaspace.scheme == MR_PREPEND_ALWAYS || (step->metaspace.scheme == MR_PREPEND_FIRST && first);
    if (!mr_buf_reserve(spaced, (piece.length + 1) * mark_length)) return false;
    char *to = spaced->data + spaced->length;
    if (prepend && !marked) to = (char *)memcpy(to, mark, mark_length) + mark_length;
    for (size_t i = 0; i < piece.length; i++) {
        if (piece.data[i] == ' ') to = (char *)memcpy(to, mark, mark_length) + mark_length;
        else *to++ = piece.data[i];
    }
    size_t end = (size_t)(to - spaced->data);
    spaced->length = end;
    if (!step->metaspace.split) return mr_pieces_add(out, from, end);
    for (size_t at = from + 1; at < end; at++) {
        if (spaced->data[at] != mark[0] || end - at < mark_length || memcmp(spaced->data + at, mark, mark_length) != 0) continue;
        if (!mr_pieces_add(out, from, at)) return false;
        from = at;
    }
    return mr_pieces_add(out, from, end);
}

/* ---------------------------------------------------------------- running */

/* The piece with a space in front if it has none. */
static bool run_prefix_space(mr_str piece, mr_buf *spaced, mr_pieces *out)
{
    size_t start = spaced->length;
    if (piece.data[0] != ' ' && !mr_buf_append(spaced, " ", 1)) return false;
    return mr_buf_append(spaced, piece.data, piece.length) && mr_pieces_add(out, start, spaced->length);
}

static bool run_piece(const mr_pre_tokenizer_step *step, mr_str text, mr_piece piece, bool first, mr_buf *spaced, mr_pieces *out)
{
    switch (step->type) {
    case MR_PRE_BERT: return split_bert(text, piece, out);
    case MR_PRE_WHITESPACE_SPLIT: return split_whitespace(text, piece, out);
    case MR_PRE_WHITESPACE: return split_words(text, piece, out);
    case MR_PRE_PUNCTUATION:
    case MR_PRE_DIGITS: return split_characters(step, text, piece, out);
    case MR_PRE_SPLIT: return step->split.scanner ? mr_scanner_split(step->split.scanner, text, piece, step->split.behavior == MR_SPLIT_ISOLATED, out) : split_string(step, text, piece, out);
    case MR_PRE_FIXED_LENGTH: return split_fixed(step->length, text, piece, out);
    case MR_PRE_METASPACE: return run_metaspace(step, (mr_str){ text.data + piece.start, piece.length }, first, spaced, out);
    case MR_PRE_PREFIX_SPACE: return run_prefix_space((mr_str){ text.data + piece.start, piece.length }, spaced, out);
    case MR_PRE_BYTE_LEVEL:
        return mr_scanner_split(step->byte_level.scanner, text, piece, true, out);
    }
    return true;
}

static mr_status run_regex(const mr_pre_tokenizer_step *step, mr_tokenizer_scratch *scratch, mr_str text, const mr_pieces *in, mr_pieces *out, mr_error *error)
{
    mr_str shown = mr_regex_show(&scratch->regex, text);
    if (!shown.data) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory cutting a text into pieces");
    for (size_t i = 0; i < in->count; i++) MR_TRY(split_regex(step, &scratch->regex, shown, in->items[i], out, error));
    return MR_OK;
}

/* The pieces go back and forth between the scratch's two lists. */
typedef struct run_state {
    mr_segment segment;
    size_t pieces; /* which list holds the pieces */
    size_t spaced; /* which buffer is free */
} run_state;

/* Where a piece that was written anew behind `filled` comes from. */
static bool trace_piece(const mr_pre_tokenizer_step *step, mr_tokenizer_scratch *scratch, const run_state *state, mr_piece piece, size_t filled)
{
    size_t length = scratch->spaced[state->spaced].length - filled;
    if (!scratch->offsets.on || (step->type != MR_PRE_METASPACE && step->type != MR_PRE_PREFIX_SPACE)) return true;
    return mr_offsets_spaced(&scratch->offsets, 1 + state->spaced, filled, piece.start, (mr_str){ state->segment.text.data + piece.start, piece.length },
                             step->type == MR_PRE_METASPACE ? step->metaspace.replacement_length : 1, length);
}

static mr_status run_step(const mr_pre_tokenizer_step *step, mr_tokenizer_scratch *scratch, run_state *state, mr_error *error)
{
    mr_pieces *in = &scratch->pieces[state->pieces], *out = &scratch->pieces[state->pieces ^ 1];
    mr_buf *spaced = &scratch->spaced[state->spaced];
    bool first = state->segment.at_origin && in->count > 0 && in->items[0].start == 0, done = true;
    out->count = 0;
    spaced->length = 0;
    if (step->type == MR_PRE_SPLIT && step->split.regex) MR_TRY(run_regex(step, scratch, state->segment.text, in, out, error));
    else for (size_t k = 0; k < in->count && done; k++) {
        size_t filled = spaced->length;
        done = run_piece(step, state->segment.text, in->items[k], first && k == 0, spaced, out) && trace_piece(step, scratch, state, in->items[k], filled);
    }
    if (!done) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory cutting a text into pieces");
    state->pieces ^= 1;
    if (step->type == MR_PRE_METASPACE || step->type == MR_PRE_PREFIX_SPACE) { /* the text is another one now */
        if (scratch->offsets.on) scratch->offsets.current = scratch->offsets.bytes[1 + state->spaced];
        state->segment = (mr_segment){ { spaced->data, spaced->length }, first };
        state->spaced ^= 1;
    }
    return MR_OK;
}

mr_status mr_pre_tokenizer_run(const mr_pre_tokenizer *pre_tokenizer, mr_tokenizer_scratch *scratch, mr_segment segment,
                               mr_str *text, mr_pieces **pieces, mr_error *error)
{
    run_state state = { .segment = segment };
    scratch->pieces[0].count = 0;
    if (!mr_pieces_add(&scratch->pieces[0], 0, segment.text.length)) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory cutting a text into pieces");
    for (size_t i = 0; i < pre_tokenizer->count; i++) {
        const mr_pre_tokenizer_step *step = pre_tokenizer->steps + i;
        if (step->type == MR_PRE_BYTE_LEVEL && !step->byte_level.scanner) continue; /* changes nothing: pieces are bytes already */
        MR_TRY(run_step(step, scratch, &state, error));
    }
    *text = state.segment.text;
    *pieces = &scratch->pieces[state.pieces];
    return MR_OK;
}
