#include "tokenizer/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/byte_level.h"
#include "tokenizer/component.h"
#include "tokenizer/unicode.h"

/* ---------------------------------------------------------------- reading */

static mr_status read_text(mr_json_value component, const char *key, const char *fallback, mr_str *out, mr_error *error)
{
    mr_str text;
    MR_TRY(mr_json_get_str(component, key, mr_str_of(fallback), &text, error));
    *out = mr_str_copy(text);
    return out->data ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
}

static mr_status read_replace(mr_json_value component, mr_decoder_step *step, mr_error *error)
{
    mr_json_value pattern = mr_json_get(component, "pattern");
    if (mr_json_present(mr_json_get(pattern, "Regex"))) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: decoder Replace with a Regex pattern is not supported", mr_json_path(component));
    MR_TRY(read_text(pattern, "String", "", &step->text, error));
    return read_text(component, "content", "", &step->content, error);
}

static mr_status read_metaspace(mr_json_value component, mr_decoder_step *step, mr_error *error)
{
    mr_str scheme;
    bool prefix;
    MR_TRY(mr_json_get_bool(component, "add_prefix_space", true, &prefix, error));
    MR_TRY(mr_json_get_str(component, "prepend_scheme", mr_str_of(prefix ? "always" : "never"), &scheme, error));
    step->flag = !mr_type_is(scheme, "never");
    return read_text(component, "replacement", "\xE2\x96\x81", &step->text, error);
}

static mr_status read_strip(mr_json_value component, mr_decoder_step *step, mr_error *error)
{
    MR_TRY(mr_json_get_size(component, "start", UINT32_MAX, 0, &step->start, error));
    MR_TRY(mr_json_get_size(component, "stop", UINT32_MAX, 0, &step->stop, error));
    MR_TRY(read_text(component, "content", " ", &step->text, error));
    if (step->text.length == 0 || mr_utf8_length((unsigned char)step->text.data[0]) != step->text.length)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: decoder Strip: \"content\" must be one character", mr_json_path(component));
    return MR_OK;
}

static mr_status read_step(mr_json_value component, mr_str type, mr_decoder_step *step, mr_error *error)
{
    if (mr_type_is(type, "ByteLevel")) return step->type = MR_DECODER_BYTE_LEVEL, MR_OK;
    if (mr_type_is(type, "ByteFallback")) return step->type = MR_DECODER_BYTE_FALLBACK, MR_OK;
    if (mr_type_is(type, "Fuse")) return step->type = MR_DECODER_FUSE, MR_OK;
    if (mr_type_is(type, "Replace")) return step->type = MR_DECODER_REPLACE, read_replace(component, step, error);
    if (mr_type_is(type, "Metaspace")) return step->type = MR_DECODER_METASPACE, read_metaspace(component, step, error);
    if (mr_type_is(type, "Strip")) return step->type = MR_DECODER_STRIP, read_strip(component, step, error);
    if (mr_type_is(type, "BPEDecoder")) return step->type = MR_DECODER_BPE, read_text(component, "suffix", "</w>", &step->text, error);
    if (mr_type_is(type, "WordPiece")) {
        step->type = MR_DECODER_WORDPIECE;
        MR_TRY(mr_json_get_bool(component, "cleanup", true, &step->flag, error));
        return read_text(component, "prefix", "##", &step->text, error);
    }
    if (mr_type_is(type, "CTC")) {
        step->type = MR_DECODER_CTC;
        MR_TRY(mr_json_get_bool(component, "cleanup", true, &step->flag, error));
        MR_TRY(read_text(component, "pad_token", "<pad>", &step->text, error));
        return read_text(component, "word_delimiter_token", "|", &step->content, error);
    }
    return mr_component_unsupported(component, "decoder", error);
}

/* Recursion is bounded by the nesting the JSON reader accepts. */
static mr_status read_steps(mr_json_value component, mr_decoder *decoder, mr_error *error)
{
    mr_str type;
    MR_TRY(mr_component_type(component, "decoder", &type, error));
    if (mr_type_is(type, "Sequence")) {
        mr_json_value list = mr_json_get(component, "decoders");
        MR_TRY(mr_json_expect(list, MR_JSON_ARRAY, "decoder Sequence: \"decoders\"", error));
        for (mr_json_value item = mr_json_first(list); mr_json_more(list, item); item = mr_json_after(item)) MR_TRY(read_steps(item, decoder, error));
        return MR_OK;
    }
    mr_decoder_step *grown = realloc(decoder->steps, (decoder->count + 1) * sizeof *grown);
    if (!grown) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    decoder->steps = grown;
    memset(grown + decoder->count, 0, sizeof *grown);
    return read_step(component, type, grown + decoder->count++, error);
}

mr_status mr_decoder_open(mr_json_value component, mr_decoder *out, mr_error *error)
{
    mr_decoder decoder = { 0 };
    if (mr_json_present(component)) {
        mr_status status = read_steps(component, &decoder, error);
        if (status != MR_OK) return mr_decoder_fini(&decoder), status;
    }
    *out = decoder;
    return MR_OK;
}

