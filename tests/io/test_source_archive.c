/* tar and zip: samples, plain members, names, damage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io_fixture.h"

static const member corpus[] = {
    { .name = "000001.jpg", .data = "JPG1" },
    { .name = "000001.txt", .data = "caption one" },
    { .name = "000001.json", .data = "{\"id\":\"j1\",\"text\":\"not this\"}" },
    { .name = "000002.jpg", .data = "JPG2" },
    { .name = "000002.cls", .data = "3" },
    { .name = "folder/" },
    { .name = "../../etc/passwd.txt", .data = "harmless" },
    { .name = "/absolute/x.txt", .data = "\xEF\xBB\xBFmarked" },
    { .name = "d\xC3\xBC/\xC3\xA9.txt", .data = "accents" },
    { .name = "long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/deep.txt", .data = "deep" },
    { .name = "img.v1.png", .data = "A" },
    { .name = "img.v2.png", .data = "B" },
    { .name = "lines.jsonl", .data = "{\"text\":\"l1\"}\n\nbad\n{\"id\":\"x\",\"text\":\"l4\"}" },
    { .name = "only.json", .data = "{\"text\":\"from json\"}" },
    { .name = "only.json.cls", .data = "1" },
    { .name = "bad.json", .data = "{" },
    { .name = "notes.md", .data = "passed over" },
    { .name = "._hidden.jpg", .data = "x" },
    { .name = "empty.txt", .data = "" },
    { .name = "bytes.txt", .data = "\xff" },
    { 0 },
};

static const struct {
    const char *id, *text, *image, *reason;
} expected[] = {
    { "j1", "caption one", "JPG1", NULL },
    { "000002", "", "JPG2", NULL },
    { "../../etc/passwd.txt", "harmless", "", NULL },
    { "/absolute/x.txt", "marked", "", NULL },
    { "d\xC3\xBC/\xC3\xA9.txt", "accents", "", NULL },
    { "long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/deep.txt", "deep", "", NULL },
    { "img.v1.png", "", "A", NULL },
    { "img.v2.png", "", "B", NULL },
    { "c/lines.jsonl#1", "l1", "", NULL },
    { "c/lines.jsonl#3", "", "", "c/lines.jsonl:3: not JSON" },
    { "x", "l4", "", NULL },
    { "only", "from json", "", NULL },
    { "bad.json", "", "", "c: member bad.json: not JSON" },
    { "empty.txt", "", "", "c: member empty.txt: is empty" },
    { "bytes.txt", "", "", "c: member bytes.txt: invalid UTF-8 at byte 0" },
};

static const size_t expected_count = sizeof expected / sizeof *expected;

/* `text` with the archive's name in place of "c" where it names the archive. */
static char *with_name(const char *text, const char *path)
{
    bool named = strncmp(text, "c/", 2) == 0 || strncmp(text, "c:", 2) == 0;
    return named ? mr_strf("%s%s", path, text + 1) : mr_strdup(text);
}

static void check(const char *path)
{
    collected *all = fixture_collect_path(path);
    if (all->end != MR_END) fail_msg("%s: %s", path, all->error.text);
    assert_int_equal(all->count, expected_count);
    for (size_t i = 0; i < all->count; i++) {
        const mr_record *record = all->records[i];
        char *id = with_name(expected[i].id, path);
        assert_text(record->id, id);
        assert_text(record->text, expected[i].text);
        assert_text(record->image, expected[i].image);
        if (expected[i].reason) {
            char *reason = with_name(expected[i].reason, path);
            assert_contains(record->error_text, reason);
            free(reason);
        } else {
            assert_null(record->error_text);
        }
        free(id);
    }
    fixture_collected_free(all);
}

static void every_format(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        container format;
        packing how;
    } files[] = { { "pax.tar", PAX, PLAIN }, { "gnu.tar", GNU, PLAIN }, { "ustar.tar", USTAR, PLAIN }, { "z.zip", ZIP, PLAIN },
                  { "pax.tar.gz", PAX, GZIP }, { "gnu.tar.zst", GNU, ZSTD }, { "pax.tar.xz", PAX, XZ }, { "pax.tbz2", PAX, BZIP2 } };
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        fixture_write_archive(files[f].path, files[f].format, files[f].how, corpus);
        check(files[f].path);
    }
    assert_int_equal(access("../../etc/passwd.txt", F_OK), -1); /* nothing is extracted */
}

static void skipping_counts_the_same(void **state)
{
    (void)state;
    fixture_write_archive("skip.tar", PAX, PLAIN, corpus);
    const char *path = "skip.tar";
    for (size_t from = 0; from <= expected_count; from++) {
        mr_source *source;
        mr_record *record;
        assert_int_equal(mr_source_open(&(mr_source_options){ .paths = &path, .path_count = 1 }, &source, NULL), MR_OK);
        assert_int_equal(mr_source_skip_to(source, from, NULL), MR_OK);
        for (size_t i = from; i < expected_count; i++) {
            assert_int_equal(mr_source_next(source, &record, NULL), MR_OK);
            assert_text(record->text, expected[i].text);
            assert_int_equal(record->source_record, i);
            mr_record_free(record);
        }
        assert_int_equal(mr_source_next(source, &record, NULL), MR_END);
        mr_source_close(source);
    }
}

