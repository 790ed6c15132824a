#include <stdlib.h>
#include <string.h>

#include "gguf_writer.h"
#include "golden_gguf.h"
#include "tokenizer/pipeline.h"

#define PREFIX "tokenizer.ggml."
#define SPACE_MARK "\xE2\x96\x81"

enum { NORMAL = 1, CONTROL = 3, USER_DEFINED, UNUSED, BYTE };

static uint32_t type_of(const mr_tokenizer *source, int32_t id, mr_str text)
{
    const mr_added_token *added = mr_added_tokens_of(&source->added, id);
    if (!text.data) return UNUSED;
    if (added) return added->special ? CONTROL : USER_DEFINED;
    return mr_decoder_fallback_byte(text) >= 0 ? BYTE : NORMAL;
}

/* What the converter stores for a text: WordPiece's "##x" as "x" and "x" as U+2581 "x". */
static void put_text(mr_buf *out, const mr_tokenizer *source, int32_t id, mr_str text, bool wordpiece)
{
    mr_buf stored = { 0 };
    uint32_t type = type_of(source, id, text);
    bool inner = text.length > 2 && memcmp(text.data, "##", 2) == 0;
    if (type == UNUSED) mr_buf_printf(&stored, "[PAD%d]", (int)id);
    else if (wordpiece && type == NORMAL && inner) mr_buf_append(&stored, text.data + 2, text.length - 2);
    else if (wordpiece && type == NORMAL) mr_buf_printf(&stored, SPACE_MARK "%.*s", (int)text.length, text.data);
    else mr_buf_append(&stored, text.data, text.length);
    gguf_put_string(out, (mr_str){ stored.data, stored.length });
    mr_buf_fini(&stored);
}

static void put_double(mr_buf *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    gguf_put_number(out, bits, 8);
}

/* SentencePiece's BPE has scores instead of merges: the better the earlier a merge makes the text. */
static void put_scores(gguf_writer *w, const mr_tokenizer *source)
{
    const mr_model *model = &source->model;
    size_t count = mr_tokenizer_vocab_size(source);
    double *scores = calloc(count, sizeof *scores);
    for (size_t id = 0; id < count; id++) scores[id] = model->type == MR_MODEL_UNIGRAM && id < model->vocabulary.size ? model->unigram.scores[id] : 0;
    for (size_t slot = 0; model->type == MR_MODEL_BPE && slot <= model->bpe.merge_mask; slot++) {
        uint32_t rank = (uint32_t)model->bpe.merges[slot] & 0xFFFFF;
        if (model->bpe.merges[slot] == UINT64_MAX) continue;
        double *score = &scores[model->bpe.joined[rank]];
        if (*score == 0 || *score < -1.0 - rank) *score = -1.0 - rank;
    }
    gguf_key_array(w, PREFIX "scores", MR_GGUF_VALUE_F64, count);
    for (size_t id = 0; id < count; id++) put_double(&w->values, scores[id]);
    free(scores);
}

static void put_merges(gguf_writer *w, const json_t *list)
{
    gguf_key_array(w, PREFIX "merges", MR_GGUF_VALUE_STRING, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *merge = json_array_get(list, i);
        char *text = json_is_string(merge) ? mr_strdup(json_string_value(merge))
                                           : mr_strf("%s %s", json_string_value(json_array_get(merge, 0)), json_string_value(json_array_get(merge, 1)));
        gguf_put_string(&w->values, mr_str_of(text));
        free(text);
    }
}

static void put_id(gguf_writer *w, const char *key, const mr_tokenizer *source, const char *const *names)
{
    for (; *names; names++) {
        int32_t id = mr_tokenizer_id(source, mr_str_of(*names));
        if (id < 0) continue;
        gguf_key_u32(w, key, (uint32_t)id);
        return;
    }
}

/* What the post-processor adds in front (0) and behind (1) of one text. */
static int32_t edge(const mr_tokenizer *source, bool behind)
{
    const mr_template *template = &source->post_processor.templates[0];
    return template->count ? template->items[behind ? template->count - 1 : 0].id : -1;
}

static void put_edge(gguf_writer *w, const char *flag, const char *key, int32_t id)
{
    gguf_key_bool(w, flag, id >= 0);
    if (id >= 0) gguf_key_u32(w, key, (uint32_t)id);
}

static void put_charsmap(gguf_writer *w, const json_t *normalizer)
{
    const json_t *map = json_object_get(normalizer, "precompiled_charsmap"), *item;
    size_t i;
    json_array_foreach(json_object_get(normalizer, "normalizers"), i, item) if (!map) map = json_object_get(item, "precompiled_charsmap");
    mr_str text = { json_string_value(map), json_string_length(map) };
    unsigned char *bytes = malloc(text.length);
    size_t length = mr_base64_decode(text, bytes);
    gguf_key_array(w, PREFIX "precompiled_charsmap", MR_GGUF_VALUE_U8, length);
    mr_buf_append(&w->values, bytes, length);
    free(bytes);
}

mr_buf golden_gguf(const json_t *json, const mr_tokenizer *source, const char *model, const char *pre)
{
    static const char *const unknown[] = { "<unk>", "[UNK]", NULL }, *const mask[] = { "<mask>", NULL };
    gguf_writer w = { 0 };
    size_t count = mr_tokenizer_vocab_size(source);
    bool spm = strcmp(model, "llama") == 0, wordpiece = strcmp(model, "bert") == 0;
    gguf_key_string(&w, PREFIX "model", mr_str_of(model));
    if (pre) gguf_key_string(&w, PREFIX "pre", mr_str_of(pre));
    gguf_key_array(&w, PREFIX "tokens", MR_GGUF_VALUE_STRING, count);
    for (size_t id = 0; id < count; id++) put_text(&w.values, source, (int32_t)id, mr_tokenizer_piece(source, (int32_t)id), wordpiece);
    gguf_key_array(&w, PREFIX "token_type", MR_GGUF_VALUE_I32, count);
    for (size_t id = 0; id < count; id++) gguf_put_number(&w.values, type_of(source, (int32_t)id, mr_tokenizer_piece(source, (int32_t)id)), 4);
    if (spm || source->model.type == MR_MODEL_UNIGRAM) put_scores(&w, source);
    if (!spm && source->model.type == MR_MODEL_BPE) put_merges(&w, json_object_get(json_object_get(json, "model"), "merges"));
    put_id(&w, PREFIX "unknown_token_id", source, unknown);
    put_id(&w, PREFIX "mask_token_id", source, mask);
    put_edge(&w, PREFIX "add_bos_token", PREFIX "bos_token_id", edge(source, false));
    put_edge(&w, PREFIX "add_eos_token", wordpiece ? PREFIX "seperator_token_id" : PREFIX "eos_token_id", edge(source, true));
    if (wordpiece) {
        gguf_key_bool(&w, PREFIX "normalizer.lowercase", source->normalizer.steps[0].bert.lowercase);
        gguf_key_bool(&w, PREFIX "normalizer.strip_accents", source->normalizer.steps[0].bert.strip_accents);
    }
    if (spm) gguf_key_bool(&w, PREFIX "add_space_prefix", source->normalizer.count > 1);
    if (source->model.type == MR_MODEL_UNIGRAM) put_charsmap(&w, json_object_get(json, "normalizer"));
    return gguf_finish(&w, 3);
}
