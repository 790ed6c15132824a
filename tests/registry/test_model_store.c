#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "registry/model_store.h"
#include "scratch_folder.h"

#define ENTRY                                                                                         \
    "key: org/tiny\ncapability: text_embedding\narchitecture: bert\nlicence: MIT\nmemory: 1M\n"       \
    "hub: {repository: org/tiny, revision: abc}\nfiles:\n  - {path: config.json, bytes: 2}\n  - {path: sub/b.bin, bytes: 3}\n"

static char home[4096];

/* A store whose home and cache lie in a fresh folder. */
static mr_model_store *open_store(void)
{
    mr_model_store *store;
    mr_error error;
    snprintf(home, sizeof home, "%s", scratch_folder("store"));
    scratch_write_text(home, "catalogue/tiny.yaml", ENTRY);
    setenv("MILLRACE_HOME", home, 1);
    setenv("HF_HUB_CACHE", home, 1);
    assert_int_equal(mr_model_store_open(&store, &error), MR_OK);
    return store;
}

static void expect_path(const mr_model_store *store, const char *model, const char *tail)
{
    char *path, expected[8192];
    mr_error error;
    assert_int_equal(mr_model_store_resolve(store, model, &path, &error), MR_OK);
    snprintf(expected, sizeof expected, "%s/%s", home, tail);
    assert_string_equal(path, expected);
    free(path);
}

static void test_home(void **state)
{
    (void)state;
    mr_model_store *store;
    mr_error error;
    unsetenv("MILLRACE_HOME");
    setenv("XDG_DATA_HOME", "/nowhere/data", 1);
    assert_int_equal(mr_model_store_open(&store, NULL), MR_OK);
    assert_string_equal(mr_model_store_models(store), "/nowhere/data/millrace/models");
    mr_model_store_close(store);
    unsetenv("XDG_DATA_HOME");
    setenv("HOME", "/nowhere/me", 1);
    assert_int_equal(mr_model_store_open(&store, NULL), MR_OK);
    assert_string_equal(mr_model_store_models(store), "/nowhere/me/.local/share/millrace/models");
    mr_model_store_close(store);
    unsetenv("HOME");
    char *path;
    assert_int_equal(mr_model_store_open(&store, &error), MR_OK);
    assert_int_equal(mr_model_store_resolve(store, "sentence-transformers/all-MiniLM-L6-v2", &path, &error), MR_CONFIG);
    assert_non_null(strstr(error.text, "MILLRACE_HOME"));
    assert_int_equal(mr_model_store_resolve(store, "/", &path, &error), MR_OK); /* a folder needs no store */
    free(path);
    mr_model_store_close(store);
}

static void test_bad_user_entry(void **state)
{
    (void)state;
    mr_model_store *store;
    mr_error error;
    snprintf(home, sizeof home, "%s", scratch_folder("store"));
    scratch_write_text(home, "catalogue/bad.yaml", "key: a/b\nnonsense: 1\n");
    setenv("MILLRACE_HOME", home, 1);
    assert_int_equal(mr_model_store_open(&store, &error), MR_CONFIG);
    assert_non_null(strstr(error.text, "catalogue/bad.yaml:2:1:"));
}

static void test_user_entry_and_store(void **state)
{
    (void)state;
    mr_model_store *store = open_store();
    const mr_catalogue_entry *entry;
    char *path;
    mr_error error;
    assert_int_equal(mr_model_store_entry(store, "org/tiny", &entry, NULL), MR_OK);
    assert_null(mr_model_store_locate(store, entry));
    assert_int_equal(mr_model_store_resolve(store, "org/tiny", &path, &error), MR_MODEL_FILES_MISSING);
    assert_non_null(strstr(error.text, "2 of 2 files"));
    assert_non_null(strstr(error.text, "config.json, sub/b.bin"));
    assert_non_null(strstr(error.text, "millrace fetch org/tiny"));
    scratch_write_text(home, "models/org/tiny/config.json", "{}");
    scratch_write_text(home, "models/org/tiny/sub/b.bin", "12");
    assert_int_equal(mr_model_store_resolve(store, "org/tiny", &path, &error), MR_MODEL_FILES_MISSING);
    assert_non_null(strstr(error.text, "1 of 2 files"));
    scratch_write_text(home, "models/org/tiny/sub/b.bin", "123");
    expect_path(store, "org/tiny", "models/org/tiny");
    mr_model_store_close(store);
}

static void test_hub_cache(void **state)
{
    (void)state;
    mr_model_store *store = open_store();
    /* main is incomplete, the pinned revision complete; then only main. */
    scratch_write_text(home, "models--org--tiny/refs/main", "fed\n");
    scratch_write_text(home, "models--org--tiny/snapshots/fed/config.json", "{}");
    scratch_write_text(home, "models--org--tiny/snapshots/abc/config.json", "{}");
    scratch_write_text(home, "models--org--tiny/snapshots/abc/sub/b.bin", "123");
    expect_path(store, "org/tiny", "models--org--tiny/snapshots/abc");
    scratch_write_text(home, "models--org--tiny/snapshots/fed/sub/b.bin", "123");
    scratch_write_text(home, "models--org--tiny/snapshots/abc/sub/b.bin", "");
    expect_path(store, "org/tiny", "models--org--tiny/snapshots/fed");
    mr_model_store_close(store);
}

static void test_paths_and_unlisted_keys(void **state)
{
    (void)state;
    mr_model_store *store = open_store();
    char *path, gguf[8192];
    mr_error error;
    snprintf(gguf, sizeof gguf, "%s/m.gguf", home);
    scratch_write_text(home, "m.gguf", "x");
    expect_path(store, gguf, "m.gguf");
    scratch_write_text(home, "models/other/model/config.json", "{}");
    expect_path(store, "other/model", "models/other/model");
    scratch_write_text(home, "models--third--model/refs/main", "0a");
    scratch_write_text(home, "models--third--model/snapshots/0a/config.json", "{}");
    expect_path(store, "third/model", "models--third--model/snapshots/0a");
    assert_int_equal(mr_model_store_resolve(store, "", &path, &error), MR_INVALID_ARGUMENT);
    assert_int_equal(mr_model_store_resolve(store, "./absent", &path, &error), MR_NOT_FOUND);
    assert_non_null(strstr(error.text, "no such file or directory"));
    assert_int_equal(mr_model_store_resolve(store, "absent.gguf", &path, &error), MR_NOT_FOUND);
    assert_int_equal(mr_model_store_resolve(store, "org/tinny", &path, &error), MR_NOT_FOUND);
    assert_non_null(strstr(error.text, "did you mean org/tiny?"));
    assert_int_equal(mr_model_store_resolve(store, "models/../../etc", &path, &error), MR_NOT_FOUND);
    mr_model_store_close(store);
}

/* A reference file of the cache may not lead out of it. */
static void test_hostile_reference(void **state)
{
    (void)state;
    mr_model_store *store = open_store();
    char *path;
    scratch_write_text(home, "models--evil--model/refs/main", "../../../outside");
    scratch_write_text(home, "models--evil--model/snapshots/x", "");
    assert_int_equal(mr_model_store_resolve(store, "evil/model", &path, NULL), MR_NOT_FOUND);
    mr_model_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_user_entry),          cmocka_unit_test(test_user_entry_and_store), cmocka_unit_test(test_hub_cache),
        cmocka_unit_test(test_paths_and_unlisted_keys), cmocka_unit_test(test_hostile_reference),    cmocka_unit_test(test_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
