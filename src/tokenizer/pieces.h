/* What the stages hand on: pieces of a text, and ids with the bytes they come from. */
#ifndef MR_TOKENIZER_PIECES_H
#define MR_TOKENIZER_PIECES_H

#include "core/error.h"
#include "core/str.h"
#include "tokenizer/span.h"

typedef struct mr_tokenizer_scratch mr_tokenizer_scratch; /* tokenizer_scratch.h */

/* Text on its way. `at_origin`: its first character comes from byte 0 of the caller's text (Metaspace "first" asks). */
typedef struct mr_segment {
    mr_str text;
    bool at_origin;
} mr_segment;

typedef struct mr_piece {
    uint32_t start;
    uint32_t length;
} mr_piece;

typedef struct mr_pieces {
    mr_piece *items;
    size_t count;
    size_t capacity;
} mr_pieces;

typedef struct mr_ids {
    int32_t *items;
    mr_span *spans; /* [capacity] where `traced`: bytes of the piece, later of the caller's text */
    size_t count;
    size_t capacity;
    bool traced;
} mr_ids;

bool mr_ids_reserve(mr_ids *ids, size_t extra);
bool mr_pieces_reserve(mr_pieces *pieces, size_t extra);

/* Turns tracing on or off for ids to come. False when out of memory. */
bool mr_ids_trace(mr_ids *ids, bool traced);

/* The id of bytes start .. end - 1. */
static inline bool mr_ids_add(mr_ids *ids, int32_t id, size_t start, size_t end)
{
    if (ids->count == ids->capacity && !mr_ids_reserve(ids, 1)) return false;
    if (ids->traced) ids->spans[ids->count] = (mr_span){ (uint32_t)start, (uint32_t)end };
    ids->items[ids->count++] = id;
    return true;
}

/* Empty pieces are dropped. */
static inline bool mr_pieces_add(mr_pieces *pieces, size_t start, size_t end)
{
    if (start == end) return true;
    if (pieces->count == pieces->capacity && !mr_pieces_reserve(pieces, 1)) return false;
    pieces->items[pieces->count++] = (mr_piece){ (uint32_t)start, (uint32_t)(end - start) };
    return true;
}

/* Texts longer than this are refused: a piece without borders takes up to 50 times its bytes of scratch. */
#define MR_TEXT_MAX_BYTES (16u << 20)

/* What one endless piece took is given back: bytes of piece whose scratch is kept. */
#define MR_SCRATCH_KEEP 65536

#endif
