/* Byte pair encoding: of all adjacent pairs that have a merge, the lowest ranked is joined, leftmost first. */
#include "tokenizer/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/component.h"
#include "tokenizer/decoder.h"
#include "tokenizer/unicode.h"

/* ---------------------------------------------------------------- merge table */

/* A slot is pair << 20 | rank, so that eight fit a cache line: 22 bits for each id (MR_VOCABULARY_MAX_ID). */
#define RANK_BITS 20
#define MAX_RANK ((1u << RANK_BITS) - 1)
#define EMPTY UINT64_MAX
#define NO_MERGE UINT32_MAX
_Static_assert(MR_VOCABULARY_MAX_ID < (1 << 22) - 1, "an id of a pair has 22 bits, and EMPTY is no pair");

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 22 | (uint32_t)right;
}

static uint64_t hash_of(uint64_t pair)
{
    return pair * UINT64_C(0x9E3779B97F4A7C15);
}

static size_t slot_of(const mr_bpe *model, uint64_t pair)
{
    return (size_t)(hash_of(pair) >> 20) & model->merge_mask;
}

/* Most pairs that come up have no merge. The table is too large for the core's own cache, a bit for each hash is not: five of six are told
 * from it. */
static uint64_t hash_bit(uint64_t pair)
{
    return hash_of(pair) >> (64 - MR_BPE_HASH_BITS);
}

/* The rank of a pair's merge. */
static uint32_t find_merge(const mr_bpe *model, int32_t left, int32_t right)
{
    uint64_t pair = pair_of(left, right), bit = hash_bit(pair);
    if (!(model->hashes[bit >> 6] >> (bit & 63) & 1)) return NO_MERGE;
    for (size_t slot = slot_of(model, pair);; slot = (slot + 1) & model->merge_mask) {
        uint64_t merge = model->merges[slot];
        if (merge >> RANK_BITS == pair) return (uint32_t)merge & MAX_RANK;
        if (merge == EMPTY) return NO_MERGE;
    }
}

/* The id of what a merge makes. Nearly all vocabularies number their texts in the order of the merges. */
static int32_t joined_of(const mr_bpe *model, uint32_t rank)
{
    return model->regular ? (int32_t)rank + model->distance : model->joined[rank];
}

mr_status mr_bpe_table_create(mr_bpe *model, size_t pairs, size_t ranks, mr_error *error)
{
    size_t slots = 16;
    if (ranks > 1u << RANK_BITS) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "BPE with %zu merges; at most %u are supported", ranks, 1u << RANK_BITS);
    while (slots < pairs + pairs / 3 + 1) slots *= 2; /* three quarters full: half the table, half the cache misses */
    model->merges = mr_mem_alloc_array(slots, sizeof *model->merges, MR_MEM_TOKENIZER);
    model->joined = mr_mem_calloc(ranks + 1, sizeof *model->joined, MR_MEM_TOKENIZER);
    model->hashes = mr_mem_calloc(MR_BPE_HASHES, sizeof *model->hashes, MR_MEM_TOKENIZER);
    if (!model->merges || !model->joined || !model->hashes) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory for %zu merges", pairs);
    model->merge_mask = slots - 1;
    model->ranks = ranks;
    for (size_t i = 0; i < slots; i++) model->merges[i] = EMPTY;
    return MR_OK;
}

void mr_bpe_table_put(mr_bpe *model, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    uint64_t pair = pair_of(left, right);
    size_t slot = slot_of(model, pair);
    while (model->merges[slot] != EMPTY && model->merges[slot] >> RANK_BITS != pair) slot = (slot + 1) & model->merge_mask;
    model->merges[slot] = pair << RANK_BITS | rank; /* a pair listed twice: the last counts */
    model->joined[rank] = id;
    model->hashes[hash_bit(pair) >> 6] |= UINT64_C(1) << (hash_bit(pair) & 63);
}

