/* Normal forms: what the code-point sweep of the golden files does not combine. */
#include "../cm.h"

#include "tokenizer/unicode.h"

static void expect(mr_normal_form form, const char *text, const char *normal)
{
    mr_marks marks = { 0 };
    mr_buf out = { 0 };
    assert_true(mr_unicode_normalize(form, mr_str_of(text), &marks, &out));
    assert_true(mr_buf_append(&out, "", 0));
    assert_string_equal(out.data, normal);
    if (mr_unicode_is_normal(form, mr_str_of(text))) assert_string_equal(text, normal);
    mr_buf_fini(&out);
    mr_marks_fini(&marks);
}

static void test_composition(void **state)
{
    (void)state;
    expect(MR_NFC, "e\u0301", "\u00E9");
    expect(MR_NFC, "a\u0301\u0327", "\u00E1\u0327");       /* reordered, then composed with the one that can */
    expect(MR_NFC, "a\u0327\u0301", "\u00E1\u0327");
    expect(MR_NFC, "a\u0305\u0301", "a\u0305\u0301");       /* same class: blocked */
    expect(MR_NFC, "A\u030A\u0301", "\u01FA");         /* twice */
    expect(MR_NFC, "\u1100\u1161\u11A8", "\uAC01");         /* Hangul */
    expect(MR_NFC, "\uAC00\u11A8", "\uAC01");
    expect(MR_NFC, "\u1100\u1161\u1161", "\uAC00\u1161");
    expect(MR_NFC, "\u0958", "\u0915\u093C");               /* excluded from composition */
    expect(MR_NFC, "\u212B", "\u00C5");                     /* singleton */
    expect(MR_NFC, "\u09C7\u09BE", "\u09CB");               /* a starter composes */
    expect(MR_NFC, "\u09C7\u0301\u09BE", "\u09C7\u0301\u09BE");
    expect(MR_NFC, "\u0301e", "\u0301e");
}

static void test_decomposition(void **state)
{
    (void)state;
    expect(MR_NFD, "\u1EBF", "e\u0302\u0301");
    expect(MR_NFD, "\uAC01", "\u1100\u1161\u11A8");
    expect(MR_NFD, "q\u0307\u0323", "q\u0323\u0307");
    expect(MR_NFKC, "\uFB01\u00B2\uFF21\u0301", "fi2\u00C1");
    expect(MR_NFKD, "\uFDFA", "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064A\u0647 \u0648\u0633\u0644\u0645");
    expect(MR_NFD, "\U00011938", "\U00011938");             /* decomposes since Unicode 13.0 only */
}

/* Long runs of marks take the counting sort; it must be stable. */
static void test_long_runs(void **state)
{
    char text[256] = "a", sorted[256] = "a";
    (void)state;
    for (size_t i = 0; i < 20; i++) strcat(text, i % 2 ? "\u0323" : i % 4 ? "\u0301" : "\u0305"); /* below (220), above (230) in two kinds */
    for (size_t i = 0; i < 10; i++) strcat(sorted, "\u0323");
    for (size_t i = 0; i < 20; i += 2) strcat(sorted, i % 4 ? "\u0301" : "\u0305");
    expect(MR_NFD, text, sorted);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_composition), cmocka_unit_test(test_decomposition), cmocka_unit_test(test_long_runs) };
    return RUN_TESTS(tests);
}
