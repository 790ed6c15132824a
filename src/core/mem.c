#include "core/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/checked.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_PAGE_THRESHOLD ((size_t)100 << 20)

/* Blocks of this size are mappings of their own, so that freeing them gives them back to the system: malloc would keep them
 * (its own threshold rises with what is freed; 8 threads with 15 MiB each left 240 MiB behind). Under AddressSanitizer all
 * blocks are malloc's, so that it sees their ends. */
#if defined(__SANITIZE_ADDRESS__)
#define MAP_THRESHOLD SIZE_MAX
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MAP_THRESHOLD SIZE_MAX
#endif
#endif
#ifndef MAP_THRESHOLD
#define MAP_THRESHOLD ((size_t)1 << 20)
#endif

/* In front of every block; one alignment unit so that the payload stays aligned. */
typedef struct block_header {
    size_t bytes;
    mr_mem_tag tag;
} block_header;

_Static_assert(sizeof(block_header) <= MR_MEM_ALIGNMENT, "header must fit one alignment unit");

static atomic_size_t used_by_tag[MR_MEM_TAG_COUNT];

static block_header *header_of(void *block)
{
    return (block_header *)((char *)block - MR_MEM_ALIGNMENT);
}

/* Header and payload, in whole alignment units. */
static bool total_of(size_t bytes, size_t *total)
{
    return mr_checked_add(bytes, MR_MEM_ALIGNMENT, total) && mr_checked_align(*total, MR_MEM_ALIGNMENT, total);
}

static char *obtain(size_t total)
{
    if (total < MAP_THRESHOLD) return aligned_alloc(MR_MEM_ALIGNMENT, total);
    void *pages = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void *mr_mem_alloc(size_t bytes, mr_mem_tag tag)
{
    size_t total;
    if (!total_of(bytes, &total)) return NULL;
    char *base = obtain(total);
    if (!base) return NULL;
#ifdef MADV_HUGEPAGE
    if (total >= HUGE_PAGE_THRESHOLD || ((tag == MR_MEM_WEIGHTS || tag == MR_MEM_TOKENIZER) && total >= HUGE_PAGE)) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        char *first_page = (char *)(((uintptr_t)base + page - 1) & ~(uintptr_t)(page - 1));
        (void)madvise(first_page, total - (size_t)(first_page - base), MADV_HUGEPAGE); /* a hint: refusal is fine */
    }
#endif
    void *block = base + MR_MEM_ALIGNMENT;
    *header_of(block) = (block_header){ .bytes = bytes, .tag = tag };
    atomic_fetch_add_explicit(&used_by_tag[tag], bytes, memory_order_relaxed);
    return block;
}

void *mr_mem_alloc_array(size_t count, size_t size, mr_mem_tag tag)
{
    size_t bytes;
    return mr_checked_mul(count, size, &bytes) ? mr_mem_alloc(bytes, tag) : NULL;
}

void *mr_mem_calloc(size_t count, size_t size, mr_mem_tag tag)
{
    void *block = mr_mem_alloc_array(count, size, tag);
    if (block) memset(block, 0, count * size);
    return block;
}

void *mr_mem_realloc(void *block, size_t bytes, mr_mem_tag tag)
{
    void *grown = mr_mem_alloc(bytes, tag);
    if (!grown || !block) return grown;
    size_t old = header_of(block)->bytes;
    memcpy(grown, block, old < bytes ? old : bytes);
    mr_mem_free(block);
    return grown;
}

void mr_mem_free(void *block)
{
    if (!block) return;
    block_header *header = header_of(block);
    size_t total = 0;
    (void)total_of(header->bytes, &total); /* it fitted when it was allocated */
    atomic_fetch_sub_explicit(&used_by_tag[header->tag], header->bytes, memory_order_relaxed);
    if (total < MAP_THRESHOLD) free(header);
    else munmap(header, total);
}

size_t mr_mem_used(mr_mem_tag tag)
{
    return atomic_load_explicit(&used_by_tag[tag], memory_order_relaxed);
}

const char *mr_mem_tag_text(mr_mem_tag tag)
{
    static const char *const texts[] = {
#define TEXT(name, text) text,
        MR_MEM_TAG_LIST(TEXT)
#undef TEXT
    };
    return tag < MR_MEM_TAG_COUNT ? texts[tag] : "unknown";
}

size_t mr_mem_rss(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    unsigned long total_pages = 0, resident_pages = 0;
    int fields = fscanf(file, "%lu %lu", &total_pages, &resident_pages);
    fclose(file);
    return fields == 2 ? (size_t)resident_pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

size_t mr_mem_peak_rss(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
    return (size_t)usage.ru_maxrss * 1024;
}
