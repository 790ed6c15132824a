/* ids' texts back to one text. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/pipeline.h"

typedef enum decoder_type { DECODER_WORDPIECE, DECODER_FUSE } decoder_type;

typedef struct decoder_step {
    decoder_type type;
    mr_str prefix; /* owned */
    bool cleanup;
} decoder_step;

struct mr_decoder {
    decoder_step *steps; /* none: texts are joined with a space */
    size_t count;
};

static mr_status read_step(mr_json_value component, mr_str type, decoder_step *step, mr_error *error)
{
    if (mr_type_is(type, "WordPiece")) {
        mr_str prefix;
        step->type = DECODER_WORDPIECE;
        MR_TRY(mr_json_get_str(component, "prefix", MR_STR("##"), &prefix, error));
        MR_TRY(mr_json_get_bool(component, "cleanup", true, &step->cleanup, error));
        step->prefix = mr_str_copy(prefix);
        return step->prefix.data ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    }
    if (mr_type_is(type, "Fuse")) return step->type = DECODER_FUSE, MR_OK;
    return mr_component_unsupported(component, "decoder", error);
}

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
    decoder_step *grown = realloc(decoder->steps, (decoder->count + 1) * sizeof *grown);
    if (!grown) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    decoder->steps = grown;
    memset(grown + decoder->count, 0, sizeof *grown);
    return read_step(component, type, grown + decoder->count++, error);
}

mr_status mr_decoder_open(mr_json_value component, mr_decoder **out, mr_error *error)
{
    mr_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    if (mr_json_present(component)) {
        mr_status status = read_steps(component, decoder, error);
        if (status != MR_OK) return mr_decoder_close(decoder), status;
    }
    *out = decoder;
    return MR_OK;
}

void mr_decoder_close(mr_decoder *decoder)
{
    if (!decoder) return;
    for (size_t i = 0; i < decoder->count; i++) free((char *)decoder->steps[i].prefix.data);
    free(decoder->steps);
    free(decoder);
}

/* Replaces every `from` in text[at..] by the shorter `to`. */
static void shorten(mr_buf *text, size_t at, const char *from, const char *to)
{
    size_t from_length = strlen(from), to_length = strlen(to), write = at, read = at;
    const char *hit = text->length - at >= from_length ? memmem(text->data + at, text->length - at, from, from_length) : NULL;
    if (!hit) return;
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
    text->data[write] = '\0';
}

/* Clean-up of one token's text, in this order. */
static void clean_up(mr_buf *text, size_t at)
{
    static const char *const rules[][2] = { { " .", "." }, { " ?", "?" }, { " !", "!" }, { " ,", "," }, { " ' ", "'" }, { " n't", "n't" },
        { " 'm", "'m" }, { " do not", " don't" }, { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" } };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) shorten(text, at, rules[i][0], rules[i][1]);
}

static bool run_wordpiece(const decoder_step *step, const mr_str *texts, size_t count, mr_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        mr_str text = texts[i];
        size_t at = out->length;
        if (i > 0) {
            if (text.length >= step->prefix.length && memcmp(text.data, step->prefix.data, step->prefix.length) == 0) {
                text.data += step->prefix.length;
                text.length -= step->prefix.length;
            } else if (!mr_buf_append(out, " ", 1)) {
                return false;
            }
        }
        if (!mr_buf_append(out, text.data, text.length)) return false;
        if (step->cleanup) clean_up(out, at);
    }
    return true;
}

bool mr_decoder_run(const mr_decoder *decoder, mr_str *texts, size_t count, mr_buf *out)
{
    for (size_t i = 0; i < decoder->count; i++)
        if (decoder->steps[i].type == DECODER_WORDPIECE) return run_wordpiece(&decoder->steps[i], texts, count, out);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && decoder->count == 0 && !mr_buf_append(out, " ", 1)) return false;
        if (!mr_buf_append(out, texts[i].data, texts[i].length)) return false;
    }
    return true;
}
