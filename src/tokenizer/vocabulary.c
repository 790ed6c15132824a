#include "tokenizer/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static uint64_t load(const char *data, size_t bytes)
{
    uint64_t word = 0;
    memcpy(&word, data, bytes);
    return word;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0xFF51AFD7ED558CCD);
    return hash ^ hash >> 32;
}

uint64_t mr_hash_bytes(const char *data, size_t length)
{
    uint64_t hash = length * UINT64_C(0x9E3779B97F4A7C15);
    for (; length > 16; data += 8, length -= 8) hash = mix(hash, load(data, 8));
    /* The rest by two loads that may overlap: no loop over bytes. */
    if (length >= 8) return mix(mix(hash, load(data, 8)), load(data + length - 8, 8));
    if (length >= 4) return mix(hash, load(data, 4) << 32 | load(data + length - 4, 4));
    if (length >= 1) return mix(hash, load(data, 1) | load(data + length / 2, 1) << 8 | load(data + length - 1, 1) << 16);
    return mix(hash, 0);
}

/* The slot that holds `text`, or the empty one where it belongs. */
static size_t find_slot(const mr_vocabulary *v, mr_str text, uint32_t hash)
{
    size_t slot = hash & v->slot_mask;
    for (; v->slots[slot].id; slot = (slot + 1) & v->slot_mask)
        if (v->slots[slot].hash == hash && mr_str_equal(mr_vocabulary_text(v, (int32_t)v->slots[slot].id - 1), text)) break;
    return slot;
}

static mr_status allocate(mr_vocabulary *v, size_t size, size_t count, size_t total, mr_error *error)
{
    size_t slots = 16;
    while (slots < count + count / 2) slots *= 2;
    if (total >= MR_VOCABULARY_ABSENT) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "a vocabulary of %zu bytes", total);
    *v = (mr_vocabulary){ .size = size, .total = total, .slot_mask = slots - 1 };
    v->places = mr_mem_alloc_array(size + 1, sizeof *v->places, MR_MEM_TOKENIZER);
    v->bytes = mr_mem_alloc(total + 1, MR_MEM_TOKENIZER);
    v->slots = mr_mem_calloc(slots, sizeof *v->slots, MR_MEM_TOKENIZER);
    for (size_t i = 0; v->places && i < size; i++) v->places[i] = (struct mr_vocabulary_place){ MR_VOCABULARY_ABSENT, 0 };
    if (v->places && v->bytes && v->slots) return MR_OK;
    mr_vocabulary_fini(v);
    return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory for a vocabulary of %zu texts", count);
}

/* How far ahead slots are requested from memory. */
#define AHEAD 16

/* The hash, with its slot on the way from memory. */
static uint32_t request_slot(const mr_vocabulary *v, mr_str text)
{
    uint32_t hash = (uint32_t)mr_hash_bytes(text.data, text.length);
    mr_mem_prefetch(v->slots + (hash & v->slot_mask));
    return hash;
}

static void insert(mr_vocabulary *v, mr_str copy, uint32_t hash, int32_t id)
{
    size_t slot = find_slot(v, copy, hash);
    struct mr_vocabulary_place *place = &v->places[id];
    if (!v->slots[slot].id) v->count++;
    if (place->start == MR_VOCABULARY_ABSENT) *place = (struct mr_vocabulary_place){ (uint32_t)(copy.data - v->bytes), (uint32_t)copy.length };
    /* A slot points to its text through the id, so a text that shares its id with another one is not found:
     * no published vocabulary has such, and the first is as good as the second. */
    if (mr_str_equal(mr_vocabulary_text(v, id), copy)) v->slots[slot] = (struct mr_vocabulary_slot){ hash, (uint32_t)id + 1 };
}

mr_status mr_vocabulary_build(const mr_str *texts, const int32_t *ids, size_t count, mr_vocabulary *out, mr_error *error)
{
    size_t size = 0, total = 0;
    for (size_t i = 0; i < count; i++) {
        if ((size_t)ids[i] + 1 > size) size = (size_t)ids[i] + 1;
        total += texts[i].length;
        if (texts[i].length > MR_VOCABULARY_MAX_TEXT)
            return mr_error_set(error, MR_MODEL_UNSUPPORTED, "the vocabulary's text of id %d is longer than %d bytes", (int)ids[i], MR_VOCABULARY_MAX_TEXT);
    }
    mr_vocabulary v;
    MR_TRY(allocate(&v, size, count, total, error));
    uint32_t hashes[AHEAD];
    char *to = v.bytes;
    for (size_t i = 0; i < count + AHEAD; i++) {
        if (i >= AHEAD) {
            mr_str text = texts[i - AHEAD], copy = { to, text.length };
            if (copy.length) memcpy(to, text.data, copy.length);
            to += copy.length;
            insert(&v, copy, hashes[i % AHEAD], ids[i - AHEAD]);
        }
        if (i < count) hashes[i % AHEAD] = request_slot(&v, texts[i]);
    }
    *out = v;
    return MR_OK;
}

