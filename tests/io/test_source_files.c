/* Directories and single images. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io_fixture.h"

static void directories(void **state)
{
    (void)state;
    mkdir("d", 0777);
    mkdir("d/a", 0777);
    mkdir("d/a-b", 0777);
    mkdir("d/.git", 0777);
    fixture_write("d/a/x.txt", "inner", 5);
    fixture_write("d/a-b/y.txt", "dashed", 6);
    fixture_write("d/a/bad.txt", "\xc0", 1);
    fixture_write("d/a/none.png", "", 0);
    fixture_write("d/z.JPG", "JPG", 3);
    fixture_write("d/skip.md", "no", 2);
    fixture_write("d/.git/hidden.txt", "no", 2);
    assert_int_equal(symlink("..", "d/a/loop"), 0);
    assert_int_equal(symlink("nowhere", "d/dangling.txt"), 0);
    static const struct {
        const char *id, *text, *image, *reason;
    } expected[] = {
        { "a-b/y.txt", "dashed", "", NULL }, /* '-' sorts before '/' */
        { "a/bad.txt", "", "", "d/a/bad.txt: invalid UTF-8 at byte 0" },
        { "a/none.png", "", "", "d/a/none.png is empty" },
        { "a/x.txt", "inner", "", NULL },
        { "z.JPG", "", "JPG", NULL },
    };
    collected *all = fixture_collect_path("d");
    assert_int_equal(all->end, MR_END);
    assert_int_equal(all->count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_text(all->records[i]->id, expected[i].id);
        assert_text(all->records[i]->text, expected[i].text);
        assert_text(all->records[i]->image, expected[i].image);
        assert_int_equal(all->records[i]->source_record, i);
        assert_int_equal(all->records[i]->source_index, 0);
        if (expected[i].reason) assert_contains(all->records[i]->error_text, expected[i].reason);
        else assert_null(all->records[i]->error_text);
    }
    fixture_collected_free(all);
}

static void useless_directories(void **state)
{
    (void)state;
    mkdir("e", 0777);
    fixture_write("e/x.jsonl", "{}", 2);
    const char *path = "e";
    mr_source *source;
    mr_error error;
    assert_int_equal(mr_source_open(&(mr_source_options){ .paths = &path, .path_count = 1 }, &source, &error), MR_BAD_INPUT);
    assert_contains(error.text, "e holds no image or .txt file");
    assert_contains(error.text, "e/*.jsonl");
}

static void digest_of(const char *path, char hex[65])
{
    mr_source *source;
    assert_int_equal(mr_source_open(&(mr_source_options){ .paths = &path, .path_count = 1 }, &source, NULL), MR_OK);
    assert_int_equal(mr_source_input_digest(source, 0, NULL, hex, NULL), MR_OK);
    mr_source_close(source);
}

static void directory_digests(void **state)
{
    (void)state;
    char one[65], other[65];
    mkdir("h", 0777);
    fixture_write("h/a.txt", "1", 1);
    fixture_write("h/b.txt", "2", 1);
    digest_of("h", one);
    assert_int_equal(rename("h/b.txt", "h/c.txt"), 0);
    digest_of("h", other);
    assert_string_not_equal(one, other);
    assert_int_equal(rename("h/c.txt", "h/b.txt"), 0);
    digest_of("h", other);
    assert_string_equal(one, other);
}

static void single_images(void **state)
{
    (void)state;
    fixture_write("one.webp", "WEBP", 4);
    fixture_write("gone.png", "P", 1);
    const char *paths[] = { "one.webp", "gone.png" };
    mr_source *source;
    mr_record *record;
    const mr_source_options options = { .paths = paths, .path_count = 2, .max_record_bytes = 4 };
    assert_int_equal(mr_source_open(&options, &source, NULL), MR_OK);
    assert_int_equal(mr_source_next(source, &record, NULL), MR_OK);
    assert_text(record->image, "WEBP");
    assert_text(record->id, "one.webp");
    mr_record_free(record);
    unlink("gone.png"); /* deleted under us: its row says so */
    assert_int_equal(mr_source_next(source, &record, NULL), MR_OK);
    assert_contains(record->error_text, "gone.png: No such file");
    mr_record_free(record);
    mr_source_close(source);
    fixture_write("big.png", "12345", 5);
    paths[0] = "big.png";
    collected *all = fixture_collect(&(mr_source_options){ .paths = paths, .path_count = 1, .max_record_bytes = 4 });
    assert_contains(all->records[0]->error_text, "big.png has 5 bytes");
    fixture_collected_free(all);
}

static void names_that_are_no_utf8(void **state)
{
    (void)state;
    fixture_write("l\xe9.txt", "latin\n", 6);
    collected *all = fixture_collect_path("l\xe9.txt");
    assert_text(all->records[0]->id, "l\\xe9.txt#1");
    assert_text(all->records[0]->text, "latin");
    fixture_collected_free(all);
}

int main(void)
{
    fixture_enter("source-files");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directories),   cmocka_unit_test(useless_directories),    cmocka_unit_test(directory_digests),
        cmocka_unit_test(single_images), cmocka_unit_test(names_that_are_no_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
