/* The image of a model: a head of fixed size, then arrays, each a count and its items, at multiples of 8.
 *
 * The cache that holds images has checked every byte; what is checked here is what damage with a right checksum, or a mistake of ours,
 * could do: indexes out of range, searches without end. */
#include "tokenizer/model_image.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "tokenizer/component.h"

#define ALIGNMENT 8

enum { HAS_BYTES = 1, HAS_FUSE = 2, HAS_IGNORE = 4, HAS_PARTS = 8, HAS_TOTAL = 16, HAS_REGULAR = 32 };

typedef struct image_head {
    char magic[8]; /* names the layout: another one needs another name */
    uint32_t type; /* mr_model_type */
    uint32_t flags;
    int32_t unk_id;
    uint32_t continuation;
    uint64_t max_chars;
    int64_t distance;
    double unk_score;
    int32_t symbols[2][256];
    int32_t fallback[256];
    uint64_t suffix_length;
    char suffix[MR_BPE_MAX_SUFFIX];
} image_head;

static const char magic[8] = "MRTOKEN1";

/* ---------------------------------------------------------------- writing */

static bool put(mr_buf *out, const void *items, size_t count, size_t size)
{
    static const char zeros[ALIGNMENT] = { 0 };
    uint64_t stored = count;
    size_t bytes = count * size;
    return mr_buf_append(out, &stored, sizeof stored) && (bytes == 0 || mr_buf_append(out, items, bytes)) &&
           mr_buf_append(out, zeros, (ALIGNMENT - bytes % ALIGNMENT) % ALIGNMENT);
}

static bool put_vocabulary(mr_buf *out, const mr_vocabulary *v)
{
    return put(out, v->places, v->size, sizeof *v->places) && put(out, v->bytes, v->total, 1) &&
           put(out, v->slots, v->slots ? v->slot_mask + 1 : 0, sizeof *v->slots);
}

static bool put_bpe(mr_buf *out, const mr_bpe *bpe)
{
    return put(out, bpe->merges, bpe->merge_mask + 1, sizeof *bpe->merges) && put(out, bpe->joined, bpe->ranks, sizeof *bpe->joined) &&
           put(out, bpe->hashes, MR_BPE_HASHES, sizeof *bpe->hashes) && put(out, bpe->joins, bpe->joins ? 256 : 0, sizeof *bpe->joins) &&
           put(out, bpe->byte_pairs, bpe->byte_pairs ? 256 : 0, sizeof *bpe->byte_pairs) &&
           put_vocabulary(out, &bpe->whole);
}

static void fill_head(const mr_model *model, image_head *head)
{
    memcpy(head->magic, magic, sizeof magic);
    head->type = model->type;
    head->unk_id = -1;
    switch (model->type) {
    case MR_MODEL_WORDPIECE:
        head->unk_id = model->wordpiece.unk_id;
        head->continuation = model->wordpiece.continuation;
        head->max_chars = model->wordpiece.max_chars;
        break;
    case MR_MODEL_WORD_LEVEL: head->unk_id = model->word_level.unk_id; break;
    case MR_MODEL_UNIGRAM:
        head->unk_id = model->unigram.unk_id;
        head->unk_score = model->unigram.unk_score;
        memcpy(head->fallback, model->unigram.fallback, sizeof head->fallback);
        break;
    case MR_MODEL_BPE: {
        const mr_bpe *bpe = &model->bpe;
        head->unk_id = bpe->unk_id;
        head->flags = (bpe->bytes ? HAS_BYTES : 0u) | (bpe->fuse_unk ? HAS_FUSE : 0u) | (bpe->ignore_merges ? HAS_IGNORE : 0u) |
                      (bpe->parts ? HAS_PARTS : 0u) | (bpe->total ? HAS_TOTAL : 0u) | (bpe->regular ? HAS_REGULAR : 0u);
        head->distance = bpe->distance;
        memcpy(head->symbols, bpe->symbols, sizeof head->symbols);
        memcpy(head->fallback, bpe->fallback, sizeof head->fallback);
        head->suffix_length = bpe->suffix.length;
        if (bpe->suffix.length) memcpy(head->suffix, bpe->suffix.data, bpe->suffix.length);
    }
    }
}

bool mr_model_image_write(const mr_model *model, mr_str rest, mr_buf *out)
{
    image_head head = { 0 };
    fill_head(model, &head);
    if (!put(out, &head, 1, sizeof head) || !put(out, rest.data, rest.length, 1) || !put_vocabulary(out, &model->vocabulary)) return false;
    switch (model->type) {
    case MR_MODEL_WORDPIECE: return put(out, model->wordpiece.trie.nodes, model->wordpiece.trie.count, sizeof(mr_trie_node));
    case MR_MODEL_UNIGRAM:
        return put(out, model->unigram.trie.nodes, model->unigram.trie.count, sizeof(mr_trie_node)) &&
               put(out, model->unigram.scores, model->vocabulary.size, sizeof *model->unigram.scores);
    case MR_MODEL_BPE: return put_bpe(out, &model->bpe);
    case MR_MODEL_WORD_LEVEL: return true;
    }
    return true;
}

