#include "tokenizer/word_cache.h"

#include "core/mem.h"
#include "tokenizer/vocabulary.h"

bool mr_word_cache_prepare(mr_word_cache *cache, uint64_t owner)
{
    if (cache->entries && cache->owner == owner) return true;
    if (!cache->entries) cache->entries = mr_mem_alloc(MR_WORD_CACHE_ENTRIES * sizeof *cache->entries, MR_MEM_TOKENIZER);
    if (!cache->entries) return false;
    for (size_t i = 0; i < MR_WORD_CACHE_ENTRIES; i++) cache->entries[i].length = 0;
    cache->owner = owner;
    return true;
}

void mr_word_cache_fini(mr_word_cache *cache)
{
    mr_mem_free(cache->entries);
    *cache = (mr_word_cache){ 0 };
}

/* Two places a piece, side by side. */
size_t mr_word_cache_request(const mr_word_cache *cache, mr_str piece)
{
    size_t place = (size_t)mr_hash_bytes(piece.data, piece.length) & (MR_WORD_CACHE_ENTRIES - 2);
#if defined(__GNUC__)
    __builtin_prefetch(cache->entries + place);
    __builtin_prefetch(cache->entries + place + 1);
#endif
    return place;
}

/* The first place holds the newer of two words that fall together. */
mr_word_cache_entry *mr_word_cache_place(mr_word_cache *cache, size_t place, mr_str piece)
{
    mr_word_cache_entry *entry = cache->entries + place;
    if (mr_word_cache_hits(entry, piece)) return entry;
    if (mr_word_cache_hits(entry + 1, piece)) return entry + 1;
    entry[1] = entry[0];
    return entry;
}
