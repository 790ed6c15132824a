/* Several readers: the same records in the same order, whatever the number of readers and the room they have. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io_fixture.h"

static const char *const paths[] = { "many/*.jsonl", "dir", "one.txt.gz", "sample.tar", "empty.txt", "picture.png", "dir", "long.txt" };
#define PATHS (sizeof paths / sizeof *paths)

static void write_inputs(void)
{
    char name[64], data[256];
    mkdir("many", 0777);
    mkdir("dir", 0777);
    for (int file = 0; file < 60; file++) {
        mr_buf lines = { 0 };
        for (int i = 0; i < file % 7; i++) mr_buf_printf(&lines, i == 2 ? "bad\n" : "{\"text\":\"file %d line %d\"}\n", file, i);
        snprintf(name, sizeof name, "many/%02d.jsonl", file);
        fixture_write(name, lines.data ? lines.data : "", lines.length);
        mr_buf_fini(&lines);
        snprintf(name, sizeof name, "dir/%02d.txt", file);
        int length = snprintf(data, sizeof data, "text %d", file);
        fixture_write(name, data, (size_t)length);
    }
    mr_buf lines = { 0 };
    for (int i = 0; i < 1500; i++) mr_buf_printf(&lines, "line %d\n", i);
    fixture_write_packed("one.txt.gz", GZIP, lines.data, lines.length);
    fixture_write("long.txt", lines.data, lines.length);
    mr_buf_fini(&lines);
    const member members[] = { { .name = "a.png", .data = "A" }, { .name = "a.txt", .data = "caption" }, { .name = "b.png", .data = "B" }, { 0 } };
    fixture_write_archive("sample.tar", PAX, PLAIN, members);
    fixture_write("empty.txt", "", 0);
    fixture_write("picture.png", "PNG", 3);
}

static mr_source *open_source(size_t readers, size_t bytes)
{
    mr_source *source;
    mr_error error;
    const mr_source_options options = { .paths = paths, .path_count = PATHS, .readers = readers, .read_ahead_bytes = bytes };
    if (mr_source_open(&options, &source, &error) != MR_OK) fail_msg("%s", error.text);
    return source;
}

static void assert_same(const mr_record *got, const mr_record *expected)
{
    assert_true(mr_str_equal(got->id, expected->id));
    assert_true(mr_str_equal(got->text, expected->text));
    assert_true(mr_str_equal(got->image, expected->image));
    assert_int_equal(got->status, expected->status);
    assert_int_equal(got->ordinal, expected->ordinal);
    assert_int_equal(got->source_index, expected->source_index);
    assert_int_equal(got->source_record, expected->source_record);
}

static const size_t rooms[] = { 1, 2000, 1 << 20 };

static void the_same_records(void **state)
{
    (void)state;
    collected *all = fixture_collect(&(mr_source_options){ .paths = paths, .path_count = PATHS });
    assert_int_equal(all->end, MR_END);
    assert_true(all->count > 3200);
    for (size_t readers = 2; readers <= 5; readers++) {
        for (size_t room = 0; room < 3; room++) {
            mr_source *source = open_source(readers, rooms[room]);
            mr_record *record;
            uint64_t consumed, total;
            for (size_t i = 0; i < all->count; i++) {
                assert_int_equal(mr_source_next(source, &record, NULL), MR_OK);
                assert_same(record, all->records[i]);
                mr_record_free(record);
            }
            assert_int_equal(mr_source_next(source, &record, NULL), MR_END);
            mr_source_progress(source, &consumed, &total);
            assert_int_equal(consumed, total);
            mr_source_close(source);
        }
    }
    fixture_collected_free(all);
}

/* As shards do: some records, a jump, some records. */
static void the_same_records_between_jumps(void **state)
{
    (void)state;
    collected *all = fixture_collect(&(mr_source_options){ .paths = paths, .path_count = PATHS });
    static const size_t takes[] = { 1, 3, 40, 500 }, jumps[] = { 0, 1, 7, 90, 1700 };
    for (size_t t = 0; t < 4; t++) {
        for (size_t j = 0; j < 5; j++) {
            mr_source *source = open_source(3, rooms[(t + j) % 3]);
            uint64_t at = jumps[j];
            while (at < all->count) {
                assert_int_equal(mr_source_skip_to(source, at, NULL), MR_OK);
                for (size_t i = 0; i < takes[t] && at < all->count; i++, at++) {
                    mr_record *record;
                    assert_int_equal(mr_source_next(source, &record, NULL), MR_OK);
                    assert_same(record, all->records[at]);
                    mr_record_free(record);
                }
                at += jumps[j];
            }
            assert_int_equal(mr_source_skip_to(source, all->count + 1, NULL), MR_END);
            assert_int_equal(mr_source_position(source), all->count);
            mr_source_close(source);
        }
    }
    fixture_collected_free(all);
}

static void an_error_comes_in_its_turn(void **state)
{
    (void)state;
    const char *broken[] = { "long.txt", "cut.txt.gz", "many/*.jsonl" };
    size_t length;
    char *data = fixture_read("one.txt.gz", &length);
    fixture_write("cut.txt.gz", data, length / 2);
    free(data);
    for (size_t readers = 1; readers <= 4; readers++) {
        collected *all = fixture_collect(&(mr_source_options){ .paths = broken, .path_count = 3, .readers = readers });
        assert_int_equal(all->end, MR_BAD_INPUT);
        assert_contains(all->error.text, "cut.txt.gz: damaged or cut off");
        assert_true(all->count > 1500);
        assert_text(all->records[all->count - 1]->text, all->records[all->count - 1501]->text.data); /* the same lines again */
        fixture_collected_free(all);
    }
}

static void *stop_soon(void *source)
{
    usleep(50000);
    mr_source_stop(source);
    return NULL;
}

/* A pipe that gives nothing, and readers that wait for room: closing ends them all. */
static void a_stop_ends_every_wait(void **state)
{
    (void)state;
    assert_int_equal(mkfifo("pipe.jsonl", 0600), 0);
    const char *waiting[] = { "pipe.jsonl", "long.txt", "dir" };
    FILE *writer = fopen("pipe.jsonl", "r+"); /* both ends: open does not wait, read does */
    for (size_t readers = 1; readers <= 3; readers++) {
        mr_source *source;
        mr_record *record;
        pthread_t stopper;
        assert_int_equal(mr_source_open(&(mr_source_options){ .paths = waiting, .path_count = 3, .readers = readers, .read_ahead_bytes = 1 }, &source, NULL), MR_OK);
        assert_int_equal(pthread_create(&stopper, NULL, stop_soon, source), 0);
        assert_int_equal(mr_source_next(source, &record, NULL), MR_CANCELLED);
        pthread_join(stopper, NULL);
        mr_source_close(source);
    }
    fclose(writer);
    mr_source_close(open_source(4, 100)); /* never read from */
}

int main(void)
{
    fixture_enter("read-ahead");
    write_inputs();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_records),
        cmocka_unit_test(the_same_records_between_jumps),
        cmocka_unit_test(an_error_comes_in_its_turn),
        cmocka_unit_test(a_stop_ends_every_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