static void links(void **state)
{
    (void)state;
    const member members[] = { { .name = "a.jpg", .data = "JPG" }, { .name = "b.jpg", .hardlink = "a.jpg" }, { .name = "c.jpg", .data = "J" }, { 0 } };
    fixture_write_archive("links.tar", PAX, PLAIN, members);
    collected *all = fixture_collect_path("links.tar");
    assert_int_equal(all->count, 3);
    assert_contains(all->records[1]->error_text, "links.tar: member b.jpg: is a link");
    assert_text(all->records[2]->image, "J");
    fixture_collected_free(all);
}

static void large_members(void **state)
{
    (void)state;
    char *data = calloc(1, 100000);
    const member members[] = { { .name = "a.jpg", .data = data, .length = 100000 }, { .name = "b.jpg", .data = "J" }, { 0 } };
    fixture_write_archive("large.tar", PAX, GZIP, members);
    const char *path = "large.tar";
    collected *all = fixture_collect(&(mr_source_options){ .paths = &path, .path_count = 1, .max_record_bytes = 99999 });
    assert_int_equal(all->count, 2);
    assert_contains(all->records[0]->error_text, "large.tar: member a.jpg: has more than the 99999 bytes allowed");
    assert_text(all->records[1]->image, "J");
    fixture_collected_free(all);
    all = fixture_collect(&(mr_source_options){ .paths = &path, .path_count = 1, .max_unpacked_bytes = 50000 });
    assert_int_equal(all->end, MR_BAD_INPUT);
    assert_contains(all->error.text, "large.tar unpacks to more than");
    fixture_collected_free(all);
    free(data);
}

/* A zip file holds its members packed: nobody sees a bomb before it is unpacked. */
static void zip_bombs(void **state)
{
    (void)state;
    size_t length = 8 << 20;
    char *data = calloc(1, length);
    const member members[] = { { .name = "a.jsonl", .data = data, .length = length }, { .name = "b.txt", .data = "text" }, { 0 } };
    fixture_write_archive("bomb.zip", ZIP, PLAIN, members);
    const char *path = "bomb.zip";
    collected *all = fixture_collect(&(mr_source_options){ .paths = &path, .path_count = 1, .max_unpacked_bytes = 1 << 20 });
    assert_int_equal(all->end, MR_BAD_INPUT);
    assert_contains(all->error.text, "bomb.zip unpacks to more than the 1048576 bytes allowed");
    fixture_collected_free(all);
    all = fixture_collect(&(mr_source_options){ .paths = &path, .path_count = 1, .max_record_bytes = 1 << 20 });
    assert_int_equal(all->end, MR_END);
    assert_int_equal(all->count, 2);
    assert_contains(all->records[0]->error_text, "the line has 8388608 bytes");
    assert_text(all->records[1]->text, "text");
    fixture_collected_free(all);
    free(data);
}

/* Cut at every 97th byte: whole records first, then BAD_INPUT naming the file, or a clean end. */
static void cut_off_archives(void **state)
{
    (void)state;
    fixture_write_archive("whole.tar", PAX, PLAIN, corpus);
    size_t length;
    char *data = fixture_read("whole.tar", &length);
    size_t most = 0;
    for (size_t cut = 0; cut < length; cut += 97) {
        fixture_write("cut.tar", data, cut);
        collected *all = fixture_collect_path("cut.tar");
        assert_true(all->end == MR_END || all->end == MR_BAD_INPUT);
        if (all->end == MR_BAD_INPUT) assert_contains(all->error.text, "cut.tar");
        assert_true(all->count <= expected_count);
        for (size_t i = 0; i + 1 < all->count; i++) assert_text(all->records[i]->text, expected[i].text);
        if (all->count > most) most = all->count;
        fixture_collected_free(all);
    }
    assert_int_equal(most, expected_count);
    free(data);
}

static void useless_archives(void **state)
{
    (void)state;
    const member members[] = { { .name = "README.md", .data = "x" }, { 0 } };
    fixture_write_archive("useless.tar", PAX, PLAIN, members);
    collected *all = fixture_collect_path("useless.tar");
    assert_int_equal(all->end, MR_BAD_INPUT);
    assert_contains(all->error.text, "useless.tar holds no image, .txt, .json or .jsonl member");
    fixture_collected_free(all);
    fixture_write("not.zip", "this is no archive at all, just words", 37);
    all = fixture_collect_path("not.zip");
    assert_int_equal(all->end, MR_BAD_INPUT);
    assert_contains(all->error.text, "not.zip");
    fixture_collected_free(all);
}

int main(void)
{
    fixture_enter("source-archive");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format),  cmocka_unit_test(skipping_counts_the_same), cmocka_unit_test(links),
        cmocka_unit_test(large_members), cmocka_unit_test(cut_off_archives),         cmocka_unit_test(useless_archives),
        cmocka_unit_test(zip_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