bool mr_bpe_table_is_sound(const mr_bpe *model, size_t size)
{
    uint32_t most = 0;
    size_t empty = 0;
    bool good = true;
    for (size_t slot = 0; slot <= model->merge_mask; slot++) {
        uint64_t merge = model->merges[slot];
        uint32_t unused = merge == EMPTY, ranks = (((uint32_t)merge & MAX_RANK) + 1) & (unused - 1);
        most = ranks > most ? ranks : most;
        empty += unused;
    }
    for (size_t i = 0; model->byte_pairs && i < 65536; i++) good &= model->byte_pairs[i >> 8][i & 255] < model->ranks || model->byte_pairs[i >> 8][i & 255] == NO_MERGE;
    bool made = !model->regular || (model->distance >= 0 && model->ranks + (size_t)model->distance <= size);
    return empty && good && made && most <= model->ranks;
}

mr_status mr_bpe_table_finish(mr_bpe *model, mr_error *error)
{
    size_t used = 0;
    int32_t distance = 0;
    model->regular = true;
    for (size_t slot = 0; slot <= model->merge_mask && model->regular; slot++) {
        if (model->merges[slot] == EMPTY) continue;
        uint32_t rank = (uint32_t)model->merges[slot] & MAX_RANK;
        if (used++ == 0) distance = model->joined[rank] - (int32_t)rank;
        model->regular = model->joined[rank] - (int32_t)rank == distance;
    }
    model->distance = distance;
    for (size_t i = 0; i < 256; i++)
        if (!model->bytes || model->symbols[0][i] < 0) return MR_OK;
    model->byte_pairs = mr_mem_alloc(256 * sizeof *model->byte_pairs, MR_MEM_TOKENIZER);
    if (!model->byte_pairs) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    for (size_t a = 0; a < 256; a++)
        for (size_t b = 0; b < 256; b++) model->byte_pairs[a][b] = find_merge(model, model->symbols[0][a], model->symbols[0][b]);
    return MR_OK;
}

/* ---------------------------------------------------------------- reading */

static mr_status corrupt_merge(mr_json_value list, size_t rank, const char *what, mr_error *error)
{
    return mr_error_set(error, MR_MODEL_CORRUPT, "%s: BPE: merge %zu %s", mr_json_path(list), rank, what);
}

/* "a b" or ["a", "b"] */
static bool merge_sides(mr_json_value item, mr_str *left, mr_str *right)
{
    if (mr_json_type_of(item) == MR_JSON_STRING) {
        mr_str text = mr_json_bytes(item);
        const char *space = memchr(text.data, ' ', text.length);
        if (!space || memchr(space + 1, ' ', text.length - (size_t)(space + 1 - text.data))) return false;
        *left = (mr_str){ text.data, (size_t)(space - text.data) };
        *right = (mr_str){ space + 1, text.length - left->length - 1 };
        return true;
    }
    if (mr_json_type_of(item) != MR_JSON_ARRAY || mr_json_count(item) != 2) return false;
    mr_json_value first = mr_json_first(item), second = mr_json_after(first);
    if (mr_json_type_of(first) != MR_JSON_STRING || mr_json_type_of(second) != MR_JSON_STRING) return false;
    *left = mr_json_bytes(first);
    *right = mr_json_bytes(second);
    return true;
}

/* Two texts are joined only where the last byte of one and the first of the other meet in some merge. Unknowns and
 * byte tokens stand for other bytes than their texts', so nothing can be told from a merge of those. */
static void note_border(mr_bpe *model, mr_str left, int32_t left_id, mr_str right, int32_t right_id)
{
    bool literal = left.length && right.length && left_id != model->unk_id && right_id != model->unk_id && mr_decoder_fallback_byte(left) < 0 &&
                   mr_decoder_fallback_byte(right) < 0;
    if (literal) model->joins[(unsigned char)left.data[left.length - 1]][(unsigned char)right.data[0]] = true;
    else model->parts = false;
}

