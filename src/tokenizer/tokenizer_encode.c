/* Text -> ids: cut at added tokens, normalise, cut again, pre-tokenise, model; then truncate and add special tokens. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/pipeline.h"
#include "tokenizer/tokenizer_scratch.h"

void mr_encoding_fini(mr_encoding *encoding)
{
    free(encoding->ids);
    free(encoding->type_ids);
    free(encoding->spans);
    *encoding = (mr_encoding){ 0 };
}

static mr_status out_of_memory(mr_error *error)
{
    return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory tokenizing a text");
}

/* Empty where a token before has swallowed the white space that the next begins with. */
static mr_str between(mr_str text, size_t taken, size_t start)
{
    return start > taken ? (mr_str){ text.data + taken, start - taken } : (mr_str){ text.data, 0 };
}

/* A stretch without added tokens. */
static mr_status encode_plain(const mr_tokenizer *t, mr_tokenizer_scratch *scratch, mr_segment segment, mr_ids *ids, mr_error *error)
{
    mr_str text;
    mr_pieces *pieces;
    if (segment.text.length == 0) return MR_OK;
    MR_TRY(mr_pre_tokenizer_run(&t->pre_tokenizer, scratch, segment, &text, &pieces, error));
    return mr_model_run(&t->model, scratch, text, pieces, ids, error);
}

/* An added token, cut out of bytes start .. end - 1 of the caller's text. */
static mr_status add_token(const mr_added_token *token, mr_span span, mr_ids *ids, mr_error *error)
{
    return mr_ids_add(ids, token->id, span.start, span.end) ? MR_OK : out_of_memory(error);
}

/* A stretch of the raw text: normalised, then cut at the added tokens that are searched in normalised text. */
static mr_status encode_segment(const mr_tokenizer *t, mr_tokenizer_scratch *scratch, mr_segment segment, size_t base, mr_ids *ids, mr_error *error)
{
    mr_offsets *offsets = &scratch->offsets;
    if (segment.text.length == 0) return MR_OK;
    if (offsets->on && !mr_offsets_begin(offsets, segment.text, base)) return out_of_memory(error);
    MR_TRY(mr_normalizer_run(&t->normalizer, scratch, &segment, error));
    mr_str text = segment.text;
    if (offsets->on && !mr_offsets_finish(offsets, text)) return out_of_memory(error);
    for (size_t taken = 0, from = 0;;) {
        mr_added_match match = mr_added_tokens_find(&t->added, true, text, from, taken);
        if (offsets->on) offsets->current = offsets->bytes[0] + taken;
        mr_segment plain = { between(text, taken, match.start), segment.at_origin && taken == 0 };
        MR_TRY(encode_plain(t, scratch, plain, ids, error));
        if (offsets->on) offsets->current = offsets->bytes[0];
        if (!match.token) return MR_OK;
        MR_TRY(add_token(match.token, offsets->on ? mr_offsets_of(offsets, match.start, match.end) : (mr_span){ 0 }, ids, error));
        taken = match.end;
        from = match.searched;
    }
}

static mr_status encode_text(const mr_tokenizer *t, mr_tokenizer_scratch *scratch, mr_str text, bool traced, mr_ids *ids, mr_error *error)
{
    size_t valid = mr_utf8_check(text.data, text.length);
    if (valid < text.length) return mr_error_set(error, MR_BAD_RECORD, "text is not valid UTF-8: ill-formed sequence at byte %zu", valid);
    if (text.length > MR_TEXT_MAX_BYTES) return mr_error_set(error, MR_BAD_RECORD, "text has %zu bytes, more than %u", text.length, MR_TEXT_MAX_BYTES);
    ids->count = 0;
    scratch->offsets.on = traced;
    if (!mr_ids_trace(ids, traced)) return out_of_memory(error);
    for (size_t taken = 0, from = 0;;) {
        mr_added_match match = mr_added_tokens_find(&t->added, false, text, from, taken);
        MR_TRY(encode_segment(t, scratch, (mr_segment){ between(text, taken, match.start), taken == 0 }, taken, ids, error));
        if (!match.token) return MR_OK;
        MR_TRY(add_token(match.token, (mr_span){ (uint32_t)match.start, (uint32_t)match.end }, ids, error));
        taken = match.end;
        from = match.searched;
    }
}

/* How many ids of each text stay when both together may have `maximum` ("longest first"). */
static void cut_pair(size_t counts[2], size_t maximum)
{
    if (counts[0] + counts[1] <= maximum) return;
    bool swapped = counts[0] > counts[1];
    size_t shorter = counts[swapped], longer = shorter;
    if (shorter <= maximum && maximum - shorter > shorter) longer = maximum - shorter;
    if (shorter + longer > maximum) {
        shorter = maximum / 2;
        longer = shorter + maximum % 2;
    }
    counts[swapped] = shorter;
    counts[!swapped] = longer;
}

