/* Tagged accounting of big allocations.
 *
 * Everything larger than a few KiB goes through here, so that "where is the memory" has an answer by
 * tag. The governor (registry/pool) decides whether memory may be taken; this file only counts it.
 * Thread-safe. */
#ifndef MR_CORE_MEM_H
#define MR_CORE_MEM_H

#include "millrace.h"

/* X(NAME, text) */
#define MR_MEM_TAG_LIST(X)      \
    X(WEIGHTS, "weights")       \
    X(SCRATCH, "scratch")       \
    X(TOKENIZER, "tokenizer")   \
    X(RECORDS, "records")       \
    X(OUTPUT, "output")         \
    X(OTHER, "other")

typedef enum mr_mem_tag {
#define MR_MEM_TAG_ENUM(name, text) MR_MEM_##name,
    MR_MEM_TAG_LIST(MR_MEM_TAG_ENUM)
#undef MR_MEM_TAG_ENUM
    MR_MEM_TAG_COUNT
} mr_mem_tag;

#define MR_MEM_ALIGNMENT 64

/* 64-byte aligned, uninitialised; NULL when out of memory or bytes overflow. bytes = 0 gives a valid
 * pointer. Blocks of 1 MiB and more leave the process when freed; those of 100 MiB and more, and weights of 2 MiB and more (every
 * page of them is used), ask for huge pages. */
void *mr_mem_alloc(size_t bytes, mr_mem_tag tag);
/* count * size, checked. */
void *mr_mem_alloc_array(size_t count, size_t size, mr_mem_tag tag);
void *mr_mem_calloc(size_t count, size_t size, mr_mem_tag tag);
/* Keeps min(old, new) bytes. On failure the old block stays valid and NULL is returned. */
void *mr_mem_realloc(void *block, size_t bytes, mr_mem_tag tag);
void mr_mem_free(void *block); /* NULL is fine */

/* Asks for a cache line that is used soon. Any address is fine: a hint. */
static inline void mr_mem_prefetch(const void *memory)
{
#if defined(__GNUC__)
    __builtin_prefetch(memory);
#else
    (void)memory;
#endif
}

size_t mr_mem_used(mr_mem_tag tag);
const char *mr_mem_tag_text(mr_mem_tag tag);

/* Resident set of this process, bytes; 0 when unknown. */
size_t mr_mem_rss(void);
/* Highest resident set so far, bytes. */
size_t mr_mem_peak_rss(void);

#endif