/* The id of the joined text. Merges are mostly listed in the order of their results' ids, so the id behind the last
 * one is tried first: no hashing, no cache miss. */
static int32_t joined_id(const mr_vocabulary *vocabulary, mr_str left, mr_str right, int32_t guess, mr_buf *joined)
{
    mr_str text = mr_vocabulary_text(vocabulary, guess);
    if (text.data && text.length == left.length + right.length && memcmp(text.data, left.data, left.length) == 0 &&
        memcmp(text.data + left.length, right.data, right.length) == 0)
        return guess;
    joined->length = 0;
    if (!mr_buf_append(joined, left.data, left.length) || !mr_buf_append(joined, right.data, right.length)) return -1;
    return mr_vocabulary_id(vocabulary, (mr_str){ joined->data, joined->length });
}

/* So many merges at a time: what they are found with, and where they go, is requested from memory for all of them before it is used. */
#define GROUP 32

static mr_status read_group(mr_json_value list, mr_json_value *item, size_t *rank, int32_t *guess, const mr_vocabulary *vocabulary, mr_bpe *model,
                            mr_buf *joined, mr_error *error)
{
    mr_str sides[GROUP][2];
    int32_t ids[GROUP][2], made[GROUP];
    size_t count = 0;
    for (; count < GROUP && mr_json_more(list, *item); count++, *item = mr_json_after(*item))
        if (!merge_sides(*item, &sides[count][0], &sides[count][1])) return corrupt_merge(list, *rank + count, "must be two texts", error);
    mr_vocabulary_ids(vocabulary, sides[0], 2 * count, ids[0]);
    for (size_t i = 0; i < count; i++) {
        made[i] = joined_id(vocabulary, sides[i][0], sides[i][1], *guess, joined);
        if (ids[i][0] < 0 || ids[i][1] < 0 || made[i] < 0) return corrupt_merge(list, *rank + i, "names a text that is not in the vocabulary", error);
        *guess = made[i] + 1;
        mr_mem_prefetch(&model->merges[slot_of(model, pair_of(ids[i][0], ids[i][1]))]);
    }
    for (size_t i = 0; i < count; i++, ++*rank) {
        mr_bpe_table_put(model, ids[i][0], ids[i][1], (uint32_t)*rank, made[i]);
        if (model->parts) note_border(model, sides[i][0], ids[i][0], sides[i][1], ids[i][1]);
    }
    return MR_OK;
}

static mr_status read_merges(mr_json_value list, const mr_vocabulary *vocabulary, mr_bpe *model, mr_error *error)
{
    mr_buf joined = { 0 };
    mr_status status = MR_OK;
    size_t rank = 0;
    int32_t guess = 0;
    if (mr_json_present(list)) MR_TRY(mr_json_expect(list, MR_JSON_ARRAY, "BPE: \"merges\"", error));
    else list = (mr_json_value){ 0 };
    MR_TRY(mr_bpe_table_create(model, mr_json_count(list), mr_json_count(list), error));
    mr_json_value item = mr_json_first(list);
    while (status == MR_OK && mr_json_more(list, item)) status = read_group(list, &item, &rank, &guess, vocabulary, model, &joined, error);
    mr_buf_fini(&joined);
    return status;
}

/* Ids of the one-byte (bytes) or ASCII symbols, with and without the end-of-word suffix. */
static mr_status read_symbols(const mr_vocabulary *vocabulary, mr_bpe *model, mr_error *error)
{
    mr_buf text = { 0 };
    for (size_t last = 0; last < 2; last++) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = model->bytes ? mr_byte_level_character((unsigned char)i) : i;
            text.length = 0;
            if (!mr_buf_reserve(&text, 4)) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
            text.length = mr_utf8_encode(c, text.data);
            if (last && !mr_buf_append(&text, model->suffix.data, model->suffix.length)) return mr_buf_fini(&text), mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
            model->symbols[last][i] = mr_vocabulary_id(vocabulary, (mr_str){ text.data, text.length });
        }
    }
    mr_buf_fini(&text);
    return MR_OK;
}

