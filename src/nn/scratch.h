/* Takes a forward pass's buffers from an arena, or only adds up what they would need: one function lays out the
 * buffers in both cases, so the estimate cannot drift from the use. */
#ifndef MR_NN_SCRATCH_H
#define MR_NN_SCRATCH_H

#include "core/arena.h"
#include "core/work.h"
#include "kernels/gemm.h"

typedef struct mr_scratch {
    mr_arena *arena; /* NULL: count only */
    size_t bytes;    /* arena capacity the takes so far need, red zones included */
    bool failed;     /* the arena was too small, or a size overflowed */
    mr_work *work;   /* NULL, or where a layout notes its attentions, and layers that are f32 in every precision */
} mr_scratch;

/* count * size bytes, 64-byte aligned, uninitialised. NULL when counting or failed. */
void *mr_scratch_take(mr_scratch *scratch, size_t count, size_t size);

/* A block of `bytes` for each member of a team, and the array of their addresses. */
void **mr_scratch_take_per_member(mr_scratch *scratch, size_t threads, size_t bytes);

/* Notes a layer that every row goes through, in f32 whatever the model's precision. */
void mr_scratch_note_f32(const mr_scratch *scratch, const mr_linear *linear);

/* MEMORY_EXHAUSTED when a take failed. */
mr_status mr_scratch_check(const mr_scratch *scratch, mr_error *error);

#endif
