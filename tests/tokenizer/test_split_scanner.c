/* The hand-written scanners against the regular expressions they stand for, on random texts; and regular expressions
 * that must be refused or must not run away.
 *   test_split_scanner --seconds N    only the comparison, for so long and from another seed each time */
#include "../cm.h"

#include <time.h>

#include "tokenizer/ascii_block.h"
#include "tokenizer/split_regex.h"
#include "tokenizer/split_scanner.h"
#include "tokenizer/unicode.h"

static uint64_t state = 88172645463325252u;
static long seconds; /* 0: a fixed number of texts */

static uint32_t random_below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % limit;
}

/* Characters that decide: contractions in both cases, long s, spaces of all kinds, letters of each category, marks,
 * numbers, Han that is and is not a letter, code points newer than the regular expression library's tables. */
static const uint32_t deciding[] = {
    '\'', '\'', 's', 'S', 't', 'T', 'r', 'e', 'E', 'v', 'm', 'l', 'L', 'd', 'D', 0x17F, 0x212A, 'a', 'B', ' ', ' ', ' ', '\n', '\r', '\t', 0x85, 0xA0, 0x2028,
    0x3000, 0x180E, 0x200B, '/', '.', '!', '1', '2', 0x663, 0x2160, 0xBD, 0x1C5, 0x2B0, 0x5D0, 0x301, 0x903, 0x20DD, 0x4E00, 0x3007, 0x3005, 0x2E80, 0x20000,
    0x3042, 0x30A2, 0x3040, 0x3099, 0x309B, 0x30A0, 0x30FB, 1, 0x9FA5, 0x9FA6, 0x20AC, 0x20C0, 0x2016, 0x10D6E, 0x1C89, 0x1C8A, 0xA7DC, 0x897, 0x116D0, 0x2EBF0, 0x10D50, 0x11F03, 0x1CC00, 0x1F600, 0, 0x1F, 0x378, 0x10FFFF,
};

#define MAX_POINTS 200

/* 64 bytes at a time are split together: longer texts are needed. Here runs of one ASCII character, seldom one beyond. */
static size_t random_ascii(char *text)
{
    static const char characters[] = "aaabBCstrvmld  \n\n\r\t''.,/!129\f\x1f";
    size_t length = 0, points = random_below(MAX_POINTS - 16);
    while (length < points) {
        size_t run = random_below(4) ? 1 : 1 + random_below(random_below(8) ? 6 : 100);
        char c = characters[random_below(sizeof characters - 1)];
        for (; run && length < points; run--) text[length++] = c;
        if (random_below(100) == 0) length += mr_utf8_encode(deciding[random_below(sizeof deciding / sizeof *deciding)], text + length);
    }
    return length;
}

/* Words of several scripts, each with what stands beside its letters. */
static size_t random_words(char *text)
{
    static const struct { uint32_t first, count; } scripts[] = {
        { 'A', 26 }, { 'a', 26 }, { 'a', 26 }, { 0xC0, 64 }, { 0x100, 128 }, { 0x410, 32 }, { 0x430, 32 }, { 0x430, 32 }, { 0x391, 60 }, { 0x300, 4 }, { 0x5D0, 27 }, { 0x900, 80 },
        { 0x3041, 94 }, { 0x30A0, 96 }, { 0x4E00, 40 }, { 0x3001, 20 }, { 0xAC00, 999 }, { 0x1EA0, 90 }, { 0x2018, 16 }, { 0xFF01, 80 }, { '0', 10 }, { 0x1F600, 9 },
    };
    static const char between[] = "     \n.,'-(/1";
    size_t length = 0;
    for (size_t points = random_below(MAX_POINTS), i = 0; i < points;) {
        size_t script = random_below(sizeof scripts / sizeof *scripts);
        for (size_t run = random_below(10); run && i < points; run--, i++) length += mr_utf8_encode(scripts[script].first + random_below(scripts[script].count), text + length);
        if (random_below(3) && i++ < points) text[length++] = between[random_below(sizeof between - 1)];
    }
    return length;
}

