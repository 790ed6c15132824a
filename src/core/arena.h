/* A fixed-capacity bump allocator: the scratch memory of one worker.
 *
 * Allocated once, reset per batch; a forward pass takes everything from here and never calls malloc.
 * Blocks are 64-byte aligned and separated by a red zone: poisoned under AddressSanitizer, filled with a
 * pattern and checked by mr_arena_reset/_check otherwise (in builds without NDEBUG).
 * Not thread-safe: one owner. */
#ifndef MR_CORE_ARENA_H
#define MR_CORE_ARENA_H

#include "core/error.h"
#include "core/mem.h"

typedef struct mr_arena mr_arena;

/* Owned by the caller; mr_arena_destroy accepts NULL. Fails with OUT_OF_MEMORY. */
mr_status mr_arena_create(size_t capacity_bytes, mr_mem_tag tag, mr_arena **out, mr_error *error);
void mr_arena_destroy(mr_arena *arena);

/* Uninitialised memory, or NULL when `capacity` is used up: the caller turns that into
 * MEMORY_EXHAUSTED, since its own estimate was wrong. */
void *mr_arena_alloc(mr_arena *arena, size_t bytes);
/* Everything taken is given back. */
void mr_arena_reset(mr_arena *arena);

/* Resets, and gives the memory back to the system: it comes again when it is used. */
void mr_arena_give_back(mr_arena *arena);

/* False when a red zone between live blocks was overwritten (always true where ASan checks instead). */
bool mr_arena_check(const mr_arena *arena);

size_t mr_arena_capacity(const mr_arena *arena);
/* Bytes of capacity that `blocks` allocations totalling `bytes` need at most, red zones included. */
size_t mr_arena_bytes_needed(size_t bytes, size_t blocks);

#endif