/* For ignore_merges in byte mode: the vocabulary's texts as the bytes they stand for. */
static mr_status read_whole(const mr_vocabulary *vocabulary, mr_bpe *model, mr_error *error)
{
    size_t total = 0, count = 0;
    mr_status status = MR_OUT_OF_MEMORY;
    for (size_t i = 0; i < vocabulary->size; i++) total += vocabulary->places[i].length;
    char *bytes = malloc(total + 1), *to = bytes;
    mr_str *texts = malloc((vocabulary->size + 1) * sizeof *texts);
    int32_t *ids = malloc((vocabulary->size + 1) * sizeof *ids);
    if (bytes && texts && ids) {
        for (size_t i = 0; i < vocabulary->size; i++) {
            mr_str text = mr_vocabulary_text(vocabulary, (int32_t)i);
            if (!text.data) continue;
            size_t length = mr_byte_level_unmap(text, to);
            if (length == SIZE_MAX) continue; /* not in the alphabet: no piece can be this text */
            texts[count] = (mr_str){ to, length };
            ids[count++] = (int32_t)i;
            to += length;
        }
        status = mr_vocabulary_build(texts, ids, count, &model->whole, error);
    }
    free(bytes);
    free(texts);
    free(ids);
    return status == MR_OUT_OF_MEMORY ? mr_error_set(error, status, "out of memory") : status;
}

mr_status mr_bpe_open(mr_json_value component, const mr_vocabulary *vocabulary, bool bytes, mr_bpe *out, mr_error *error)
{
    mr_bpe model = { .bytes = bytes };
    mr_status status = MR_OK;
    mr_str unk, prefix, suffix;
    bool fallback;
    MR_TRY(mr_json_get_str(component, "unk_token", (mr_str){ 0 }, &unk, error));
    MR_TRY(mr_json_get_str(component, "continuing_subword_prefix", MR_STR(""), &prefix, error));
    MR_TRY(mr_json_get_str(component, "end_of_word_suffix", MR_STR(""), &suffix, error));
    MR_TRY(mr_json_get_bool(component, "fuse_unk", false, &model.fuse_unk, error));
    MR_TRY(mr_json_get_bool(component, "byte_fallback", false, &fallback, error));
    MR_TRY(mr_json_get_bool(component, "ignore_merges", false, &model.ignore_merges, error));
    if (prefix.length) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: BPE with a continuing_subword_prefix is not supported", mr_json_path(component));
    if (suffix.length > MR_BPE_MAX_SUFFIX) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: BPE: end_of_word_suffix is longer than %d bytes", mr_json_path(component), MR_BPE_MAX_SUFFIX);
    model.unk_id = unk.data ? mr_vocabulary_id(vocabulary, unk) : -1;
    model.suffix = mr_str_copy(suffix);
    if (!model.suffix.data) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    mr_vocabulary_read_bytes(vocabulary, model.fallback);
    if (!fallback) memset(model.fallback, 0xFF, sizeof model.fallback);
    MR_TRY_OR(status, read_symbols(vocabulary, &model, error), done);
    for (size_t i = 0; bytes && fallback && i < 256; i++) {
        if (model.symbols[0][i] >= 0) continue;
        status = mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: BPE with byte_fallback whose vocabulary lacks characters of ByteLevel is not supported",
                              mr_json_path(component));
        goto done;
    }
    if (!bytes && !model.ignore_merges && suffix.length == 0) {
        model.joins = mr_mem_calloc(256, sizeof *model.joins, MR_MEM_TOKENIZER);
        model.parts = model.joins != NULL;
        model.total = true;
        for (size_t i = 0; i < 256; i++) model.total = model.total && model.fallback[i] >= 0;
    }
    MR_TRY_OR(status, read_merges(mr_json_get(component, "merges"), vocabulary, &model, error), done);
    MR_TRY_OR(status, mr_bpe_table_finish(&model, error), done);
    if (bytes && model.ignore_merges) MR_TRY_OR(status, read_whole(vocabulary, &model, error), done);
    *out = model;
