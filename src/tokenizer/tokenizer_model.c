/* The component "model": which kind, and its vocabulary. WordLevel, being two lines, lives here. */
#include "tokenizer/tokenizer_model.h"

#include <stdatomic.h>
#include <string.h>

#include "tokenizer/component.h"
#include "tokenizer/tokenizer_scratch.h"

uint64_t mr_model_next_serial(void)
{
    static atomic_uint_fast64_t serial = 1;
    return atomic_fetch_add(&serial, 1);
}

static mr_str kind_of(mr_json_value component)
{
    mr_json_value type = mr_json_get(component, "type");
    if (mr_json_type_of(type) == MR_JSON_STRING) return mr_json_bytes(type);
    /* Old files have no type. */
    if (mr_json_present(mr_json_get(component, "merges"))) return MR_STR("BPE");
    if (mr_json_type_of(mr_json_get(component, "vocab")) == MR_JSON_ARRAY) return MR_STR("Unigram");
    if (mr_json_present(mr_json_get(component, "max_input_chars_per_word"))) return MR_STR("WordPiece");
    return MR_STR("WordLevel");
}

mr_status mr_model_open(mr_json_value component, bool bytes, mr_model *out, mr_error *error)
{
    mr_model model = { .serial = mr_model_next_serial() };
    mr_status status = MR_OK;
    MR_TRY(mr_json_expect(component, MR_JSON_OBJECT, "\"model\"", error));
    mr_str kind = kind_of(component);
    if (mr_type_is(kind, "WordPiece")) model.type = MR_MODEL_WORDPIECE;
    else if (mr_type_is(kind, "Unigram")) model.type = MR_MODEL_UNIGRAM;
    else if (mr_type_is(kind, "BPE")) model.type = MR_MODEL_BPE;
    else if (mr_type_is(kind, "WordLevel")) model.type = MR_MODEL_WORD_LEVEL;
    else return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: model type \"%.*s\" is not supported", mr_json_path(component),
                             (int)(kind.length < 64 ? kind.length : 64), kind.data);
    if (bytes && model.type != MR_MODEL_BPE)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: pre-tokenizer ByteLevel with another model than BPE is not supported", mr_json_path(component));
    if (model.type != MR_MODEL_UNIGRAM) MR_TRY(mr_vocabulary_from_json(mr_json_get(component, "vocab"), &model.vocabulary, error));
    switch (model.type) {
    case MR_MODEL_WORDPIECE: status = mr_wordpiece_open(component, &model.vocabulary, &model.wordpiece, error); break;
    case MR_MODEL_UNIGRAM: status = mr_unigram_open(component, &model.vocabulary, &model.unigram, error); break;
    case MR_MODEL_BPE: status = mr_bpe_open(component, &model.vocabulary, bytes, &model.bpe, error); break;
    case MR_MODEL_WORD_LEVEL: {
        mr_str unk;
        status = mr_json_get_str(component, "unk_token", MR_STR("<unk>"), &unk, error);
        if (status == MR_OK) model.word_level.unk_id = mr_vocabulary_id(&model.vocabulary, unk);
        break;
    }
    }
    if (status != MR_OK) {
        mr_vocabulary_fini(&model.vocabulary);
        return status;
    }
    *out = model;
    return MR_OK;
}

void mr_model_fini(mr_model *model)
{
    switch (model->type) {
    case MR_MODEL_WORDPIECE: mr_wordpiece_fini(&model->wordpiece); break;
    case MR_MODEL_UNIGRAM: mr_unigram_fini(&model->unigram); break;
    case MR_MODEL_BPE: mr_bpe_fini(&model->bpe); break;
    case MR_MODEL_WORD_LEVEL: break;
    }
    mr_vocabulary_fini(&model->vocabulary);
}

static mr_status out_of_memory(mr_error *error)
{
    return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory tokenizing a text");
}

static mr_status run_word_level(const mr_model *model, mr_str piece, mr_ids *ids, mr_error *error)
{
    int32_t id = mr_vocabulary_id(&model->vocabulary, piece);
    if (id < 0) id = model->word_level.unk_id;
    if (id < 0) return mr_error_set(error, MR_BAD_RECORD, "a word is not in the vocabulary and the tokenizer has no unknown token");
    return mr_ids_add(ids, id, 0, piece.length) ? MR_OK : out_of_memory(error);
}

static mr_status run_piece(const mr_model *model, mr_tokenizer_scratch *scratch, mr_str piece, mr_ids *ids, mr_error *error)
{
    switch (model->type) {
    case MR_MODEL_WORDPIECE: return mr_wordpiece_run(&model->wordpiece, piece, ids) ? MR_OK : out_of_memory(error);
    case MR_MODEL_BPE: return mr_bpe_run(&model->bpe, &model->vocabulary, piece, &scratch->bpe, ids) ? MR_OK : out_of_memory(error);
    case MR_MODEL_UNIGRAM: return mr_unigram_run(&model->unigram, piece, &scratch->unigram, ids, error);
    case MR_MODEL_WORD_LEVEL: return run_word_level(model, piece, ids, error);
    }
    return MR_OK;
}

