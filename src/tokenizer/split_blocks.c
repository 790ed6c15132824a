/* All matches of a known pattern.
 *
 * Where matches begin, 64 bytes at a time. The expressions look neither back nor, in most texts, further ahead than one character, so
 * each rule is a shift or two, or an addition whose carry runs to the end of a run; what doesn't fit (a quote that may be a contraction,
 * controls other than line ends, numbers and white space beyond ASCII, four-byte characters) is left to mr_scanner_next.
 * All bytes of a character are in the same sets. */
#include <string.h>

#include "tokenizer/ascii_block.h"
#include "tokenizer/split_kind.h"
#include "tokenizer/split_scanner.h"

typedef struct places {
    mr_ascii_block ascii;
    uint64_t upper, lower; /* letters of words by what they may be; both: letters without case */
    uint64_t apart;        /* letters whose runs are words by themselves: DeepSeek-V3's CJK, Kimi's Han */
    uint64_t marks;
    uint64_t hard;
} places;

/* Letters and marks beyond ASCII that are whole in the block. */
static void read_beyond(const mr_scanner *scanner, const char *text, places *p)
{
    bool deepseek = scanner->words == MR_WORDS_DEEPSEEK, kimi = scanner->words == MR_WORDS_CASED_HAN;
    bool joins = deepseek || scanner->words >= MR_WORDS_CASED; /* combining marks are parts of words */
    uint64_t known = 0, combining = 0;
    for (uint64_t leads = p->ascii.beyond & ~p->ascii.trails; leads; leads &= leads - 1) {
        unsigned at = mr_lowest_bit(leads);
        size_t length = mr_utf8_length((unsigned char)text[at]);
        if (length == 4 || at + length > MR_ASCII_BLOCK) continue;
        uint32_t c = mr_utf8_decode(text + at, &length);
        unsigned kind = mr_kind_of(c);
        uint64_t bytes = ((UINT64_C(1) << length) - 1) << at;
        bool letter = kind & MR_LETTER, mark = !letter && (kind & MR_WORD), sign = kind & MR_SIGN;
        bool apart = (deepseek && mr_is_cjk(c)) || (kimi && (kind & MR_HAN));
        if (apart && !(kind & MR_WORD)) continue;
        known |= letter || mark || sign ? bytes : 0;
        p->upper |= (kind & MR_MAY_BE_UPPER) && (letter || joins) && !apart ? bytes : 0;
        p->lower |= (kind & MR_MAY_BE_LOWER) && (letter || joins) && !apart ? bytes : 0;
        p->apart |= apart ? bytes : 0;
        p->marks |= sign || (mark && !joins) ? bytes : 0;
        combining |= mark ? bytes : 0;
    }
    p->hard |= p->ascii.beyond & ~known;
    if (scanner->words >= MR_WORDS_CASED) p->hard |= combining & p->marks << 1; /* part of a word or of the marks */
}

static places read_places(const mr_scanner *scanner, const char *text)
{
    places p = { .ascii = mr_ascii_block_read(text) };
    const mr_ascii_block *a = &p.ascii;
    p.upper = a->upper;
    p.lower = a->lower;
    p.marks = ~(a->upper | a->lower | a->digits | a->spaces | a->line_ends | a->controls | a->beyond);
    p.hard = a->controls;
    if (a->beyond) read_beyond(scanner, text, &p);
    return p;
}

static uint64_t run_starts(uint64_t set)
{
    return set & ~(set << 1);
}

