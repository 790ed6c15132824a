/* Classes of regular expressions beside the reference's, on every code point: tests/data/tokenizer/classes.json (make_classes.py). */
#include "../cm.h"

#include <jansson.h>

#include "core/file.h"
#include "tokenizer/split_regex.h"
#include "tokenizer/unicode.h"

#define POINTS (MR_CODE_POINT_MAX + 1 - 0x800) /* without surrogates */

static unsigned char found[POINTS];

/* found[i]: whether the pattern matches at the beginning of `before` and the character. */
static size_t find_all(const mr_regex *regex, mr_regex_scratch *scratch, mr_str before)
{
    size_t count = 0, total = 0;
    char text[8];
    memcpy(text, before.data, before.length);
    for (uint32_t c = 0; c <= MR_CODE_POINT_MAX; c++) {
        if (c >= 0xD800 && c <= 0xDFFF) continue;
        size_t start = 1, end, length = before.length + mr_utf8_encode(c, text + before.length);
        mr_str shown = mr_regex_show(scratch, (mr_str){ text, length });
        found[count] = mr_regex_next(regex, scratch, shown, 0, &start, &end) == MR_REGEX_MATCH && start == 0;
        total += found[count++];
    }
    return total;
}

static void test_every_code_point(void **unused)
{
    json_error_t problem;
    mr_regex_scratch scratch = { 0 };
    mr_error error;
    size_t i;
    json_t *classes = json_load_file(MR_TEST_DATA "/tokenizer/classes.json", 0, &problem), *class;
    (void)unused;
    if (!classes) fail_msg("%s", problem.text);
    assert_true(json_array_size(classes) > 0);
    assert_int_equal(mr_regex_scratch_prepare(&scratch, &error), MR_OK);
    json_array_foreach(classes, i, class) {
        const char *pattern = json_string_value(json_object_get(class, "pattern"));
        mr_regex *regex;
        char digest[MR_SHA256_HEX];
        if (mr_regex_open(mr_str_of(pattern), "classes.json", &regex, &error) != MR_OK) fail_msg("%s", error.text);
        size_t total = find_all(regex, &scratch, mr_str_of(json_string_value(json_object_get(class, "before"))));
        mr_sha256_bytes(found, sizeof found, digest);
        if (strcmp(digest, json_string_value(json_object_get(class, "sha256"))) != 0)
            fail_msg("%s: %zu characters, the reference has %d", pattern, total, (int)json_integer_value(json_object_get(class, "count")));
        mr_regex_close(regex);
    }
    mr_regex_scratch_fini(&scratch);
    json_decref(classes);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_code_point) };
    return RUN_TESTS(tests);
}
