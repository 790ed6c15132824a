#include "tokenizer/normalizer.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/byte_level.h"
#include "tokenizer/component.h"
#include "tokenizer/tokenizer_scratch.h"

/* ---------------------------------------------------------------- reading */

static mr_status read_bert(mr_json_value component, mr_bert_normalizer *bert, mr_error *error)
{
    MR_TRY(mr_json_get_bool(component, "clean_text", true, &bert->clean_text, error));
    MR_TRY(mr_json_get_bool(component, "handle_chinese_chars", true, &bert->handle_chinese_chars, error));
    MR_TRY(mr_json_get_bool(component, "lowercase", true, &bert->lowercase, error));
    MR_TRY(mr_json_get_bool(component, "strip_accents", bert->lowercase, &bert->strip_accents, error));
    mr_bert_normalizer_prepare(bert);
    return MR_OK;
}

static mr_status read_replace(mr_json_value component, mr_normalizer_step *step, mr_error *error)
{
    mr_json_value pattern = mr_json_get(component, "pattern");
    mr_str text, content;
    mr_json_value regex = mr_json_get(pattern, "Regex"), string = mr_json_get(pattern, "String");
    MR_TRY(mr_json_expect(mr_json_get(component, "content"), MR_JSON_STRING, "normalizer Replace: the content", error));
    if (mr_json_type_of(regex) == MR_JSON_STRING) {
        step->replace.blanks = mr_type_is(mr_json_bytes(regex), "\\s+");
        if (!step->replace.blanks) MR_TRY(mr_regex_open(mr_json_bytes(regex), mr_json_path(component), &step->replace.regex, error));
        text = MR_STR("");
    } else {
        MR_TRY(mr_json_expect(string, MR_JSON_STRING, "normalizer Replace: the pattern", error));
        text = mr_json_bytes(string);
    }
    content = mr_json_bytes(mr_json_get(component, "content"));
    step->replace.pattern = mr_str_copy(text);
    step->replace.content = mr_str_copy(content);
    if (!step->replace.pattern.data || !step->replace.content.data) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    return MR_OK;
}

static mr_status read_step(mr_json_value component, mr_str type, mr_normalizer_step *step, mr_error *error)
{
    static const char *const forms[] = { "NFC", "NFD", "NFKC", "NFKD" }; /* order of mr_normal_form */
    for (size_t i = 0; i < 4; i++) {
        if (!mr_type_is(type, forms[i])) continue;
        step->type = MR_NORMALIZER_FORM;
        step->form = (mr_normal_form)i;
        return MR_OK;
    }
    if (mr_type_is(type, "BertNormalizer")) return step->type = MR_NORMALIZER_BERT, read_bert(component, &step->bert, error);
    if (mr_type_is(type, "Lowercase")) return step->type = MR_NORMALIZER_LOWERCASE, MR_OK;
    if (mr_type_is(type, "StripAccents")) return step->type = MR_NORMALIZER_STRIP_ACCENTS, MR_OK;
    if (mr_type_is(type, "Nmt")) return step->type = MR_NORMALIZER_NMT, MR_OK;
    if (mr_type_is(type, "Replace")) return step->type = MR_NORMALIZER_REPLACE, read_replace(component, step, error);
    if (mr_type_is(type, "ByteLevel")) return step->type = MR_NORMALIZER_BYTE_LEVEL, MR_OK;
    if (mr_type_is(type, "Precompiled")) {
        mr_json_value map = mr_json_get(component, "precompiled_charsmap");
        MR_TRY(mr_json_expect(map, MR_JSON_STRING, "normalizer Precompiled: \"precompiled_charsmap\"", error));
        step->type = MR_NORMALIZER_PRECOMPILED;
        return mr_precompiled_open(mr_json_bytes(map), mr_json_path(component), &step->precompiled, error);
    }
    if (mr_type_is(type, "Strip")) {
        step->type = MR_NORMALIZER_STRIP;
        MR_TRY(mr_json_get_bool(component, "strip_left", true, &step->strip.left, error));
        return mr_json_get_bool(component, "strip_right", true, &step->strip.right, error);
    }
    if (mr_type_is(type, "Prepend")) {
        mr_str text;
        MR_TRY(mr_json_expect(mr_json_get(component, "prepend"), MR_JSON_STRING, "normalizer Prepend: \"prepend\"", error));
        text = mr_json_bytes(mr_json_get(component, "prepend"));
        step->type = MR_NORMALIZER_PREPEND;
        step->prepend = mr_str_copy(text);
        return step->prepend.data ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    }
    return mr_component_unsupported(component, "normalizer", error);
}