/* What follows the runs of `set` that `starts` are the first places of, or that are empty there. */
static uint64_t behind(uint64_t starts, uint64_t set)
{
    return (starts + set) & ~set;
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
static uint64_t blank_starts(places *p, uint64_t ends)
{
    uint64_t spaces = p->ascii.spaces, lines = p->ascii.line_ends, runs = run_starts(spaces), below = runs & lines << 1;
    if ((behind(below, spaces) & (lines | p->hard)) || spaces >> 63) p->hard |= below;
    return runs | (spaces & ~((spaces | lines | ends) >> 1)) | (run_starts(lines) & ~(p->marks << 1) & ~(spaces << 1));
}

/* FRONT: letters right behind a single mark, that begin no match. DeepSeek-V3's take ASCII only, marks and letters: what follows begins one. */
static uint64_t word_starts(const mr_scanner *scanner, const places *p, uint64_t mark_starts, uint64_t letters)
{
    uint64_t words = run_starts(letters), trails = p->ascii.trails & p->marks;
    if (scanner->words != MR_WORDS_DEEPSEEK) return words & ~behind(mark_starts << 1, trails);
    uint64_t ascii = letters & ~p->ascii.beyond, fronted = words & ascii & (mark_starts & ~p->ascii.beyond) << 1;
    return (words & ~fronted) | (behind(fronted, ascii) & letters);
}

/* Places in the block where matches begin, given that one begins at its first byte. They are right below *sure only: beyond, they hang
 * on text that is not in the block or not known here. */
static uint64_t match_starts(const mr_scanner *scanner, const char *text, unsigned *sure)
{
    places p = read_places(scanner, text);
    const mr_ascii_block *a = &p.ascii;
    uint64_t letters = p.upper | p.lower, blanks = a->spaces | a->line_ends, spaced = a->spaces << 1;
    uint64_t starts = run_starts(p.marks) & ~spaced; /* a space goes with the marks behind it */
    uint64_t quotes = starts & a->quotes & (letters | p.apart) >> 1; /* may be a contraction */
    if (scanner->words == MR_WORDS_GPT2) {
        p.hard |= quotes;
        starts |= (run_starts(letters) & ~spaced) | (run_starts(a->digits) & ~spaced) | run_starts(blanks) | (blanks & ~(blanks >> 1));
    } else {
        bool cased = scanner->words >= MR_WORDS_CASED, deepseek = scanner->words == MR_WORDS_DEEPSEEK;
        uint64_t words = word_starts(scanner, &p, starts, letters), upper = p.upper & ~p.lower;
        if (cased) {
            p.hard |= (quotes & (letters | p.apart) << 1) | (upper & (p.upper & p.lower) << 1);
            words |= upper & (p.lower & ~p.upper) << 1;
        } else if (!deepseek) {
            p.hard |= quotes;
        }
        if (scanner->slash) p.hard |= a->slashes & a->line_ends << 1;
        starts |= (words & ~spaced) | run_starts(p.apart) | number_starts(scanner, a->digits);
        starts |= blank_starts(&p, deepseek ? a->digits | p.apart : 0); /* DeepSeek-V3's third expression sees texts without those */
    }
    *sure = p.hard ? mr_lowest_bit(p.hard) : 64;
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
        memset(padded, 0, sizeof padded); /* hard */
        from = memcpy(padded, from, window.length - at);
    }
    unsigned sure;
    uint64_t starts = match_starts(scanner, from, &sure);
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

#define WORTH_A_BLOCK 16 /* bytes; a word or two are found sooner one by one */

bool mr_scanner_split(const mr_scanner *scanner, mr_str text, mr_piece piece, bool keep_gaps, mr_pieces *out)
{
    mr_str window = { text.data + piece.start, piece.length };
    bool blocks = scanner->words != MR_WORDS_CLIP, gap;
    for (size_t at = 0, next; at < window.length; at = next) {
        next = at;
        if (blocks && window.length - at >= WORTH_A_BLOCK) next = split_block(scanner, window, piece.start, at, out);
        if (next == SIZE_MAX) return false;
        if (next > at) continue;
        next = mr_scanner_next(scanner, window, at, &gap);
        if ((!gap || keep_gaps) && !mr_pieces_add(out, piece.start + at, piece.start + next)) return false;
    }
    return true;
}
