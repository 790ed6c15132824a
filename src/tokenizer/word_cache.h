/* Ids of pieces seen lately: natural text repeats its words. One thread, one tokenizer at a time, a fixed size. Exact:
 * the whole piece is compared. */
#ifndef MR_TOKENIZER_WORD_CACHE_H
#define MR_TOKENIZER_WORD_CACHE_H

#include <string.h>

#include "core/str.h"

#define MR_WORD_CACHE_KEY 22 /* bytes of a piece that is kept */
#define MR_WORD_CACHE_IDS 10 /* ids of one */

/* A piece of 1 .. MR_WORD_CACHE_KEY bytes as three words: its bytes, zeros, its length in byte 22; byte 23 is 0. */
typedef struct mr_word_key {
    uint64_t words[3];
} mr_word_key;

typedef struct mr_word_cache_entry {
    mr_word_key key; /* byte 23: how many ids; all zero: empty */
    int32_t ids[MR_WORD_CACHE_IDS];
} mr_word_cache_entry;
_Static_assert(sizeof(mr_word_cache_entry) == 64, "one cache line");

/* 4 MiB. Half of it loses 10 % of the speed on English text, twice as much gains 10 %. */
#define MR_WORD_CACHE_ENTRIES 65536

typedef struct mr_word_cache {
    mr_word_cache_entry *entries; /* NULL until first used */
    uint64_t owner;               /* serial number of the tokenizer the entries belong to */
} mr_word_cache;

/* Empties the cache if it belongs to another tokenizer. False when out of memory. */
bool mr_word_cache_prepare(mr_word_cache *cache, uint64_t owner);
void mr_word_cache_fini(mr_word_cache *cache);

static inline uint64_t mr_word_load(const char *data, size_t bytes)
{
    uint64_t word = 0;
    memcpy(&word, data, bytes);
    return word;
}

/* Loads that overlap instead of a loop over bytes; nothing behind the piece is read. */
static inline mr_word_key mr_word_key_of(mr_str piece)
{
    const char *data = piece.data;
    size_t n = piece.length;
    mr_word_key key = { { 0, 0, (uint64_t)n << 48 } };
    if (n > 8) {
        key.words[0] = mr_word_load(data, 8);
        if (n > 16) {
            key.words[1] = mr_word_load(data + 8, 8);
            key.words[2] |= mr_word_load(data + n - 8, 8) >> (8 * (24 - n));
        } else {
            key.words[1] = mr_word_load(data + n - 8, 8) >> (8 * (16 - n));
        }
    } else if (n >= 4) {
        key.words[0] = mr_word_load(data, 4) | mr_word_load(data + n - 4, 4) << (8 * (n - 4));
    } else {
        key.words[0] = mr_word_load(data, 1) | mr_word_load(data + n / 2, 1) << (8 * (n / 2)) | mr_word_load(data + n - 1, 1) << (8 * (n - 1));
    }
    return key;
}

/* Where a piece belongs; its place is then on the way from memory. Two places a piece, side by side. */
static inline size_t mr_word_cache_request(const mr_word_cache *cache, const mr_word_key *key)
{
    uint64_t hash = (key->words[0] ^ key->words[2]) * UINT64_C(0x9E3779B97F4A7C15) + key->words[1] * UINT64_C(0xFF51AFD7ED558CCD);
    size_t place = (size_t)((hash ^ hash >> 32) * UINT64_C(0xC4CEB9FE1A85EC53) >> 40) & (MR_WORD_CACHE_ENTRIES - 2);
#if defined(__GNUC__)
    __builtin_prefetch(cache->entries + place);
    __builtin_prefetch(cache->entries + place + 1);
#endif
    return place;
}

static inline bool mr_word_cache_hits(const mr_word_cache_entry *entry, const mr_word_key *key)
{
    const uint64_t *have = entry->key.words;
    return ((have[0] ^ key->words[0]) | (have[1] ^ key->words[1]) | ((have[2] << 8) ^ (key->words[2] << 8))) == 0;
}

/* The entry of a piece, or the one to overwrite. The first place holds the newer of two words that fall together. */
static inline mr_word_cache_entry *mr_word_cache_place(mr_word_cache *cache, size_t place, const mr_word_key *key)
{
    mr_word_cache_entry *entry = cache->entries + place;
    if (mr_word_cache_hits(entry, key)) return entry;
    if (mr_word_cache_hits(entry + 1, key)) return entry + 1;
    entry[1] = entry[0];
    return entry;
}

static inline size_t mr_word_cache_count(const mr_word_cache_entry *entry)
{
    return (size_t)(entry->key.words[2] >> 56);
}

#endif
