/* Decoding id by id: pieces that add up to the decoding of all ids, none ending inside a character. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/pipeline.h"

struct mr_tokenizer_stream {
    const mr_tokenizer *tokenizer;
    bool skip_special;
    bool first;         /* nothing was decoded yet */
    size_t strip_left;  /* characters that Strip may still remove in front */
    mr_str stripped;    /* which character */
    mr_text_list texts, spare;
    mr_buf held;        /* bytes of an incomplete character (byte level) */
};

static mr_status out_of_memory(mr_error *error)
{
    return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory decoding");
}

mr_status mr_tokenizer_stream_create(const mr_tokenizer *tokenizer, bool skip_special_tokens, mr_tokenizer_stream **out, mr_error *error)
{
    const mr_decoder *decoder = &tokenizer->decoder;
    mr_tokenizer_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return out_of_memory(error);
    *stream = (mr_tokenizer_stream){ .tokenizer = tokenizer, .skip_special = skip_special_tokens, .first = true };
    for (size_t i = 0; i < decoder->count; i++) {
        const mr_decoder_step *step = decoder->steps + i;
        bool needs_more = step->type == MR_DECODER_CTC || step->type == MR_DECODER_BPE || (step->type == MR_DECODER_STRIP && step->stop > 0);
        if (needs_more) {
            free(stream);
            return mr_error_set(error, MR_MODEL_UNSUPPORTED, "this tokenizer's decoder cannot decode id by id");
        }
        if (step->type == MR_DECODER_STRIP) {
            stream->strip_left = step->start;
            stream->stripped = step->text;
        }
    }
    *out = stream;
    return MR_OK;
}

void mr_tokenizer_stream_destroy(mr_tokenizer_stream *stream)
{
    if (!stream) return;
    mr_text_list_fini(&stream->texts);
    mr_text_list_fini(&stream->spare);
    mr_buf_fini(&stream->held);
    free(stream);
}

/* Decodes the collected texts, with Strip acting once on the front of the whole. */
static mr_status emit(mr_tokenizer_stream *stream, mr_buf *out, mr_error *error)
{
    size_t at = out->length;
    if (stream->texts.count == 0) return MR_OK;
    if (!mr_decoder_run(&stream->tokenizer->decoder, MR_DECODER_STRIP, stream->first, &stream->texts, &stream->spare, out)) return out_of_memory(error);
    mr_text_list_clear(&stream->texts);
    stream->first = false;
    while (stream->strip_left > 0 && out->length > at) {
        size_t length = stream->stripped.length;
        if (out->length - at < length || memcmp(out->data + at, stream->stripped.data, length) != 0) {
            stream->strip_left = 0;
            break;
        }
        memmove(out->data + at, out->data + at + length, out->length - at - length);
        out->length -= length;
        stream->strip_left--;
    }
    return MR_OK;
}

/* Moves everything but an unfinished character from the held bytes to `out`. */
static mr_status emit_bytes(mr_tokenizer_stream *stream, mr_buf *out, mr_error *error)
{
    mr_buf *held = &stream->held;
    size_t keep = 0;
    for (size_t tail = 1; tail <= 3 && tail <= held->length; tail++) {
        bool complete;
        const char *start = held->data + held->length - tail;
        if ((unsigned char)*start < 0xC2) continue;
        if (mr_utf8_subpart(start, tail, &complete) == tail && !complete) keep = tail;
    }
    size_t ready = held->length - keep;
    if (!mr_utf8_append_replacing(out, held->data, ready)) return out_of_memory(error);
    if (keep) memmove(held->data, held->data + ready, keep);
    held->length = keep;
    return MR_OK;
}

mr_status mr_tokenizer_stream_push(mr_tokenizer_stream *stream, int32_t id, mr_buf *out, mr_error *error)
{
    const mr_tokenizer *tokenizer = stream->tokenizer;
    if (stream->skip_special && mr_tokenizer_is_special(tokenizer, id)) return MR_OK;
    mr_str text = mr_tokenizer_decoded_piece(tokenizer, id);
    if (!text.data) return MR_OK;
    if (mr_decoder_has(&tokenizer->decoder, MR_DECODER_BYTE_LEVEL)) {
        if (!mr_decoder_append_bytes(text, &stream->held)) return out_of_memory(error);
        return emit_bytes(stream, out, error);
    }
    bool collects = mr_decoder_has(&tokenizer->decoder, MR_DECODER_BYTE_FALLBACK) && mr_decoder_fallback_byte(text) >= 0;
    if (!collects) MR_TRY(emit(stream, out, error)); /* the run before, judged by itself */
    if (!mr_text_list_add(&stream->texts, text)) return out_of_memory(error);
    return collects ? MR_OK : emit(stream, out, error);
}

mr_status mr_tokenizer_stream_finish(mr_tokenizer_stream *stream, mr_buf *out, mr_error *error)
{
    MR_TRY(emit(stream, out, error));
    if (!mr_utf8_append_replacing(out, stream->held.data, stream->held.length)) return out_of_memory(error);
    stream->held.length = 0;
    return MR_OK;
}