done:
    if (status != MR_OK) mr_bpe_fini(&model);
    return status;
}

void mr_bpe_fini(mr_bpe *model)
{
    if (!model->borrowed) {
        mr_mem_free(model->merges);
        mr_mem_free(model->joined);
        mr_mem_free(model->hashes);
        mr_mem_free(model->joins);
        mr_mem_free(model->byte_pairs);
    }
    mr_vocabulary_fini(&model->whole);
    free((char *)model->suffix.data);
    *model = (mr_bpe){ 0 };
}

/* ---------------------------------------------------------------- first symbols */

/* Scratch for one piece. The caller reserved one symbol for each byte of it, and one more. */
static void add_symbol(mr_bpe_scratch *scratch, int32_t id, size_t length)
{
    mr_bpe_symbol *symbol = &scratch->symbols[scratch->count++];
    symbol->id = id;
    symbol->length = (uint32_t)length;
}

/* Id of one code point's text with the suffix if it is the last. */
static int32_t symbol_id(const mr_bpe *model, const mr_vocabulary *vocabulary, mr_str point, bool last)
{
    if (model->bytes || (unsigned char)point.data[0] < 0x80) return model->symbols[last][(unsigned char)point.data[0]];
    if (!last || model->suffix.length == 0) return mr_vocabulary_id(vocabulary, point);
    char text[4 + MR_BPE_MAX_SUFFIX];
    memcpy(text, point.data, point.length);
    memcpy(text + point.length, model->suffix.data, model->suffix.length);
    return mr_vocabulary_id(vocabulary, (mr_str){ text, point.length + model->suffix.length });
}

/* All bytes of the symbol's text as byte tokens; false when one is missing. */
static bool fall_back(const mr_bpe *model, mr_bpe_scratch *scratch, mr_str point, bool last)
{
    mr_str parts[2] = { point, last ? model->suffix : (mr_str){ 0 } };
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < parts[k].length; i++)
            if (model->fallback[(unsigned char)parts[k].data[i]] < 0) return false;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < parts[k].length; i++) add_symbol(scratch, model->fallback[(unsigned char)parts[k].data[i]], 1);
    return true;
}

static void first_symbols(const mr_bpe *model, const mr_vocabulary *vocabulary, mr_str piece, mr_bpe_scratch *scratch)
{
    size_t pending = 0; /* bytes of an unknown not yet written */
    scratch->count = 0;
    for (size_t at = 0; at < piece.length;) {
        size_t length = model->bytes ? 1 : mr_utf8_length((unsigned char)piece.data[at]);
        mr_str point = { piece.data + at, length };
        at += length;
        bool last = at == piece.length;
        int32_t id = symbol_id(model, vocabulary, point, last);
        if (id >= 0) {
            if (pending) add_symbol(scratch, model->unk_id, pending);
            pending = 0;
            add_symbol(scratch, id, length);
            continue;
        }
        if (fall_back(model, scratch, point, last) || model->unk_id < 0) continue;
        if (pending && !model->fuse_unk) {
            add_symbol(scratch, model->unk_id, pending);
            pending = 0;
        }
        pending += length;
    }
    if (pending) add_symbol(scratch, model->unk_id, pending);
}

/* ---------------------------------------------------------------- merging */

#define SHORT_PIECE 64 /* up to here a scan for the minimum beats the heap */

