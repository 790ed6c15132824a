#include "core/arena.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/checked.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(address, bytes) __asan_poison_memory_region(address, bytes)
#define UNPOISON(address, bytes) __asan_unpoison_memory_region(address, bytes)
#else
#define POISON(address, bytes) ((void)0)
#define UNPOISON(address, bytes) ((void)0)
#endif
#if !defined(HAS_ASAN) && !defined(NDEBUG)
#define PATTERN_CHECKS 1
#endif

#define RED_ZONE MR_MEM_ALIGNMENT
#define RED_PATTERN 0xA5

/* Block layout: [payload, rounded to 64][red zone 64]; the red zone's first word links to the one before. */
struct mr_arena {
    unsigned char *base;
    size_t capacity;
    size_t used;
    mr_mem_tag tag;
};

mr_status mr_arena_create(size_t capacity_bytes, mr_mem_tag tag, mr_arena **out, mr_error *error)
{
    mr_arena *arena = mr_mem_calloc(1, sizeof *arena, tag);
    unsigned char *base = mr_mem_alloc(capacity_bytes, tag);
    if (!arena || !base) {
        mr_mem_free(arena);
        mr_mem_free(base);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate %zu bytes of %s memory", capacity_bytes, mr_mem_tag_text(tag));
    }
    *arena = (mr_arena){ .base = base, .capacity = capacity_bytes, .tag = tag };
    POISON(base, capacity_bytes);
    *out = arena;
    return MR_OK;
}

void mr_arena_destroy(mr_arena *arena)
{
    if (!arena) return;
    UNPOISON(arena->base, arena->capacity);
    mr_mem_free(arena->base);
    mr_mem_free(arena);
}

void *mr_arena_alloc(mr_arena *arena, size_t bytes)
{
    size_t payload, total;
    if (!mr_checked_align(bytes ? bytes : 1, MR_MEM_ALIGNMENT, &payload)) return NULL;
    if (!mr_checked_add(payload, RED_ZONE, &total) || total > arena->capacity - arena->used) return NULL;
    unsigned char *block = arena->base + arena->used;
    UNPOISON(block, bytes);
#ifdef PATTERN_CHECKS
    size_t previous = arena->used;
    memset(block + bytes, RED_PATTERN, total - bytes);
    memcpy(block + total - sizeof previous, &previous, sizeof previous);
#endif
    arena->used += total;
    return block;
}

void mr_arena_reset(mr_arena *arena)
{
    assert(mr_arena_check(arena));
    POISON(arena->base, arena->used);
    arena->used = 0;
}

void mr_arena_give_back(mr_arena *arena)
{
    mr_arena_reset(arena);
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (page - (uintptr_t)arena->base % page) % page;
    if (arena->capacity < before + page) return;
    (void)madvise(arena->base + before, (arena->capacity - before) / page * page, MADV_DONTNEED); /* refused: it stays */
}

bool mr_arena_check(const mr_arena *arena)
{
#ifdef PATTERN_CHECKS
    size_t end = arena->used;
    while (end > 0) {
        size_t start;
        memcpy(&start, arena->base + end - sizeof start, sizeof start);
        if (start >= end || end - start < RED_ZONE) return false;
        for (size_t i = end - RED_ZONE; i < end - sizeof start; i++)
            if (arena->base[i] != RED_PATTERN) return false;
        end = start;
    }
#else
    (void)arena;
#endif
    return true;
}

size_t mr_arena_capacity(const mr_arena *arena) { return arena->capacity; }

size_t mr_arena_bytes_needed(size_t bytes, size_t blocks)
{
    return bytes + blocks * (RED_ZONE + MR_MEM_ALIGNMENT);
}
