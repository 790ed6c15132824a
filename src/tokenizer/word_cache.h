/* Ids of pieces seen lately: natural text repeats its words. One thread, one tokenizer at a time, a fixed size. Exact:
 * the whole piece is compared.
 *
 * Words (up to 15 bytes and 4 ids, nine tenths of a text) live in a table of half cache lines, two places each, where
 * a hit is one load, one comparison and one copy. Longer pieces live in an arena behind a table of places; when it is full it
 * begins anew. */
#ifndef MR_TOKENIZER_WORD_CACHE_H
#define MR_TOKENIZER_WORD_CACHE_H

#include <string.h>

#include "core/mem.h"
#include "core/str.h"

#define MR_WORD_BYTES 15 /* of a word */
#define MR_WORD_IDS 4
#define MR_LONG_WORD_BYTES 255 /* of a longer piece that is kept; at most as many ids */

/* The bytes of a word, zeros, and its length as the last byte. */
typedef struct mr_word_key {
    uint64_t low, high;
} mr_word_key;

typedef struct mr_word {
    mr_word_key key; /* the last byte: length | count of ids << 4; all zero: empty */
    int32_t ids[MR_WORD_IDS];
} mr_word;
_Static_assert(sizeof(mr_word) == 32, "two to a cache line");

/* At most 8 MiB of words and, where pieces are long, 4 MiB for those: with half of it, texts in 16 languages lose a third of
 * their speed. Most jobs stay small: the table begins with 256 KiB and doubles when a quarter full, so that four places are enough. */
#define MR_WORD_CACHE_MIN 8192
#define MR_WORD_CACHE_MAX 262144
#define MR_WORD_CACHE_LONG_BYTES (4u << 20)

typedef struct mr_word_cache {
    mr_word *words;         /* [mask + 1]; NULL until first used */
    size_t mask;
    size_t count;           /* how many words are there, roughly */
    uint32_t *places;       /* of long pieces: index in `arena`, 0: none; NULL until first used */
    uint32_t *arena;        /* entries: hash, length | count << 16, ids, bytes */
    uint32_t filled;
    uint64_t owner;         /* serial number of the tokenizer the entries belong to */
} mr_word_cache;

/* Empties the cache if it belongs to another tokenizer. False when out of memory. */
bool mr_word_cache_prepare(mr_word_cache *cache, uint64_t owner);
void mr_word_cache_fini(mr_word_cache *cache);

/* The hash of a piece of up to MR_LONG_WORD_BYTES bytes, whose entry is then on its way from memory. */
uint32_t mr_word_cache_request_long(const mr_word_cache *cache, mr_str piece);
/* Its ids, [*count], until the next store; NULL: unknown. */
const int32_t *mr_word_cache_find_long(const mr_word_cache *cache, mr_str piece, uint32_t hash, size_t *count);
/* Nothing is stored where there is no memory for it, or of more ids than bytes. */
void mr_word_cache_store_long(mr_word_cache *cache, mr_str piece, uint32_t hash, const int32_t *ids, size_t count);

/* Key of text[start .. start + length), 1 .. MR_WORD_BYTES bytes. */
static inline mr_word_key mr_word_key_of(mr_str text, size_t start, size_t length)
{
    static const char ones[2 * sizeof(mr_word_key)] = "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF";
    mr_word_key key = { 0, 0 }, mask;
    if (text.length - start >= sizeof key) { /* whatever follows the word is masked away */
        memcpy(&key, text.data + start, sizeof key);
        memcpy(&mask, ones + sizeof mask - length, sizeof mask);
        key.low &= mask.low;
        key.high &= mask.high;
    } else {
        memcpy(&key, text.data + start, length);
    }
    key.high |= (uint64_t)length << 56;
    return key;
}

/* The first of two places in one line; two more are next to it. */
static inline size_t mr_word_place(const mr_word_cache *cache, uint32_t hash)
{
    return hash & cache->mask & ~(size_t)1;
}

/* The hash of a word, whose line is then on its way from memory. */
static inline uint32_t mr_word_cache_request(const mr_word_cache *cache, const mr_word_key *key)
{
    uint64_t hash = (key->low ^ key->high * UINT64_C(0xFF51AFD7ED558CCD)) * UINT64_C(0x9E3779B97F4A7C15);
    mr_mem_prefetch(cache->words + mr_word_place(cache, (uint32_t)(hash >> 40)));
    return (uint32_t)(hash >> 40);
}

static inline bool mr_word_hits(const mr_word *word, const mr_word_key *key)
{
    return ((word->key.low ^ key->low) | (word->key.high ^ key->high) << 4) == 0;
}

static inline size_t mr_word_count(const mr_word *word)
{
    return (size_t)(word->key.high >> 60);
}

/* NULL: unknown. */
static inline const mr_word *mr_word_cache_find(const mr_word_cache *cache, uint32_t hash, const mr_word_key *key)
{
    size_t place = mr_word_place(cache, hash);
    const mr_word *word = cache->words + place;
    word += !mr_word_hits(word, key);
    if (mr_word_hits(word, key)) return word;
    word = cache->words + (place ^ 2);
    word += !mr_word_hits(word, key);
    return mr_word_hits(word, key) ? word : NULL;
}

/* A word that was not found; count <= MR_WORD_IDS. */
void mr_word_cache_store(mr_word_cache *cache, const mr_word_key *key, uint32_t hash, const int32_t *ids, size_t count);

#endif