mr_status mr_decoder_open_byte_level(mr_decoder *out, mr_error *error)
{
    mr_decoder_step *step = calloc(1, sizeof *step);
    if (!step) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    step->type = MR_DECODER_BYTE_LEVEL;
    *out = (mr_decoder){ step, 1 };
    return MR_OK;
}

void mr_decoder_fini(mr_decoder *decoder)
{
    for (size_t i = 0; i < decoder->count; i++) {
        free((char *)decoder->steps[i].text.data);
        free((char *)decoder->steps[i].content.data);
    }
    free(decoder->steps);
    *decoder = (mr_decoder){ 0 };
}

bool mr_decoder_has(const mr_decoder *decoder, mr_decoder_type type)
{
    for (size_t i = 0; i < decoder->count; i++)
        if (decoder->steps[i].type == type) return true;
    return false;
}

/* ---------------------------------------------------------------- steps */

/* Appends `text` with every `from` replaced by `to`. */
static bool append_replacing(mr_buf *out, mr_str text, mr_str from, mr_str to)
{
    const char *hit;
    while (from.length && text.length && (hit = memmem(text.data, text.length, from.data, from.length)) != NULL) {
        size_t before = (size_t)(hit - text.data);
        if (!mr_buf_append(out, text.data, before) || !mr_buf_append(out, to.data, to.length)) return false;
        text.data += before + from.length;
        text.length -= before + from.length;
    }
    return mr_buf_append(out, text.data, text.length);
}

/* Replaces every `from` in text[at..] by `to`, which is not longer. */
static void shorten(mr_buf *text, size_t at, const char *from, const char *to)
{
    size_t from_length = strlen(from), to_length = strlen(to), write = at, read = at;
    if (text->length == at || !memmem(text->data + at, text->length - at, from, from_length)) return;
    while (read < text->length) {
        if (text->length - read >= from_length && memcmp(text->data + read, from, from_length) == 0) {
            memcpy(text->data + write, to, to_length);
            write += to_length;
            read += from_length;
        } else {
            text->data[write++] = text->data[read++];
        }
    }
    text->length = write;
}

