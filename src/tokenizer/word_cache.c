#include "tokenizer/word_cache.h"

#include "core/mem.h"

bool mr_word_cache_prepare(mr_word_cache *cache, uint64_t owner)
{
    if (cache->entries && cache->owner == owner) return true;
    if (!cache->entries) cache->entries = mr_mem_alloc(MR_WORD_CACHE_ENTRIES * sizeof *cache->entries, MR_MEM_TOKENIZER);
    if (!cache->entries) return false;
    for (size_t i = 0; i < MR_WORD_CACHE_ENTRIES; i++) cache->entries[i].key = (mr_word_key){ { 0 } };
    cache->owner = owner;
    return true;
}

void mr_word_cache_fini(mr_word_cache *cache)
{
    mr_mem_free(cache->entries);
    *cache = (mr_word_cache){ 0 };
}