/* `ranks` of all adjacent pairs at first. */
static void rank_pairs(const mr_bpe *model, mr_str piece, const mr_bpe_scratch *scratch, uint32_t *ranks)
{
    const mr_bpe_symbol *s = scratch->symbols;
    size_t pairs = scratch->count - 1, known = 0;
    if (model->byte_pairs && scratch->count == piece.length) /* a symbol for each byte, the last perhaps with a suffix */
        for (size_t end = pairs - (model->suffix.length > 0); known < end; known++)
            ranks[known] = model->byte_pairs[(unsigned char)piece.data[known]][(unsigned char)piece.data[known + 1]];
    for (; known < pairs; known++) ranks[known] = find_merge(model, s[known].id, s[known + 1].id);
}

static void merge_short(const mr_bpe *model, mr_str piece, mr_bpe_scratch *scratch)
{
    mr_bpe_symbol *s = scratch->symbols;
    size_t count = scratch->count;
    uint32_t ranks[SHORT_PIECE];
    if (count > 1) rank_pairs(model, piece, scratch, ranks);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (ranks[i] < ranks[best]) best = i;
        if (ranks[best] == NO_MERGE) break;
        s[best].id = joined_of(model, ranks[best]);
        s[best].length += s[best + 1].length;
        count--;
        for (size_t i = best + 1; i < count; i++) {
            s[i].id = s[i + 1].id;
            s[i].length = s[i + 1].length;
            ranks[i - 1] = ranks[i];
        }
        if (best > 0) ranks[best - 1] = find_merge(model, s[best - 1].id, s[best].id);
        if (best + 1 < count) ranks[best] = find_merge(model, s[best].id, s[best + 1].id);
    }
    scratch->count = count;
}

/* Binary heap of candidates, lowest rank and then leftmost on top. */
static void heap_down(mr_bpe_candidate *heap, size_t count, size_t at)
{
    mr_bpe_candidate item = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) break;
        if (child + 1 < count && heap[child + 1].order < heap[child].order) child++;
        if (item.order <= heap[child].order) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = item;
}