/* Recursion is bounded by the nesting the JSON reader accepts. */
static mr_status read_steps(mr_json_value component, mr_normalizer *normalizer, mr_error *error)
{
    mr_str type;
    MR_TRY(mr_component_type(component, "normalizer", &type, error));
    if (mr_type_is(type, "Sequence")) {
        mr_json_value list = mr_json_get(component, "normalizers");
        MR_TRY(mr_json_expect(list, MR_JSON_ARRAY, "normalizer Sequence: \"normalizers\"", error));
        for (mr_json_value item = mr_json_first(list); mr_json_more(list, item); item = mr_json_after(item)) MR_TRY(read_steps(item, normalizer, error));
        return MR_OK;
    }
    mr_normalizer_step *grown = realloc(normalizer->steps, (normalizer->count + 1) * sizeof *grown);
    if (!grown) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    normalizer->steps = grown;
    mr_normalizer_step *step = grown + normalizer->count;
    memset(step, 0, sizeof *step);
    normalizer->count++;
    return read_step(component, type, step, error);
}

mr_status mr_normalizer_open(mr_json_value component, mr_normalizer *out, mr_error *error)
{
    mr_normalizer normalizer = { 0 };
    if (mr_json_present(component)) {
        mr_status status = read_steps(component, &normalizer, error);
        if (status != MR_OK) return mr_normalizer_fini(&normalizer), status;
    }
    *out = normalizer;
    return MR_OK;
}

void mr_normalizer_fini(mr_normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        mr_normalizer_step *step = normalizer->steps + i;
        if (step->type == MR_NORMALIZER_REPLACE) {
            free((char *)step->replace.pattern.data);
            free((char *)step->replace.content.data);
            mr_regex_close(step->replace.regex);
        }
        if (step->type == MR_NORMALIZER_PRECOMPILED) mr_precompiled_close(step->precompiled);
        if (step->type == MR_NORMALIZER_PREPEND) free((char *)step->prepend.data);
    }
    free(normalizer->steps);
    *normalizer = (mr_normalizer){ 0 };
}

/* ---------------------------------------------------------------- running */

/* Replace and Prepend grow a text; a hostile file must not grow it without limit. */
#define GROWN_MAX_BYTES (16u * MR_TEXT_MAX_BYTES)

static mr_status out_of_memory(mr_error *error)
{
    return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory normalising a text");
}

static bool run_lowercase(mr_str text, mr_buf *out)
{
    for (size_t at = 0; at < text.length;) {
        size_t length;
        uint32_t c = mr_utf8_decode(text.data + at, &length);
        at += length;
        if (!mr_buf_reserve(out, 4)) return false;
        if (c == 0x130) {
            if (!mr_buf_append(out, "i\xCC\x87", 3)) return false;
        } else {
            out->length += mr_utf8_encode(mr_unicode_lower(c), out->data + out->length);
        }
    }
    return true;
}

static mr_segment run_strip(const mr_normalizer_step *step, mr_segment segment)
{
    mr_str text = segment.text;
    size_t length;
    while (step->strip.left && text.length && mr_unicode_is_space(mr_utf8_decode(text.data, &length))) {
        text.data += length;
        text.length -= length;
    }
    while (step->strip.right && text.length) {
        size_t before = mr_utf8_before(text.data, text.length);
        if (!mr_unicode_is_space(mr_utf8_decode(text.data + before, &length))) break;
        text.length = before;
    }
    return (mr_segment){ text, segment.at_origin && text.data == segment.text.data };
}