/* ---------------------------------------------------------------- reading */

typedef struct reader {
    const unsigned char *data;
    size_t left;
    bool bad; /* something was not as it must be; what is read from then on is empty */
} reader;

static bool require(reader *r, bool condition)
{
    r->bad = r->bad || !condition;
    return !r->bad;
}

/* The next array; *count items. Never written to: the models' tables are immutable. */
static void *take(reader *r, size_t size, size_t *count)
{
    uint64_t stored = 0;
    *count = 0;
    if (!require(r, r->left >= sizeof stored)) return NULL;
    memcpy(&stored, r->data, sizeof stored);
    r->data += sizeof stored;
    r->left -= sizeof stored;
    if (!require(r, stored <= r->left / size)) return NULL;
    size_t bytes = (size_t)stored * size, whole = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!require(r, whole <= r->left)) return NULL;
    void *items = (void *)(uintptr_t)r->data;
    r->data += whole;
    r->left -= whole;
    *count = (size_t)stored;
    return items;
}

static void require_ids(reader *r, const int32_t *ids, size_t count, int32_t lowest, size_t size)
{
    bool good = true;
    for (size_t i = 0; i < count; i++) good &= ids[i] >= lowest && ids[i] < (int64_t)size;
    require(r, good);
}

static bool is_power_of_two(size_t n)
{
    return n && (n & (n - 1)) == 0;
}

/* The highest bit is set unless number <= limit < 2^31. Or'ed over a table it tells whether all are so, without a branch. */
static inline uint32_t above(uint32_t number, uint32_t limit)
{
    return number | (limit - number);
}

static bool is_clear(uint32_t bits)
{
    return bits >> 31 == 0;
}

static uint32_t check_places(const mr_vocabulary *v)
{
    uint32_t bits = 0, total = (uint32_t)v->total;
    for (size_t i = 0; i < v->size; i++) {
        struct mr_vocabulary_place place = v->places[i];
        uint32_t absent = place.start == MR_VOCABULARY_ABSENT ? UINT32_MAX : 0, start = place.start & ~absent;
        bits |= above(place.length, MR_VOCABULARY_MAX_TEXT & ~absent) | above(start, total) | above(start + place.length, total);
    }
    return bits;
}

/* Places inside the bytes; slots that name texts; one empty slot, where searches end. */
static void take_vocabulary(reader *r, mr_vocabulary *v)
{
    size_t slots;
    uint32_t empty = 0, bits = 0;
    v->borrowed = true;
    v->places = take(r, sizeof *v->places, &v->size);
    v->bytes = take(r, 1, &v->total);
    v->slots = take(r, sizeof *v->slots, &slots);
    if (slots == 0) v->slots = NULL;
    if (!require(r, v->size <= MR_VOCABULARY_MAX_ID + 1 && v->total <= INT32_MAX && slots <= INT32_MAX && (slots ? is_power_of_two(slots) : v->size == 0))) return;
    v->slot_mask = slots ? slots - 1 : 0;
    for (size_t i = 0; i < slots; i++) {
        bits |= above(v->slots[i].id, (uint32_t)v->size);
        empty += v->slots[i].id == 0;
    }
    v->count = slots - empty;
    require(r, is_clear(bits | check_places(v)) && (empty || slots == 0));
}

static void take_trie(reader *r, mr_trie *trie, size_t size)
{
    uint32_t bits = 0;
    trie->borrowed = true;
    trie->nodes = take(r, sizeof *trie->nodes, &trie->count);
    if (!require(r, trie->count >= 256 && trie->count % 256 == 0 && trie->count <= INT32_MAX)) return; /* base ^ byte stays among 256 */
    for (size_t i = 0; i < trie->count; i++) {
        mr_trie_node node = trie->nodes[i];
        bits |= above(node.base, (uint32_t)trie->count - 1) | above((uint32_t)node.value + 1, (uint32_t)size);
    }
    require(r, is_clear(bits));
}

static void take_wordpiece(reader *r, const image_head *head, const mr_vocabulary *vocabulary, mr_wordpiece *out)
{
    take_trie(r, &out->trie, vocabulary->size);
    out->unk_id = head->unk_id;
    out->continuation = head->continuation;
    out->max_chars = (size_t)head->max_chars;
    require(r, head->unk_id >= 0 && (head->continuation == MR_TRIE_NONE || head->continuation < out->trie.count));
}