static void heap_up(mr_bpe_candidate *heap, size_t at)
{
    mr_bpe_candidate item = heap[at];
    for (; at > 0 && heap[(at - 1) / 2].order > item.order; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = item;
}

static bool candidate(const mr_bpe *model, const mr_bpe_symbol *s, uint32_t at, mr_bpe_candidate *out)
{
    if (at == MR_BPE_END || s[at].next == MR_BPE_END) return false;
    uint32_t rank = find_merge(model, s[at].id, s[s[at].next].id);
    if (rank == NO_MERGE) return false;
    *out = (mr_bpe_candidate){ (uint64_t)rank << 32 | at, pair_of(s[at].id, s[s[at].next].id) };
    return true;
}

static void merge_long(const mr_bpe *model, mr_bpe_scratch *scratch)
{
    mr_bpe_symbol *s = scratch->symbols;
    mr_bpe_candidate *heap = scratch->heap;
    size_t count = scratch->count, waiting = 0;
    for (size_t i = 0; i < count; i++) {
        s[i].previous = i ? (uint32_t)i - 1 : MR_BPE_END;
        s[i].next = i + 1 < count ? (uint32_t)i + 1 : MR_BPE_END;
    }
    for (size_t i = 0; i < count; i++) waiting += candidate(model, s, (uint32_t)i, &heap[waiting]);
    for (size_t i = waiting / 2; i-- > 0;) heap_down(heap, waiting, i);
    while (waiting > 0) {
        mr_bpe_candidate best = heap[0];
        heap[0] = heap[--waiting];
        if (waiting) heap_down(heap, waiting, 0);
        uint32_t at = (uint32_t)best.order, next = s[at].id < 0 ? MR_BPE_END : s[at].next;
        if (next == MR_BPE_END || pair_of(s[at].id, s[next].id) != best.pair) continue; /* joined otherwise meanwhile */
        s[at].id = joined_of(model, (uint32_t)(best.order >> 32));
        s[at].length += s[next].length;
        s[at].next = s[next].next;
        s[next].id = -1;
        if (s[at].next != MR_BPE_END) s[s[at].next].previous = at;
        uint32_t touched[2] = { s[at].previous, at };
        for (size_t k = 0; k < 2; k++)
            if (candidate(model, s, touched[k], &heap[waiting])) heap_up(heap, waiting++);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (s[i].id >= 0) s[kept++] = s[i];
    scratch->count = kept;
}

static bool reserve_symbols(mr_bpe_scratch *scratch, size_t count)
{
    if (count <= scratch->capacity) return true;
    size_t capacity = count + count / 2;
    mr_bpe_symbol *symbols = mr_mem_realloc(scratch->symbols, capacity * sizeof *symbols, MR_MEM_SCRATCH);
    if (!symbols) return false;
    scratch->symbols = symbols;
    scratch->capacity = capacity;
    return true;
}

/* At first fewer candidates than symbols; every join takes one off and adds at most two. */
static bool reserve_heap(mr_bpe_scratch *scratch)
{
    size_t count = 2 * scratch->count;
    if (count <= scratch->heap_capacity) return true;
    mr_mem_free(scratch->heap);
    scratch->heap = mr_mem_alloc_array(count, sizeof *scratch->heap, MR_MEM_SCRATCH);
    scratch->heap_capacity = scratch->heap ? count : 0;
    return scratch->heap != NULL;
}

void mr_bpe_scratch_fini(mr_bpe_scratch *scratch)
{
    mr_mem_free(scratch->symbols);
    mr_mem_free(scratch->heap);
    *scratch = (mr_bpe_scratch){ 0 };
}

/* As the reference does it: symbols follow each other, whatever was left out between them. */
static void trace_symbols(const mr_bpe_scratch *scratch, size_t length, mr_span *spans)
{
    size_t at = 0;
    for (size_t i = 0; i < scratch->count; i++) {
        size_t end = at + scratch->symbols[i].length;
        if (end > length) end = length; /* bytes of a suffix are in no text */
        spans[i] = (mr_span){ (uint32_t)at, (uint32_t)end };
        at = end;
    }
}

bool mr_bpe_run(const mr_bpe *model, const mr_vocabulary *vocabulary, mr_str piece, mr_bpe_scratch *scratch, mr_ids *ids)
{
    if (model->ignore_merges) {
        int32_t id = mr_vocabulary_id(model->bytes ? &model->whole : vocabulary, piece);
        if (id >= 0) return mr_ids_add(ids, id, 0, piece.length);
    }
    if (!reserve_symbols(scratch, piece.length + model->suffix.length + 1)) return false;
    first_symbols(model, vocabulary, piece, scratch);
    if (scratch->count <= SHORT_PIECE) merge_short(model, piece, scratch);
    else if (reserve_heap(scratch)) merge_long(model, scratch);
    else return false;
    if (!mr_ids_reserve(ids, scratch->count)) return false;
    for (size_t i = 0; i < scratch->count; i++) ids->items[ids->count + i] = scratch->symbols[i].id;
    if (ids->traced && scratch->count) trace_symbols(scratch, piece.length, ids->spans + ids->count);
    ids->count += scratch->count;
    if (scratch->capacity > MR_SCRATCH_KEEP) mr_bpe_scratch_fini(scratch);
    return true;
}

size_t mr_bpe_part_end(const mr_bpe *model, mr_str piece, size_t at)
{
    if (!model->parts) return piece.length;
    for (size_t end = at + 1; end < piece.length; end++) {
        unsigned char byte = (unsigned char)piece.data[end];
        if ((byte & 0xC0) == 0x80 || model->joins[(unsigned char)piece.data[end - 1]][byte]) continue;
        /* Where characters can be unknown, what follows a cut must end a run of unknowns by itself. */
        if (model->total || (byte < 0x80 && model->symbols[0][byte] >= 0)) return end;
    }
    return piece.length;
}
