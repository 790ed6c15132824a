/* Unigram: the segmentation with the highest sum of scores, by Viterbi over a trie. */
#include "tokenizer/unigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tokenizer/unicode.h"

/* ---------------------------------------------------------------- reading */

/* The reference does not round decimals correctly, and ties hang on the last bit: all digits as one integer, converted
 * to a double, then one division or multiplication by a power of ten. Digits beyond 64 bits are dropped. */
static double read_score(mr_str text)
{
    static const double powers[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    const int exact = sizeof powers / sizeof *powers - 1;
    uint64_t digits = 0;
    int exponent = 0;
    size_t i = text.length && text.data[0] == '-';
    bool negative = i, fraction = false, full = false;
    for (; i < text.length && text.data[i] != 'e' && text.data[i] != 'E'; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (digit > 9) {
            fraction = true; /* the point */
        } else if (digits < UINT64_MAX / 10) {
            digits = digits * 10 + digit;
            exponent -= fraction;
        } else { /* the last that fits, and others */
            full = full || digits > UINT64_MAX / 10 || digit > UINT64_MAX % 10;
            if (!full) digits = digits * 10 + digit;
            exponent += full - fraction;
        }
    }
    if (i < text.length) {
        long written = strtol(text.data + i + 1, NULL, 10); /* the text ends in a comma, bracket or space */
        exponent += written > 1000 ? 1000 : written < -1000 ? -1000 : (int)written;
    }
    double value = (double)digits;
    for (; exponent < -exact && value != 0.0; exponent += exact) value /= powers[exact];
    for (; exponent > exact && value != 0.0 && isfinite(value); exponent -= exact) value *= powers[exact];
    if (exponent < 0 && exponent >= -exact) value /= powers[-exponent];
    if (exponent > 0 && exponent <= exact) value *= powers[exponent];
    return negative ? -value : value;
}

/* How much worse an unknown character is than the worst text. */
#define UNK_PENALTY 10.0

/* [[text, score], ...]; the id is the place. */
static mr_status read_vocabulary(mr_json_value list, mr_vocabulary *vocabulary, mr_unigram *model, mr_error *error)
{
    MR_TRY(mr_json_expect(list, MR_JSON_ARRAY, "Unigram: \"vocab\"", error));
    size_t count = mr_json_count(list), at = 0;
    if (count > MR_VOCABULARY_MAX_ID) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: Unigram: more than %d texts", mr_json_path(list), MR_VOCABULARY_MAX_ID);
    mr_str *texts = mr_mem_alloc_array(count + 1, sizeof *texts, MR_MEM_TOKENIZER);
    int32_t *ids = mr_mem_alloc_array(count + 1, sizeof *ids, MR_MEM_TOKENIZER);
    model->scores = mr_mem_alloc_array(count + 1, sizeof *model->scores, MR_MEM_TOKENIZER);
    mr_status status = texts && ids && model->scores ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    double lowest = INFINITY;
    for (mr_json_value item = mr_json_first(list); status == MR_OK && mr_json_more(list, item); item = mr_json_after(item), at++) {
        mr_json_value text = mr_json_first(item), score = { item.tree, text.index + 1 };
        bool pair = mr_json_type_of(item) == MR_JSON_ARRAY && mr_json_count(item) == 2 && mr_json_type_of(text) == MR_JSON_STRING && mr_json_type_of(score) == MR_JSON_NUMBER;
        if (!pair) {
            status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: Unigram: entry %zu of \"vocab\" must be [text, score]", mr_json_path(list), at);
            break;
        }
        texts[at] = mr_json_bytes(text);
        ids[at] = (int32_t)at;
        model->scores[at] = read_score(mr_json_bytes(score));
        if (!isfinite(model->scores[at])) status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: Unigram: the score of entry %zu is out of range", mr_json_path(list), at);
        if (model->scores[at] < lowest) lowest = model->scores[at];
    }
    model->unk_score = lowest - UNK_PENALTY;
    if (status == MR_OK) status = mr_vocabulary_build(texts, ids, count, vocabulary, error);
    if (status == MR_OK) status = mr_trie_build(texts, ids, count, &model->trie, error);
    mr_mem_free(texts);
    mr_mem_free(ids);
    return status;
}

mr_status mr_unigram_open(mr_json_value component, mr_vocabulary *vocabulary, mr_unigram *out, mr_error *error)
{
    mr_unigram model = { .unk_id = -1 };
    mr_status status = MR_OK;
    bool fallback = false;
    size_t unk;
    mr_json_value unk_id = mr_json_get(component, "unk_id");
    MR_TRY_OR(status, mr_json_get_bool(component, "byte_fallback", false, &fallback, error), done);
    MR_TRY_OR(status, read_vocabulary(mr_json_get(component, "vocab"), vocabulary, &model, error), done);
    if (mr_json_present(unk_id)) {
        if (vocabulary->size && mr_json_to_size(unk_id, vocabulary->size - 1, &unk)) model.unk_id = (int32_t)unk;
        else status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: Unigram: \"unk_id\" is not in the vocabulary", mr_json_path(component));
    }
    mr_vocabulary_read_bytes(vocabulary, model.fallback);
    if (!fallback) memset(model.fallback, 0xFF, sizeof model.fallback);
    *out = model;
done:
    if (status != MR_OK) mr_unigram_fini(&model);
    return status;
}

