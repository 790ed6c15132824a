/* Where in the caller's text each token comes from, as the `tokenizers` library tells it (its NormalizedString): every
 * character of a changed text belongs to a stretch of the original. A character that replaces one takes its stretch; one
 * that is put in takes the stretch of the character before.
 *
 * Only when offsets are asked for: the steps that change text are run again, slowly, on characters that know their
 * stretch; the texts themselves are those of the fast way, and must come out the same. */
#ifndef MR_TOKENIZER_OFFSETS_H
#define MR_TOKENIZER_OFFSETS_H

#include "core/str.h"
#include "tokenizer/span.h"
#include "tokenizer/unicode.h"

struct mr_normalizer_step;

/* A character with its stretch, and what a step makes of it. `change` as the reference counts: 0 replaces one character,
 * 1 is put in, -n replaces one and removes the n behind it. */
typedef struct mr_traced {
    uint32_t point;
    int32_t change;
    mr_span span;
} mr_traced;

typedef struct mr_trace {
    mr_traced *items;
    size_t count;
    size_t capacity;
} mr_trace;

/* Reusable; zero-initialise. */
typedef struct mr_offsets {
    bool on;
    mr_trace now, made;      /* the text and what a step makes of it */
    mr_span *bytes[3];       /* stretch of each byte of: the normalised segment, the pre-tokenizer's texts */
    size_t capacity[3];
    mr_span *matches;        /* of a Replace step, bytes of the text before */
    size_t match_count, match_capacity;
    const mr_span *current;  /* of the text the pieces refer to */
    size_t base;             /* where the segment begins */
} mr_offsets;

void mr_offsets_fini(mr_offsets *offsets);

/* A segment of the original that begins at `base`. False when out of memory; so below. */
bool mr_offsets_begin(mr_offsets *offsets, mr_str segment, size_t base);
/* A Replace step found its pattern. */
bool mr_offsets_match(mr_offsets *offsets, size_t start, size_t end);
/* One normalizer step that turned `before` into `after`. */
bool mr_offsets_step(mr_offsets *offsets, const struct mr_normalizer_step *step, mr_str before, mr_str after);
/* The normalised segment is complete: its bytes' stretches in bytes[0]. */
bool mr_offsets_finish(mr_offsets *offsets, mr_str text);
/* A pre-tokenizer wrote a piece anew: `from` [length] of the current text became text [length] behind `filled` bytes of
 * bytes[slot], slot 1 or 2: every ' ' one mark of `mark_length` bytes, and one put in front when that makes it longer. */
bool mr_offsets_spaced(mr_offsets *offsets, size_t slot, size_t filled, size_t start, mr_str from, size_t mark_length, size_t length);

/* The stretch of bytes start..end of the current text. */
mr_span mr_offsets_of(const mr_offsets *offsets, size_t start, size_t end);
/* `span` of `text` without the white space the token's text begins and ends with; keep_one: a space was put in front. */
mr_span mr_offsets_trim(mr_str text, mr_span span, mr_str token, bool keep_one);

#endif