mr_status mr_vocabulary_from_json(mr_json_value object, mr_vocabulary *out, mr_error *error)
{
    MR_TRY(mr_json_expect(object, MR_JSON_OBJECT, "the vocabulary", error));
    size_t count = mr_json_count(object), at = 0;
    mr_str *texts = mr_mem_alloc_array(count + 1, sizeof *texts, MR_MEM_TOKENIZER);
    int32_t *ids = mr_mem_alloc_array(count + 1, sizeof *ids, MR_MEM_TOKENIZER);
    mr_status status = MR_OK;
    if (!texts || !ids) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory for a vocabulary of %zu texts", count);
        goto done;
    }
    for (mr_json_value key = mr_json_first(object); mr_json_more(object, key); at++) {
        mr_json_value value = mr_json_after(key);
        size_t id;
        texts[at] = mr_json_bytes(key);
        if (!mr_json_to_size(value, MR_VOCABULARY_MAX_ID, &id)) {
            status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: vocabulary: the id of \"%.*s\" must be a whole number up to %d", mr_json_path(object),
                                  (int)(texts[at].length < 64 ? texts[at].length : 64), texts[at].data, MR_VOCABULARY_MAX_ID);
            goto done;
        }
        ids[at] = (int32_t)id;
        key = mr_json_after(value);
    }
    status = mr_vocabulary_build(texts, ids, count, out, error);
done:
    mr_mem_free(texts);
    mr_mem_free(ids);
    return status;
}

void mr_vocabulary_fini(mr_vocabulary *vocabulary)
{
    if (!vocabulary->borrowed) {
        mr_mem_free(vocabulary->places);
        mr_mem_free(vocabulary->bytes);
        mr_mem_free(vocabulary->slots);
    }
    *vocabulary = (mr_vocabulary){ 0 };
}

int32_t mr_vocabulary_id(const mr_vocabulary *vocabulary, mr_str text)
{
    if (!vocabulary->slots) return -1;
    return (int32_t)vocabulary->slots[find_slot(vocabulary, text, (uint32_t)mr_hash_bytes(text.data, text.length))].id - 1;
}

#define GROUP 32

/* In four steps, each of which requests what the next one reads: the slots, the places, the texts to compare with. */
static void find_group(const mr_vocabulary *v, const mr_str *texts, size_t count, int32_t *ids)
{
    uint32_t hashes[GROUP];
    for (size_t i = 0; i < count; i++) hashes[i] = request_slot(v, texts[i]);
    for (size_t i = 0; i < count; i++) {
        size_t slot = hashes[i] & v->slot_mask;
        while (v->slots[slot].id && v->slots[slot].hash != hashes[i]) slot = (slot + 1) & v->slot_mask;
        ids[i] = (int32_t)v->slots[slot].id - 1;
        if (ids[i] >= 0) mr_mem_prefetch(v->places + ids[i]);
    }
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= 0) mr_mem_prefetch(mr_vocabulary_text(v, ids[i]).data);
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= 0 && !mr_str_equal(mr_vocabulary_text(v, ids[i]), texts[i])) ids[i] = mr_vocabulary_id(v, texts[i]); /* another text of that hash */
}

void mr_vocabulary_ids(const mr_vocabulary *vocabulary, const mr_str *texts, size_t count, int32_t *ids)
{
    for (size_t i = 0; i < count && !vocabulary->slots; i++) ids[i] = -1;
    for (size_t i = 0; i < count && vocabulary->slots; i += GROUP) find_group(vocabulary, texts + i, count - i < GROUP ? count - i : GROUP, ids + i);
}

void mr_vocabulary_read_bytes(const mr_vocabulary *vocabulary, int32_t ids[256])
{
    for (unsigned i = 0; i < 256; i++) {
        static const char digits[] = "0123456789ABCDEF";
        char text[6] = { '<', '0', 'x', digits[i >> 4], digits[i & 15], '>' };
        ids[i] = mr_vocabulary_id(vocabulary, (mr_str){ text, sizeof text });
    }
}
