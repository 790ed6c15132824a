/* All matches of a known pattern.
 *
 * Where matches begin in ASCII text, 64 bytes at a time. The expressions look neither back nor, in ASCII, further ahead than one
 * character, so each rule is a shift or two; what doesn't fit (a quote that may be a contraction, controls other than line ends, all
 * beyond ASCII) is left to mr_scanner_next. */
#include "tokenizer/pipeline.h"

#include <string.h>

static uint64_t run_starts(uint64_t set)
{
    return set & ~(set << 1);
}

static uint64_t number_starts(const mr_scanner *scanner, uint64_t digits)
{
    if (scanner->digits == 1) return digits;
    uint64_t starts = run_starts(digits), fourth = digits & digits << 1 & digits << 2 & digits << 3;
    for (uint64_t next = starts; next;) starts |= next = next << 3 & fourth;
    return starts;
}

/* `\s*[\r\n]+|\s+(?!\S)|\s+`: spaces up to the last line end, the others but one, and one that belongs to what follows, unless the
 * text ends there (`ends`). Line ends behind marks went with those. Spaces between line ends are hard: whether they belong to the former
 * or the latter hangs on that. */
static uint64_t blank_starts(const mr_ascii_block *b, uint64_t marks, uint64_t ends, uint64_t *hard)
{
    uint64_t spaces = b->spaces, lines = b->line_ends, runs = run_starts(spaces), below = runs & lines << 1;
    uint64_t behind = (spaces + below) & ~spaces; /* what follows those runs: the carry of the addition */
    if ((behind & (lines | *hard)) || spaces >> 63) *hard |= below;
    return runs | (spaces & ~((spaces | lines | ends) >> 1)) | (run_starts(lines) & ~(marks << 1) & ~(spaces << 1));
}

/* Places in the block where matches begin, given that one begins at its first byte. They are right below *sure only: beyond, they hang
 * on text that is not in the block or not ASCII. */
static uint64_t match_starts(const mr_scanner *scanner, const mr_ascii_block *b, unsigned *sure)
{
    uint64_t letters = b->upper | b->lower, blanks = b->spaces | b->line_ends, spaced = b->spaces << 1, hard = b->beyond | b->controls;
    uint64_t marks = ~(letters | b->digits | blanks | hard);
    uint64_t starts = run_starts(marks) & ~spaced;  /* a space goes with the marks behind it */
    uint64_t alone = starts & ~(marks >> 1), words = run_starts(letters) & ~spaced;
    uint64_t quotes = alone & b->quotes & letters >> 1; /* may be a contraction */
    if (scanner->words == MR_WORDS_GPT2) {
        hard |= quotes;
        starts |= words | (run_starts(b->digits) & ~spaced) | run_starts(blanks) | (blanks & ~(blanks >> 1));
    } else {
        bool cased = scanner->words >= MR_WORDS_CASED;
        bool parted = scanner->words == MR_WORDS_DEEPSEEK; /* at numbers, before words are looked for; no contractions */
        hard |= cased ? quotes & letters << 1 : parted ? 0 : quotes;
        if (cased) words |= b->upper & b->lower << 1;
        if (scanner->slash) hard |= b->slashes & b->line_ends << 1;
        starts |= words & ~(alone << 1); /* FRONT */
        starts |= number_starts(scanner, b->digits) | blank_starts(b, marks, parted ? b->digits : 0, &hard);
    }
    *sure = hard ? mr_lowest_bit(hard) : 64;
    *sure -= *sure > 0;
    return starts;
}

/* The matches from `at` on that 64 bytes decide by themselves; returns where the next begins, `at` when there are none. SIZE_MAX: out of
 * memory. */
static size_t split_block(const mr_scanner *scanner, mr_str window, size_t base, size_t at, mr_pieces *out)
{
    char padded[MR_ASCII_BLOCK];
    const char *from = window.data + at;
    if (window.length - at < MR_ASCII_BLOCK) {
        memset(padded, 0x80, sizeof padded); /* what is not ASCII is left alone */
        from = memcpy(padded, from, window.length - at);
    }
    mr_ascii_block block = mr_ascii_block_read(from);
    unsigned sure;
    uint64_t starts = match_starts(scanner, &block, &sure);
    if (!mr_pieces_reserve(out, MR_ASCII_BLOCK)) return SIZE_MAX;
    mr_piece *to = out->items + out->count;
    uint32_t here = (uint32_t)(base + at), begin = 0;
    for (starts &= ((UINT64_C(1) << sure) - 1) & ~UINT64_C(1); starts; starts &= starts - 1) {
        uint32_t end = mr_lowest_bit(starts);
        *to++ = (mr_piece){ here + begin, end - begin };
        begin = end;
    }
    out->count = (size_t)(to - out->items);
    return at + begin;
}

bool mr_scanner_split(const mr_scanner *scanner, mr_str text, mr_piece piece, bool keep_gaps, mr_pieces *out)
{
    mr_str window = { text.data + piece.start, piece.length };
    bool blocks = scanner->words != MR_WORDS_CLIP, gap;
    for (size_t at = 0, next; at < window.length; at = next) {
        next = at;
        if (blocks && window.length - at > 1 && ((window.data[at] | window.data[at + 1]) & 0x80) == 0) next = split_block(scanner, window, piece.start, at, out);
        if (next == SIZE_MAX) return false;
        if (next > at) continue;
        next = mr_scanner_next(scanner, window, at, &gap);
        if ((!gap || keep_gaps) && !mr_pieces_add(out, piece.start + at, piece.start + next)) return false;
    }
    return true;
}