static size_t random_text(char *text)
{
    size_t length = 0, points = 1 + random_below(24);
    switch (random_below(4)) {
    case 0: return random_ascii(text);
    case 1: return random_words(text);
    default: break;
    }
    for (size_t i = 0; i < points; i++) {
        uint32_t c = deciding[random_below(sizeof deciding / sizeof *deciding)];
        if (random_below(8) == 0) c = random_below(0x3100);
        if (random_below(64) == 0) c = 0x10000 + random_below(0x20000);
        if (c >= 0xD800 && c <= 0xDFFF) c = 'x';
        length += mr_utf8_encode(c, text + length);
    }
    return length;
}

typedef struct comparison {
    const mr_scanner *scanner;
    mr_regex *regexes[MR_SCANNER_PATTERNS];
    size_t count; /* of regexes */
    mr_regex_scratch scratch;
    mr_pieces whole, expected[2], pieces;
} comparison;

/* Pieces as the expressions cut them, one behind the other; of the last one, which are `gaps`. */
static const mr_pieces *cut_by_expressions(comparison *c, mr_str text, bool gaps[])
{
    mr_pieces *in = &c->whole, *out = NULL;
    for (size_t k = 0; k < c->count; k++, in = out) {
        mr_str shown = mr_regex_show(&c->scratch, text);
        out = &c->expected[k % 2];
        out->count = 0;
        for (size_t i = 0; i < in->count; i++) {
            mr_str window = { shown.data + in->items[i].start, in->items[i].length };
            for (size_t at = 0, start = 0, end = 0; at < window.length; at = end) {
                bool gap = mr_regex_next(c->regexes[k], &c->scratch, window, at, &start, &end) != MR_REGEX_MATCH || start > at;
                if (gap) end = start > at ? start : window.length;
                gaps[out->count] = gap;
                assert_true(mr_pieces_add(out, in->items[i].start + at, in->items[i].start + end));
            }
        }
    }
    return out;
}

/* Matches begin and end where those of the expressions do: found one by one, and all at once. */
static void compare(comparison *c, mr_str text)
{
    bool gaps[4 * MAX_POINTS], gap;
    c->whole.count = c->pieces.count = 0;
    assert_true(mr_pieces_add(&c->whole, 0, text.length));
    assert_true(text.length == 0 || mr_scanner_split(c->scanner, text, c->whole.items[0], true, &c->pieces));
    const mr_pieces *expected = cut_by_expressions(c, text, gaps);
    for (size_t i = 0; i < expected->count; i++) {
        mr_piece right = expected->items[i], piece = i < c->pieces.count ? c->pieces.items[i] : (mr_piece){ 0 };
        size_t end = right.start + right.length, scanned = mr_scanner_next(c->scanner, text, right.start, &gap);
        bool same = gap == gaps[i] || c->count > 1; /* of several expressions a match may be one of an earlier one */
        if (same && scanned == end && piece.start == right.start && piece.length == right.length) continue;
        for (size_t k = 0; k < text.length; k++) print_error("%02x ", (unsigned char)text.data[k]);
        fail_msg("%s\nat %u: the expression has a %s to %zu, the scanner ends at %zu, the piece is %u..%u", c->scanner->patterns[0], (unsigned)right.start,
                 gaps[i] ? "gap" : "match", end, scanned, (unsigned)piece.start, (unsigned)(piece.start + piece.length));
    }
    assert_int_equal(expected->count, c->pieces.count);
}

#define SCANNERS 7

