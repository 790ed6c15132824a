#include "tokenizer/pieces.h"

#include <stdlib.h>

static void *grow(void *items, size_t *capacity, size_t needed, size_t size)
{
    size_t wanted = *capacity ? 2 * *capacity : 64;
    if (wanted < needed) wanted = needed;
    if (wanted > SIZE_MAX / 2 / size) return NULL;
    void *grown = realloc(items, wanted * size);
    if (grown) *capacity = wanted;
    return grown;
}

bool mr_ids_reserve(mr_ids *ids, size_t extra)
{
    if (ids->capacity - ids->count >= extra) return true;
    int32_t *grown = grow(ids->items, &ids->capacity, ids->count + extra, sizeof *grown);
    if (grown) ids->items = grown;
    return grown && mr_ids_trace(ids, ids->traced);
}

bool mr_ids_trace(mr_ids *ids, bool traced)
{
    mr_span *spans = traced && ids->capacity ? realloc(ids->spans, ids->capacity * sizeof *spans) : ids->spans;
    if (traced && ids->capacity && !spans) return false;
    ids->spans = spans;
    ids->traced = traced;
    return true;
}

bool mr_pieces_reserve(mr_pieces *pieces, size_t extra)
{
    if (pieces->capacity - pieces->count >= extra) return true;
    mr_piece *grown = grow(pieces->items, &pieces->capacity, pieces->count + extra, sizeof *grown);
    if (grown) pieces->items = grown;
    return grown != NULL;
}
