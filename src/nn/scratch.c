#include "nn/scratch.h"

#include "core/checked.h"

void *mr_scratch_take(mr_scratch *scratch, size_t count, size_t size)
{
    size_t bytes;
    if (!mr_checked_mul(count, size, &bytes) || !mr_checked_align(bytes, MR_MEM_ALIGNMENT, &bytes) ||
        !mr_checked_add(scratch->bytes, mr_arena_bytes_needed(bytes, 1), &scratch->bytes)) {
        scratch->failed = true;
        return NULL;
    }
    if (!scratch->arena) return NULL;
    void *block = mr_arena_alloc(scratch->arena, bytes);
    if (!block) scratch->failed = true;
    return block;
}

void **mr_scratch_take_per_member(mr_scratch *scratch, size_t threads, size_t bytes)
{
    void **blocks = mr_scratch_take(scratch, threads, sizeof *blocks);
    for (size_t i = 0; i < threads; i++) {
        void *block = mr_scratch_take(scratch, bytes, 1);
        if (blocks) blocks[i] = block;
    }
    return blocks;
}

void mr_scratch_note_f32(const mr_scratch *scratch, const mr_linear *linear)
{
    if (scratch->work) mr_work_add_linear(scratch->work, (mr_work_linear){ .n = linear->n, .k = linear->k, .count = 1, .f32 = true });
}

mr_status mr_scratch_check(const mr_scratch *scratch, mr_error *error)
{
    if (!scratch->failed) return MR_OK;
    return mr_error_set(error, MR_MEMORY_EXHAUSTED, "a batch needs %zu bytes of scratch memory, the worker has %zu", scratch->bytes,
                        scratch->arena ? mr_arena_capacity(scratch->arena) : 0);
}
