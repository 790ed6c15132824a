#include "tokenizer/word_cache.h"

#include "core/mem.h"
#include "tokenizer/vocabulary.h"

#define PLACES 65536
#define ARENA (MR_WORD_CACHE_LONG_BYTES / sizeof(uint32_t))
#define HEAD 2 /* words of an entry before its ids */
#define TRIES 4

static bool allocate(mr_word_cache *cache, size_t words)
{
    cache->words = mr_mem_calloc(words, sizeof *cache->words, MR_MEM_TOKENIZER);
    cache->mask = words - 1;
    cache->count = 0;
    return cache->words != NULL;
}

bool mr_word_cache_prepare(mr_word_cache *cache, uint64_t owner)
{
    if (cache->owner == owner) return true;
    mr_word_cache_fini(cache);
    if (!allocate(cache, MR_WORD_CACHE_MIN)) return false;
    cache->owner = owner;
    return true;
}

void mr_word_cache_fini(mr_word_cache *cache)
{
    mr_mem_free(cache->words);
    mr_mem_free(cache->places);
    mr_mem_free(cache->arena);
    *cache = (mr_word_cache){ 0 };
}

static bool is_empty(const mr_word *word)
{
    return word->key.high == 0;
}

/* Where all four places are taken, the first of them holds the newest. */
static void put(mr_word_cache *cache, const mr_word *word, uint32_t hash)
{
    size_t place = mr_word_place(cache, hash);
    mr_word *line = cache->words + place, *next = cache->words + (place ^ 2);
    mr_word *to = is_empty(line) ? line : is_empty(line + 1) ? line + 1 : is_empty(next) ? next : is_empty(next + 1) ? next + 1 : NULL;
    if (!to) {
        next[1] = next[0];
        next[0] = line[1];
        line[1] = line[0];
        to = line;
    } else {
        cache->count++;
    }
    *to = *word;
}

/* Twice the places; as before when there is no memory for them. */
static void grow(mr_word_cache *cache)
{
    mr_word_cache grown = *cache;
    if (!allocate(&grown, 2 * (cache->mask + 1))) return;
    for (size_t i = 0; i <= cache->mask; i++) {
        const mr_word *word = &cache->words[i];
        mr_word_key key = { word->key.low, word->key.high << 4 >> 4 }; /* without the count */
        if (!is_empty(word)) put(&grown, word, mr_word_cache_request(&grown, &key));
    }
    mr_mem_free(cache->words);
    *cache = grown;
}

void mr_word_cache_store(mr_word_cache *cache, const mr_word_key *key, uint32_t hash, const int32_t *ids, size_t count)
{
    mr_word word = { .key = { key->low, key->high | (uint64_t)count << 60 } };
    memcpy(word.ids, ids, count * sizeof *ids);
    if (4 * cache->count > cache->mask && cache->mask + 1 < MR_WORD_CACHE_MAX) grow(cache);
    put(cache, &word, hash);
}

uint32_t mr_word_cache_request_long(const mr_word_cache *cache, mr_str piece)
{
    uint32_t hash = (uint32_t)(mr_hash_bytes(piece.data, piece.length) >> 8);
    if (cache->arena) mr_mem_prefetch(cache->arena + cache->places[hash % PLACES]);
    return hash;
}

const int32_t *mr_word_cache_find_long(const mr_word_cache *cache, mr_str piece, uint32_t hash, size_t *count)
{
    if (!cache->arena) return NULL;
    for (uint32_t i = 0; i < TRIES; i++) {
        const uint32_t *entry = cache->arena + cache->places[(hash + i) % PLACES];
        if (entry[0] != hash || (entry[1] & 0xFFFF) != piece.length) continue;
        *count = entry[1] >> 16;
        if (memcmp(entry + HEAD + *count, piece.data, piece.length) == 0) return (const int32_t *)(entry + HEAD);
    }
    return NULL;
}

/* Where there is an arena there are places. Place 0 is an entry that no piece is equal to. */
static bool begin(mr_word_cache *cache)
{
    if (!cache->places) cache->places = mr_mem_alloc(PLACES * sizeof *cache->places, MR_MEM_TOKENIZER);
    if (cache->places && !cache->arena) cache->arena = mr_mem_alloc(ARENA * sizeof *cache->arena, MR_MEM_TOKENIZER);
    if (!cache->arena) return false;
    memset(cache->places, 0, PLACES * sizeof *cache->places);
    cache->arena[0] = cache->arena[1] = 0;
    cache->filled = HEAD;
    return true;
}

void mr_word_cache_store_long(mr_word_cache *cache, mr_str piece, uint32_t hash, const int32_t *ids, size_t count)
{
    size_t need = HEAD + count + (piece.length + 3) / 4;
    if (count > piece.length) return;
    if ((!cache->arena || ARENA - cache->filled < need) && !begin(cache)) return;
    uint32_t *entry = cache->arena + cache->filled;
    uint32_t *place = cache->places + hash % PLACES;
    for (uint32_t i = 1; i < TRIES && *place; i++) place = cache->places + (hash + i) % PLACES;
    *place = cache->filled;
    entry[0] = hash;
    entry[1] = (uint32_t)(piece.length | count << 16);
    memcpy(entry + HEAD, ids, count * sizeof *ids);
    memcpy(entry + HEAD + count, piece.data, piece.length);
    cache->filled += (uint32_t)need;
}