/* The next run of white space at or behind `from`. */
static mr_regex_result next_blanks(mr_str text, size_t from, size_t *start, size_t *end)
{
    size_t length;
    for (; from < text.length; from += length)
        if (mr_unicode_is_space(mr_utf8_decode(text.data + from, &length))) break;
    *start = from;
    for (; from < text.length; from += length)
        if (!mr_unicode_is_space(mr_utf8_decode(text.data + from, &length))) break;
    *end = from;
    return *end > *start ? MR_REGEX_MATCH : MR_REGEX_NONE;
}

/* The next match of the pattern at or behind `from`. */
static mr_regex_result next_match(const mr_normalizer_step *step, mr_tokenizer_scratch *scratch, mr_str shown, size_t from, size_t *start, size_t *end)
{
    mr_str pattern = step->replace.pattern;
    if (step->replace.blanks) return next_blanks(shown, from, start, end);
    if (step->replace.regex) return mr_regex_next(step->replace.regex, &scratch->regex, shown, from, start, end);
    const char *hit = pattern.length ? memmem(shown.data + from, shown.length - from, pattern.data, pattern.length) : NULL;
    if (!hit) return MR_REGEX_NONE;
    *start = (size_t)(hit - shown.data);
    *end = *start + pattern.length;
    return MR_REGEX_MATCH;
}

/* One byte, such as the space of SentencePiece's files. */
static bool replace_byte(mr_str text, char byte, mr_str content, mr_buf *out)
{
    const char *at = text.data, *end = text.data + text.length;
    while (at < end) {
        const char *hit = memchr(at, byte, (size_t)(end - at)), *stop = hit ? hit : end;
        if (!mr_buf_reserve(out, (size_t)(stop - at) + content.length)) return false;
        memcpy(out->data + out->length, at, (size_t)(stop - at));
        out->length += (size_t)(stop - at);
        if (!hit) break;
        for (size_t i = 0; i < content.length; i++) out->data[out->length++] = content.data[i];
        if (out->length > GROWN_MAX_BYTES) break;
        at = hit + 1;
    }
    return true;
}

/* While offsets are traced: where the step's pattern was found. */
static bool note_match(mr_tokenizer_scratch *scratch, size_t start, size_t end)
{
    return !scratch->offsets.on || mr_offsets_match(&scratch->offsets, start, end);
}

static mr_status run_replace(const mr_normalizer_step *step, mr_tokenizer_scratch *scratch, mr_segment *segment, mr_buf *out, mr_error *error)
{
    mr_str text = segment->text, content = step->replace.content;
    mr_str shown = step->replace.regex ? mr_regex_show(&scratch->regex, text) : text;
    size_t from = 0, start, end;
    if (!shown.data) return out_of_memory(error);
    if (step->replace.pattern.length == 1 && !scratch->offsets.on) {
        if (text.data[0] == step->replace.pattern.data[0] && content.length == 0) segment->at_origin = false;
        return replace_byte(text, step->replace.pattern.data[0], content, out) ? MR_OK : out_of_memory(error);
    }
    for (;;) {
        mr_regex_result result = next_match(step, scratch, shown, from, &start, &end);
        if (result == MR_REGEX_LIMIT) return mr_error_set(error, MR_BAD_RECORD, "a regular expression of the tokenizer needs too many steps on this text");
        if (result == MR_REGEX_NONE || out->length > GROWN_MAX_BYTES) break;
        /* A removed first character, or one of several replaced, takes offset 0 with it. */
        if (start == 0 && (content.length == 0 || mr_utf8_length((unsigned char)text.data[0]) < end)) segment->at_origin = false;
        if (!note_match(scratch, start, end) || !mr_buf_append(out, text.data + from, start - from) || !mr_buf_append(out, content.data, content.length)) return out_of_memory(error);
        from = end;
    }
    return mr_buf_append(out, text.data + from, text.length - from) ? MR_OK : out_of_memory(error);
}