/* Clean-up of one text at the end of the buffer, in this order. */
static void clean_up(mr_buf *text, size_t at)
{
    static const char *const rules[][2] = { { " .", "." }, { " ?", "?" }, { " !", "!" }, { " ,", "," }, { " ' ", "'" }, { " n't", "n't" },
        { " 'm", "'m" }, { " do not", " don't" }, { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" } };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) shorten(text, at, rules[i][0], rules[i][1]);
}

static bool begins_with(mr_str text, mr_str part)
{
    return text.length >= part.length && memcmp(text.data, part.data, part.length) == 0;
}

bool mr_decoder_append_bytes(mr_str text, mr_buf *out)
{
    if (!mr_buf_reserve(out, text.length)) return false;
    size_t count = mr_byte_level_unmap(text, out->data + out->length);
    if (count == SIZE_MAX) return mr_buf_append(out, text.data, text.length);
    out->length += count;
    return true;
}

static bool run_byte_level(const mr_text_list *in, mr_text_list *out)
{
    mr_buf bytes = { 0 };
    bool done = true;
    for (size_t i = 0; i < in->count && done; i++) done = mr_decoder_append_bytes(mr_text_list_at(in, i), &bytes);
    size_t begin = mr_text_list_begin(out);
    done = done && mr_buf_reserve(&out->bytes, 0) && mr_utf8_append_replacing(&out->bytes, bytes.data, bytes.length) && mr_text_list_end(out, begin);
    mr_buf_fini(&bytes);
    return done;
}

static bool run_wordpiece(const mr_decoder_step *step, mr_str text, bool first, mr_text_list *out)
{
    size_t begin = mr_text_list_begin(out);
    if (!first) {
        if (begins_with(text, step->text)) {
            text.data += step->text.length;
            text.length -= step->text.length;
        } else if (!mr_buf_append(&out->bytes, " ", 1)) {
            return false;
        }
    }
    if (!mr_buf_append(&out->bytes, text.data, text.length)) return false;
    if (step->flag) clean_up(&out->bytes, begin);
    return mr_text_list_end(out, begin);
}

static bool run_replace(mr_str text, mr_str from, mr_str to, mr_text_list *out)
{
    size_t begin = mr_text_list_begin(out);
    return append_replacing(&out->bytes, text, from, to) && mr_text_list_end(out, begin);
}

static bool run_strip(const mr_decoder_step *step, mr_str text, mr_text_list *out)
{
    mr_str mark = step->text;
    for (size_t i = 0; i < step->start && begins_with(text, mark); i++) {
        text.data += mark.length;
        text.length -= mark.length;
    }
    for (size_t i = 0; i < step->stop && text.length >= mark.length && memcmp(text.data + text.length - mark.length, mark.data, mark.length) == 0; i++)
        text.length -= mark.length;
    return mr_text_list_add(out, text);
}

static bool run_ctc(const mr_decoder_step *step, mr_str text, mr_text_list *out)
{
    mr_buf kept = { 0 };
    size_t begin = mr_text_list_begin(out);
    bool done = append_replacing(&kept, text, step->text, MR_STR(""));
    if (done && step->flag) clean_up(&kept, 0);
    if (done && kept.length) {
        mr_str cleaned = { kept.data, kept.length };
        done = append_replacing(&out->bytes, cleaned, step->flag ? step->content : MR_STR(""), MR_STR(" ")) && mr_text_list_end(out, begin);
    }
    mr_buf_fini(&kept);
    return done;
}

int mr_decoder_fallback_byte(mr_str text)
{
    if (text.length != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>') return -1;
    int byte = 0;
    for (size_t i = 3; i < 5; i++) {
        char c = text.data[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return -1;
        byte = byte * 16 + digit;
    }
    return byte;
}

/* A run of byte texts: the text they spell, or one U+FFFD a byte. */
static bool end_run(mr_buf *run, mr_text_list *out)
{
    bool done = true;
    if (run->length == 0) return true;
    if (mr_utf8_check(run->data, run->length) == run->length) done = mr_text_list_add(out, (mr_str){ run->data, run->length });
    else for (size_t i = 0; i < run->length && done; i++) done = mr_text_list_add(out, MR_STR(MR_REPLACEMENT_UTF8));
    run->length = 0;
    return done;
}

static bool run_byte_fallback(const mr_text_list *in, mr_text_list *out)
{
    mr_buf run = { 0 };
    bool done = true;
    for (size_t i = 0; i < in->count && done; i++) {
        mr_str text = mr_text_list_at(in, i);
        int byte = mr_decoder_fallback_byte(text);
        char c = (char)byte;
        done = byte >= 0 ? mr_buf_append(&run, &c, 1) : end_run(&run, out) && mr_text_list_add(out, text);
    }
    done = done && end_run(&run, out);
    mr_buf_fini(&run);
    return done;
}

static bool run_fuse(const mr_text_list *in, mr_text_list *out)
{
    size_t begin = mr_text_list_begin(out);
    if (!mr_buf_reserve(&out->bytes, 0)) return false;
    for (size_t i = 0; i < in->count; i++) {
        mr_str text = mr_text_list_at(in, i);
        if (!mr_buf_append(&out->bytes, text.data, text.length)) return false;
    }
    return mr_text_list_end(out, begin);
}

static bool run_step(const mr_decoder_step *step, bool first, const mr_text_list *in, mr_text_list *out)
{
    if (step->type == MR_DECODER_BYTE_LEVEL) return run_byte_level(in, out);
    if (step->type == MR_DECODER_BYTE_FALLBACK) return run_byte_fallback(in, out);
    if (step->type == MR_DECODER_FUSE) return run_fuse(in, out);
    bool done = true;
    for (size_t i = 0; i < in->count && done; i++) {
        mr_str text = mr_text_list_at(in, i);
        bool leads = first && i == 0;
        switch (step->type) {
        case MR_DECODER_WORDPIECE: done = run_wordpiece(step, text, leads, out); break;
        case MR_DECODER_METASPACE: done = run_replace(text, step->text, leads && step->flag ? MR_STR("") : MR_STR(" "), out); break;
        case MR_DECODER_REPLACE: done = run_replace(text, step->text, step->content, out); break;
        case MR_DECODER_BPE: done = run_replace(text, step->text, i + 1 == in->count ? MR_STR("") : MR_STR(" "), out); break;
        case MR_DECODER_STRIP: done = run_strip(step, text, out); break;
        case MR_DECODER_CTC:
            if (i > 0 && mr_str_equal(text, mr_text_list_at(in, i - 1))) continue; /* repeats first, pads then */
            done = run_ctc(step, text, out);
            break;
        default: break;
        }
    }
    return done;
}

bool mr_decoder_run(const mr_decoder *decoder, mr_decoder_type except, bool first, mr_text_list *texts, mr_text_list *spare, mr_buf *out)
{
    for (size_t i = 0; i < decoder->count; i++) {
        if (decoder->steps[i].type == except) continue;
        mr_text_list_clear(spare);
        if (!run_step(&decoder->steps[i], first, texts, spare)) return false;
        mr_text_list *done = spare;
        spare = texts;
        texts = done;
    }
    for (size_t i = 0; i < texts->count; i++) {
        mr_str text = mr_text_list_at(texts, i);
        if (decoder->count == 0 && !(first && i == 0) && !mr_buf_append(out, " ", 1)) return false;
        if (!mr_buf_append(out, text.data, text.length)) return false;
    }
    return true;
}