void mr_unigram_set_scores(mr_unigram *model, const mr_gguf_value *scores, size_t count)
{
    double lowest = INFINITY;
    for (size_t id = 0; id < count && id < scores->count; id++) {
        model->scores[id] = mr_gguf_float(scores, id);
        if (model->scores[id] < lowest) lowest = model->scores[id];
    }
    model->unk_score = lowest - UNK_PENALTY;
}

void mr_unigram_fini(mr_unigram *model)
{
    mr_trie_fini(&model->trie);
    if (!model->borrowed) mr_mem_free(model->scores);
    *model = (mr_unigram){ 0 };
}

/* ---------------------------------------------------------------- running */

static bool reserve(mr_unigram_scratch *scratch, size_t count)
{
    if (count <= scratch->capacity) return true;
    size_t capacity = count + count / 2;
    mr_unigram_node *nodes = mr_mem_realloc(scratch->nodes, capacity * sizeof *nodes, MR_MEM_SCRATCH);
    if (!nodes) return false;
    scratch->nodes = nodes;
    scratch->capacity = capacity;
    return true;
}

void mr_unigram_scratch_fini(mr_unigram_scratch *scratch)
{
    mr_mem_free(scratch->nodes);
    *scratch = (mr_unigram_scratch){ 0 };
}

static inline void relax(mr_unigram_node *end, double score, uint32_t start, int32_t id)
{
    if (end->start != MR_UNIGRAM_UNREACHED && !(score > end->score)) return;
    *end = (mr_unigram_node){ score, start, id };
}

/* Fills nodes[0..length]: the best way to each offset. */
static void forward(const mr_unigram *model, mr_str piece, mr_unigram_node *nodes)
{
    const mr_trie *trie = &model->trie;
    for (size_t i = 0; i <= piece.length; i++) nodes[i].start = MR_UNIGRAM_UNREACHED;
    nodes[0] = (mr_unigram_node){ 0.0, 0, -1 };
    for (size_t at = 0; at < piece.length;) {
        size_t point = mr_utf8_length((unsigned char)piece.data[at]);
        double score = nodes[at].score;
        bool single = false;
        uint32_t node = MR_TRIE_ROOT;
        for (size_t end = at; end < piece.length;) {
            node = mr_trie_step(trie, node, (unsigned char)piece.data[end++]);
            if (node == MR_TRIE_NONE) break;
            int32_t id = trie->nodes[node].value;
            if (id < 0) continue;
            single = single || end - at == point;
            relax(&nodes[end], score + model->scores[id], (uint32_t)at, id);
        }
        if (!single) relax(&nodes[at + point], score + model->unk_score, (uint32_t)at, MR_UNIGRAM_UNKNOWN);
        at += point;
    }
}

/* A joined run of unknowns: itself if the vocabulary has it, else its bytes, else the unknown token. */
static bool add_unknown(const mr_unigram *model, mr_str run, size_t start, mr_ids *ids)
{
    int32_t id = mr_trie_find(&model->trie, run);
    if (id >= 0) return mr_ids_add(ids, id, start, start + run.length);
    bool bytes = true;
    for (size_t i = 0; i < run.length && bytes; i++) bytes = model->fallback[(unsigned char)run.data[i]] >= 0;
    if (!bytes) return mr_ids_add(ids, model->unk_id, start, start + run.length);
    for (size_t i = 0; i < run.length; i++)
        if (!mr_ids_add(ids, model->fallback[(unsigned char)run.data[i]], start, start + run.length)) return false;
    return true;
}

/* Turns the best path around, so that nodes[start].next leads forward; offsets fit because paths only touch each node once. */
static void reverse_path(mr_unigram_node *nodes, size_t length)
{
    uint32_t end = (uint32_t)length, next = MR_UNIGRAM_UNREACHED;
    int32_t id = -1;
    for (;;) {
        uint32_t start = nodes[end].start;
        int32_t own = nodes[end].id;
        nodes[end].start = next;
        nodes[end].id = id;
        if (end == 0) break;
        next = end;
        id = own;
        end = start;
    }
}

mr_status mr_unigram_run(const mr_unigram *model, mr_str piece, mr_unigram_scratch *scratch, mr_ids *ids, mr_error *error)
{
    if (!reserve(scratch, piece.length + 1)) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory tokenizing a text");
    mr_unigram_node *nodes = scratch->nodes;
    forward(model, piece, nodes);
    reverse_path(nodes, piece.length);
    for (size_t at = 0; at < piece.length;) {
        size_t end = nodes[at].start;
        bool done;
        if (nodes[at].id == MR_UNIGRAM_UNKNOWN) {
            while (end < piece.length && nodes[end].id == MR_UNIGRAM_UNKNOWN) end = nodes[end].start;
            if (model->unk_id < 0) return mr_error_set(error, MR_BAD_RECORD, "a character is not in the vocabulary and the tokenizer has no unknown token");
            done = add_unknown(model, (mr_str){ piece.data + at, end - at }, at, ids);
        } else {
            done = mr_ids_add(ids, nodes[at].id, at, end);
        }
        if (!done) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory tokenizing a text");
        at = end;
    }
    if (scratch->capacity > MR_SCRATCH_KEEP) mr_unigram_scratch_fini(scratch);
    return MR_OK;
}