static bool reserve_encoding(mr_encoding *out, size_t count, bool spans)
{
    if (count > out->capacity) {
        size_t capacity = count + count / 2;
        int32_t *ids = realloc(out->ids, capacity * sizeof *ids);
        if (!ids) return false;
        out->ids = ids;
        uint8_t *types = realloc(out->type_ids, capacity);
        if (!types) return false;
        out->type_ids = types;
        free(out->spans);
        out->spans = NULL;
        out->capacity = capacity;
    }
    if (spans && !out->spans) out->spans = malloc((out->capacity + 1) * sizeof *out->spans);
    return !spans || out->spans;
}

bool mr_encoding_append(mr_encoding *encoding, int32_t id)
{
    if (!reserve_encoding(encoding, encoding->count + 1, false)) return false;
    encoding->ids[encoding->count] = id;
    encoding->type_ids[encoding->count++] = 0;
    encoding->full_count++;
    return true;
}

/* Spans of ids of one text that were kept, as the post-processor shows them. */
static void place_spans(const mr_tokenizer *t, mr_str text, const mr_ids *ids, size_t skip, size_t keep, mr_span *to)
{
    memcpy(to, ids->spans + skip, keep * sizeof *to);
    for (size_t i = 0; i < keep && t->post_processor.trims; i++)
        to[i] = mr_offsets_trim(text, to[i], mr_tokenizer_piece(t, ids->items[skip + i]), t->post_processor.prefix && (i == 0 || to[i].start == 0));
}

/* The texts' ids, cut to what fits, in the places of the template. */
static mr_status assemble(const mr_tokenizer *t, mr_tokenizer_scratch *scratch, bool pair, const mr_str *texts, const mr_encode_options *options,
                          mr_encoding *out, mr_error *error)
{
    const mr_template *template = &t->post_processor.templates[pair];
    size_t added = options->add_special_tokens ? template->added : 0;
    size_t counts[2] = { scratch->ids[0].count, pair ? scratch->ids[1].count : 0 };
    size_t full = 0, count = 0;
    for (size_t i = 0; i < template->count; i++) full += template->items[i].id < 0 ? counts[template->items[i].text] : added != 0;
    if (options->max_tokens) {
        if (options->max_tokens < added)
            return mr_error_set(error, MR_INVALID_ARGUMENT, "max_tokens %zu is smaller than the %zu special tokens of this tokenizer", options->max_tokens, added);
        size_t maximum = options->max_tokens - added;
        if (pair) cut_pair(counts, maximum);
        else if (counts[0] > maximum) counts[0] = maximum;
    }
    for (size_t i = 0; i < template->count; i++) count += template->items[i].id < 0 ? counts[template->items[i].text] : added != 0;
    if (!reserve_encoding(out, count, options->offsets)) return out_of_memory(error);
    out->count = 0;
    for (size_t i = 0; i < template->count; i++) {
        mr_template_item item = template->items[i];
        if (item.id >= 0) {
            if (added == 0) continue;
            out->type_ids[out->count] = item.type;
            if (options->offsets) out->spans[out->count] = (mr_span){ 0 };
            out->ids[out->count++] = item.id;
            continue;
        }
        const mr_ids *ids = &scratch->ids[item.text];
        size_t keep = counts[item.text], skip = options->truncate_left ? ids->count - keep : 0;
        if (keep == 0) continue;
        memcpy(out->ids + out->count, ids->items + skip, keep * sizeof *out->ids);
        memset(out->type_ids + out->count, item.type, keep);
        if (options->offsets) place_spans(t, texts[item.text], ids, skip, keep, out->spans + out->count);
        out->count += keep;
    }
    out->full_count = full;
    return MR_OK;
}

mr_status mr_tokenizer_encode(const mr_tokenizer *tokenizer, mr_tokenizer_scratch *scratch, mr_str text,
                              const mr_encode_options *options, mr_encoding *out, mr_error *error)
{
    MR_TRY(encode_text(tokenizer, scratch, text, options->offsets, &scratch->ids[0], error));
    return assemble(tokenizer, scratch, false, &text, options, out, error);
}

mr_status mr_tokenizer_encode_pair(const mr_tokenizer *tokenizer, mr_tokenizer_scratch *scratch, mr_str first, mr_str second,
                                   const mr_encode_options *options, mr_encoding *out, mr_error *error)
{
    mr_status status = encode_text(tokenizer, scratch, first, options->offsets, &scratch->ids[0], error);
    if (status != MR_OK) return mr_error_prefix(error, status, "first text");
    status = encode_text(tokenizer, scratch, second, options->offsets, &scratch->ids[1], error);
    if (status != MR_OK) return mr_error_prefix(error, status, "second text");
    return assemble(tokenizer, scratch, true, (mr_str[]){ first, second }, options, out, error);
}