/* SentencePiece's BPE sees whole texts: cut where nothing can join. */
static const mr_pieces *cut_parts(const mr_bpe *bpe, mr_tokenizer_scratch *scratch, mr_str text, const mr_pieces *pieces)
{
    mr_pieces *parts = &scratch->pieces[pieces == &scratch->pieces[0]];
    parts->count = 0;
    for (size_t i = 0; i < pieces->count; i++) {
        size_t start = pieces->items[i].start;
        mr_str piece = { text.data + start, pieces->items[i].length };
        for (size_t at = 0, end; at < piece.length; at = end) {
            end = mr_bpe_part_end(bpe, piece, at);
            if (!mr_pieces_add(parts, start + at, start + end)) return NULL;
        }
    }
    return parts;
}

/* Every piece by itself, past the cache, which knows no lengths. */
static mr_status run_traced(const mr_model *model, mr_tokenizer_scratch *scratch, mr_str text, const mr_pieces *pieces, mr_ids *ids, mr_error *error)
{
    for (size_t i = 0; i < pieces->count; i++) {
        mr_piece piece = pieces->items[i];
        size_t from = ids->count;
        MR_TRY(run_piece(model, scratch, (mr_str){ text.data + piece.start, piece.length }, ids, error));
        for (; from < ids->count; from++) ids->spans[from] = mr_offsets_of(&scratch->offsets, piece.start + ids->spans[from].start, piece.start + ids->spans[from].end);
    }
    return MR_OK;
}

/* One piece that is not among the words, or not yet. */
static mr_status run_missed(const mr_model *model, mr_tokenizer_scratch *scratch, mr_str piece, uint32_t hash, mr_ids *ids, mr_error *error)
{
    size_t before = ids->count, count;
    if (piece.length > MR_LONG_WORD_BYTES) return run_piece(model, scratch, piece, ids, error);
    const int32_t *found = mr_word_cache_find_long(&scratch->cache, piece, hash, &count);
    if (found) {
        if (!mr_ids_reserve(ids, count)) return out_of_memory(error);
        memcpy(ids->items + before, found, count * sizeof *found);
        ids->count += count;
        return MR_OK;
    }
    MR_TRY(run_piece(model, scratch, piece, ids, error));
    count = ids->count - before;
    if (piece.length > MR_WORD_BYTES || count > MR_WORD_IDS) mr_word_cache_store_long(&scratch->cache, piece, hash, ids->items + before, count);
    return MR_OK;
}

/* So many pieces at a time: their places in the cache are requested from memory while those of the pieces before are read. */
#define TOGETHER 32

typedef struct lookup {
    mr_word_key key; /* of a word */
    uint32_t hash;
} lookup;

static void request_group(const mr_word_cache *cache, mr_str text, const mr_piece *pieces, size_t count, lookup *lookups)
{
    for (size_t i = 0; i < count; i++) {
        mr_piece piece = pieces[i];
        if (piece.length <= MR_WORD_BYTES) {
            lookups[i].key = mr_word_key_of(text, piece.start, piece.length);
            lookups[i].hash = mr_word_cache_request(cache, &lookups[i].key);
        } else if (piece.length <= MR_LONG_WORD_BYTES) {
            lookups[i].hash = mr_word_cache_request_long(cache, (mr_str){ text.data + piece.start, piece.length });
        }
    }
}

static mr_status run_group(const mr_model *model, mr_tokenizer_scratch *scratch, mr_str text, const mr_piece *pieces, const lookup *lookups, size_t count, mr_ids *ids, mr_error *error)
{
    mr_word_cache *cache = &scratch->cache;
    for (size_t i = 0; i < count; i++) {
        bool is_word = pieces[i].length <= MR_WORD_BYTES;
        const lookup *at = &lookups[i];
        const mr_word *word = is_word ? mr_word_cache_find(cache, at->hash, &at->key) : NULL;
        if (ids->capacity - ids->count < MR_WORD_IDS && !mr_ids_reserve(ids, MR_WORD_IDS)) return out_of_memory(error);
        if (word) {
            memcpy(ids->items + ids->count, word->ids, sizeof word->ids); /* always all: the length is known to the compiler */
            ids->count += mr_word_count(word);
            continue;
        }
        size_t before = ids->count;
        mr_str piece = { text.data + pieces[i].start, pieces[i].length };
        MR_TRY(run_missed(model, scratch, piece, is_word ? mr_word_cache_request_long(cache, piece) : at->hash, ids, error));
        if (is_word && ids->count - before <= MR_WORD_IDS) mr_word_cache_store(cache, &at->key, at->hash, ids->items + before, ids->count - before);
    }
    return MR_OK;
}

mr_status mr_model_run(const mr_model *model, mr_tokenizer_scratch *scratch, mr_str text, const mr_pieces *pieces, mr_ids *ids, mr_error *error)
{
    if (!mr_word_cache_prepare(&scratch->cache, model->serial)) return out_of_memory(error);
    if (model->type == MR_MODEL_BPE && model->bpe.parts) pieces = cut_parts(&model->bpe, scratch, text, pieces);
    if (!pieces) return out_of_memory(error);
    if (ids->traced) return run_traced(model, scratch, text, pieces, ids, error);
    lookup lookups[2][TOGETHER];
    size_t count = pieces->count < TOGETHER ? pieces->count : TOGETHER, next;
    request_group(&scratch->cache, text, pieces->items, count, lookups[0]);
    for (size_t at = 0, turn = 0; at < pieces->count; at += count, count = next, turn ^= 1) {
        size_t left = pieces->count - at - count;
        next = left < TOGETHER ? left : TOGETHER;
        request_group(&scratch->cache, text, pieces->items + at + count, next, lookups[turn ^ 1]);
        MR_TRY(run_group(model, scratch, text, pieces->items + at, lookups[turn], count, ids, error));
    }
    return MR_OK;
}