/* A removed first character takes offset 0 with it. */
static bool run_strip_accents(mr_segment *segment, mr_buf *out)
{
    mr_str text = segment->text;
    for (size_t at = 0, length; at < text.length; at += length) {
        bool removed = (mr_unicode_category8(mr_utf8_decode(text.data + at, &length)) & MR_CATEGORIES_M) != 0;
        if (removed && at == 0) segment->at_origin = false;
        if (!removed && !mr_buf_append(out, text.data + at, length)) return false;
    }
    return true;
}

static bool run_byte_level(mr_str text, mr_buf *out)
{
    if (!mr_buf_reserve(out, 2 * text.length)) return false;
    for (size_t i = 0; i < text.length; i++) out->length += mr_utf8_encode(mr_byte_level_character((unsigned char)text.data[i]), out->data + out->length);
    return true;
}

uint32_t mr_nmt_clean(uint32_t c)
{
    bool deleted = (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
    bool blank = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                 c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    return deleted ? 0 : blank ? ' ' : c;
}

static bool run_nmt(mr_segment *segment, mr_buf *out)
{
    mr_str text = segment->text;
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t c = mr_utf8_decode(text.data + at, &length), to = mr_nmt_clean(c);
        if (!to && c) {
            if (at == 0) segment->at_origin = false;
            continue;
        }
        if (!(to == c ? mr_buf_append(out, text.data + at, length) : mr_buf_append(out, " ", 1))) return false;
    }
    return true;
}

/* Writes the step's result to `out`, or leaves `out` alone when the segment itself only shrinks or stays. */
static mr_status run_step(const mr_normalizer_step *step, mr_tokenizer_scratch *scratch, mr_segment *segment, mr_buf *out, mr_error *error)
{
    bool done = true;
    out->length = 0;
    switch (step->type) {
    case MR_NORMALIZER_STRIP: *segment = run_strip(step, *segment); return MR_OK;
    case MR_NORMALIZER_FORM:
        if (mr_unicode_is_normal(step->form, segment->text)) return MR_OK;
        done = mr_unicode_normalize(step->form, segment->text, &scratch->marks, out);
        break;
    case MR_NORMALIZER_LOWERCASE: done = run_lowercase(segment->text, out); break;
    case MR_NORMALIZER_STRIP_ACCENTS: done = run_strip_accents(segment, out); break;
    case MR_NORMALIZER_PRECOMPILED: done = mr_precompiled_run(step->precompiled, segment->text, out); break;
    case MR_NORMALIZER_BYTE_LEVEL: done = run_byte_level(segment->text, out); break;
    case MR_NORMALIZER_NMT: done = run_nmt(segment, out); break;
    case MR_NORMALIZER_REPLACE: MR_TRY(run_replace(step, scratch, segment, out, error)); break;
    case MR_NORMALIZER_PREPEND:
        if (segment->text.length == 0) return MR_OK;
        done = mr_buf_append(out, step->prepend.data, step->prepend.length) && mr_buf_append(out, segment->text.data, segment->text.length);
        break;
    case MR_NORMALIZER_BERT: return mr_bert_normalizer_run(&step->bert, &scratch->marks, segment, out) ? MR_OK : out_of_memory(error);
    }
    segment->text = (mr_str){ out->data, out->length };
    return done ? MR_OK : out_of_memory(error);
}

mr_status mr_normalizer_run(const mr_normalizer *normalizer, mr_tokenizer_scratch *scratch, mr_segment *segment, mr_error *error)
{
    size_t next = 0;
    for (size_t i = 0; i < normalizer->count; i++) {
        if (segment->text.length == 0) return MR_OK;
        mr_str before = segment->text;
        MR_TRY(run_step(normalizer->steps + i, scratch, segment, &scratch->normal[next], error));
        if (scratch->offsets.on && !mr_offsets_step(&scratch->offsets, normalizer->steps + i, before, segment->text)) return out_of_memory(error);
        if (segment->text.length > GROWN_MAX_BYTES) return mr_error_set(error, MR_BAD_RECORD, "text grows beyond 256 MiB by normalisation");
        if (segment->text.data == scratch->normal[next].data) next ^= 1;
    }
    return MR_OK;
}