static void take_unigram(reader *r, const image_head *head, const mr_vocabulary *vocabulary, mr_unigram *out)
{
    size_t count;
    bool good = isfinite(head->unk_score);
    take_trie(r, &out->trie, vocabulary->size);
    out->borrowed = true;
    out->scores = take(r, sizeof *out->scores, &count);
    if (!require(r, count == vocabulary->size)) return;
    for (size_t i = 0; i < count; i++) good &= isfinite(out->scores[i]) != 0;
    require(r, good);
    out->unk_id = head->unk_id;
    out->unk_score = head->unk_score;
    memcpy(out->fallback, head->fallback, sizeof out->fallback);
}

static mr_status take_bpe(reader *r, const image_head *head, const mr_vocabulary *vocabulary, mr_bpe *out, mr_error *error)
{
    size_t slots, hashes, joins, pairs;
    bool plain = true;
    out->borrowed = true;
    out->merges = take(r, sizeof *out->merges, &slots);
    out->joined = take(r, sizeof *out->joined, &out->ranks);
    out->hashes = take(r, sizeof *out->hashes, &hashes);
    out->joins = take(r, sizeof *out->joins, &joins);
    out->byte_pairs = take(r, sizeof *out->byte_pairs, &pairs);
    take_vocabulary(r, &out->whole);
    if (!require(r, is_power_of_two(slots) && hashes == MR_BPE_HASHES && joins % 256 == 0 && pairs % 256 == 0 && out->whole.size <= vocabulary->size)) return MR_OK;
    for (size_t i = 0; i < sizeof *out->joins * joins; i++) plain &= ((const unsigned char *)out->joins)[i] <= 1;
    if (!joins) out->joins = NULL;
    if (!pairs) out->byte_pairs = NULL;
    out->merge_mask = slots - 1;
    out->unk_id = head->unk_id;
    out->bytes = head->flags & HAS_BYTES;
    out->fuse_unk = head->flags & HAS_FUSE;
    out->ignore_merges = head->flags & HAS_IGNORE;
    out->parts = head->flags & HAS_PARTS;
    out->total = head->flags & HAS_TOTAL;
    out->regular = head->flags & HAS_REGULAR;
    out->distance = (int32_t)head->distance;
    memcpy(out->symbols, head->symbols, sizeof out->symbols);
    memcpy(out->fallback, head->fallback, sizeof out->fallback);
    require_ids(r, &head->symbols[0][0], sizeof head->symbols / sizeof(int32_t), -1, vocabulary->size);
    require_ids(r, out->joined, out->ranks, 0, vocabulary->size);
    if (!require(r, plain && (joins || !out->parts) && head->suffix_length <= MR_BPE_MAX_SUFFIX && mr_bpe_table_is_sound(out, vocabulary->size))) return MR_OK;
    out->suffix = mr_str_copy((mr_str){ head->suffix, (size_t)head->suffix_length });
    return out->suffix.data ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
}

mr_status mr_model_image_read(const unsigned char *data, size_t length, mr_str *rest, mr_model *out, mr_error *error)
{
    reader r = { .data = data, .left = length };
    size_t count;
    mr_model model = { .type = MR_MODEL_WORD_LEVEL, .serial = mr_model_next_serial() };
    mr_status status = MR_OK;
    const image_head *head = take(&r, sizeof *head, &count);
    if (!require(&r, count == 1 && memcmp(head->magic, magic, sizeof magic) == 0 && head->type <= MR_MODEL_UNIGRAM)) goto done;
    rest->data = take(&r, 1, &rest->length);
    take_vocabulary(&r, &model.vocabulary);
    require_ids(&r, &head->unk_id, 1, -1, model.vocabulary.size);
    require_ids(&r, head->fallback, 256, -1, model.vocabulary.size);
    if (r.bad) goto done;
    model.type = (mr_model_type)head->type;
    switch (model.type) {
    case MR_MODEL_WORDPIECE: take_wordpiece(&r, head, &model.vocabulary, &model.wordpiece); break;
    case MR_MODEL_WORD_LEVEL: model.word_level.unk_id = head->unk_id; break;
    case MR_MODEL_BPE: status = take_bpe(&r, head, &model.vocabulary, &model.bpe, error); break;
    case MR_MODEL_UNIGRAM: take_unigram(&r, head, &model.vocabulary, &model.unigram); break;
    }
done:
    require(&r, r.left == 0);
    if (status == MR_OK && r.bad) status = mr_error_set(error, MR_MODEL_CORRUPT, "the image of a tokenizer is damaged");
    if (status == MR_OK) *out = model;
    else mr_model_fini(&model);
    return status;
}