static void test_scanners(void **unused)
{
    comparison c = { 0 };
    mr_error error;
    char text[4 * MAX_POINTS];
    (void)unused;
    assert_int_equal(mr_regex_scratch_prepare(&c.scratch, &error), MR_OK);
    for (size_t i = 0; (c.scanner = mr_scanner_at(i)); i++) {
        mr_str patterns[MR_SCANNER_PATTERNS];
        for (c.count = 0; c.count < MR_SCANNER_PATTERNS && c.scanner->patterns[c.count]; c.count++) {
            patterns[c.count] = mr_str_of(c.scanner->patterns[c.count]);
            if (mr_regex_open(patterns[c.count], "test", &c.regexes[c.count], &error) != MR_OK) fail_msg("%s", error.text);
        }
        assert_ptr_equal(mr_scanner_find(patterns, c.count), c.scanner);
        time_t end = time(NULL) + seconds / SCANNERS + 1;
        for (int round = 0; seconds ? time(NULL) < end : round < 100000; round++) compare(&c, (mr_str){ text, random_text(text) });
        for (size_t k = 0; k < c.count; k++) mr_regex_close(c.regexes[k]);
    }
    free(c.whole.items);
    free(c.expected[0].items);
    free(c.expected[1].items);
    free(c.pieces.items);
    mr_regex_scratch_fini(&c.scratch);
}

static void test_ascii_blocks(void **unused)
{
    (void)unused;
    for (int round = 0; round < 1000; round++) {
        char text[MR_ASCII_BLOCK];
        for (size_t i = 0; i < sizeof text; i++) text[i] = (char)random_below(round % 2 ? 128 : 256);
        mr_ascii_block fast = mr_ascii_block_read(text), plain = mr_ascii_block_read_ref(text);
        assert_memory_equal(&fast, &plain, sizeof fast);
    }
}

static void test_refused(void **unused)
{
    static const char *const patterns[] = { "[a&&[b]]", "[a[b]]", "[\\W]", "[\\b]", "^a", "a$", "(?<name>a)", "\\p{Greek}", "\\pL", "[a", "(a", "a)", "\\", "[\\S]", "a**" };
    mr_regex *regex = NULL;
    mr_error error;
    (void)unused;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        mr_status status = mr_regex_open(mr_str_of(patterns[i]), "file.json", &regex, &error);
        if (status != MR_MODEL_UNSUPPORTED) fail_msg("%s: accepted", patterns[i]);
        assert_non_null(strstr(error.text, "file.json"));
    }
}

/* A pattern that explodes ends with LIMIT; one that looks harmless does not fail on a megabyte of one character. */
static void test_long_texts(void **unused)
{
    mr_regex_scratch scratch = { 0 };
    mr_regex *regex;
    mr_error error;
    size_t start, end, length = 1 << 20;
    (void)unused;
    assert_int_equal(mr_regex_scratch_prepare(&scratch, &error), MR_OK);
    char *text = malloc(length);
    memset(text, 'a', length);
    assert_int_equal(mr_regex_open(MR_STR("(a+)+[bc]"), "test", &regex, &error), MR_OK);
    assert_int_equal(mr_regex_next(regex, &scratch, (mr_str){ text, 64 }, 0, &start, &end), MR_REGEX_LIMIT);
    mr_regex_close(regex);
    assert_int_equal(mr_regex_open(MR_STR("[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|\\s+(?!\\S)|\\s+"), "test", &regex, &error), MR_OK);
    assert_int_equal(mr_regex_next(regex, &scratch, (mr_str){ text, length }, 0, &start, &end), MR_REGEX_MATCH);
    assert_int_equal(end, length);
    memset(text, ' ', length);
    text[length - 1] = 'x';
    assert_int_equal(mr_regex_next(regex, &scratch, (mr_str){ text, length }, 0, &start, &end), MR_REGEX_MATCH);
    assert_int_equal(end, length - 2);
    mr_regex_close(regex);
    free(text);
    mr_regex_scratch_fini(&scratch);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest scanners[] = { cmocka_unit_test(test_scanners) };
    if (argc == 3 && strcmp(argv[1], "--seconds") == 0) {
        seconds = strtol(argv[2], NULL, 10);
        state ^= (uint64_t)time(NULL) * 0x9E3779B97F4A7C15u;
        print_message("seed %016llx\n", (unsigned long long)state);
        return RUN_TESTS(scanners);
    }
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_scanners), cmocka_unit_test(test_ascii_blocks), cmocka_unit_test(test_refused), cmocka_unit_test(test_long_texts) };
    return RUN_TESTS(tests);
}
