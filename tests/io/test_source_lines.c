/* JSONL, text lines, stdin, compression, globs, skipping. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "io_fixture.h"

static void good_and_bad_lines(void **state)
{
    (void)state;
    static const char corpus[] =
        "\xEF\xBB\xBF{\"id\":\"a\",\"text\":\"x\"}\r\n"
        "\n"
        "  \t\r\n"
        "{\"_id\":5,\"content\":\"y\"}\n"
        "{\"id\":null,\"text\":3}\n"
        "nope\n"
        "{\"text\":\"\\ud800\"}\n"
        "[1]\n"
        "{\"id\":\"n\",\"text\":\"a\\u0000b\",\"big\":123456789012345678901234567890}\n"
        "{\"custom_id\":\"c\",\"method\":\"POST\",\"body\":{\"model\":\"m\",\"input\":[\"z\"]}}\n"
        "{\"id\":\"u\",\"text\":\"\xff\"}\n"
        "{\"id\":\"m\"}\n"
        "{\"id\":1.5,\"text\":\"t\"}\n"
        "{\"custom_id\":\"d\",\"body\":{\"input\":[\"p\",\"q\"]}}\n"
        "{\"id\":\"\",\"text\":\"last\"}";
    fixture_write("c.jsonl", corpus, sizeof corpus - 1);
    collected *all = fixture_collect_path("c.jsonl");
    assert_int_equal(all->end, MR_END);
    static const struct {
        const char *id, *text, *reason;
    } expected[] = {
        { "a", "x", NULL },
        { "5", "y", NULL },
        { "c.jsonl#5", "", "c.jsonl:5: \"text\" is a number, not a string" },
        { "c.jsonl#6", "", "c.jsonl:6: not JSON" },
        { "c.jsonl#7", "", "c.jsonl:7: not JSON: invalid Unicode" },
        { "c.jsonl#8", "", "c.jsonl:8: the line is an array" },
        { "n", NULL, NULL },
        { "c/0", "z", NULL },
        { "c.jsonl#11", "", "c.jsonl:11: invalid UTF-8 at byte 18" },
        { "m", "", "c.jsonl:12: no \"text\" field" },
        { "c.jsonl#13", "", "c.jsonl:13: the id \"id\" is a number" },
        { "d/0", "p", NULL },
        { "d/1", "q", NULL },
        { "c.jsonl#15", "last", NULL },
    };
    assert_int_equal(all->count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < all->count; i++) {
        const mr_record *record = all->records[i];
        assert_text(record->id, expected[i].id);
        if (expected[i].text) assert_text(record->text, expected[i].text);
        assert_int_equal(record->status, expected[i].reason ? MR_BAD_RECORD : MR_OK);
        assert_int_equal(record->source_record, i);
        if (expected[i].reason) assert_contains(record->error_text, expected[i].reason);
        else assert_null(record->error_text);
        assert_true(mr_record_bytes(record) >= record->id.length + record->text.length);
    }
    assert_int_equal(all->records[6]->text.length, 3); /* U+0000 is kept */
    assert_memory_equal(all->records[6]->text.data, "a\0b", 3);
    fixture_collected_free(all);
}

static void chats_and_batches(void **state)
{
    (void)state;
    static const char corpus[] =
        "{\"id\":\"a\",\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Hi\"}]}\n"
        "{\"custom_id\":\"b\",\"body\":{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},{\"type\":\"text\",\"text\":\"two\"}]}]}}\n"
        "{\"id\":\"c\",\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]},{\"role\":\"tool\",\"content\":\"4\"}]}\n"
        "{\"id\":\"d\",\"messages\":[{\"role\":\"robot\",\"content\":\"x\"}]}\n"
        "{\"id\":\"e\",\"messages\":[{\"role\":\"user\"}]}\n"
        "{\"id\":\"f\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}\n"
        "{\"id\":\"g\",\"messages\":[]}\n"
        "{\"id\":\"h\",\"text\":\"wins\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}\n"
        "{\"custom_id\":\"i\",\"body\":{\"input\":\"single\"}}\n"
        "{\"custom_id\":\"j\",\"body\":{\"input\":[\"p\",\"\",\"r\"]}}\n"
        "{\"custom_id\":\"k\",\"body\":{\"input\":[1,2]}}\n"
        "{\"custom_id\":\"l\",\"body\":{\"input\":[]}}\n"
        "{\"custom_id\":\"m\",\"body\":{\"prompt\":\"x\"}}\n"
        "{\"custom\\u005fid\":\"n\",\"body\":{\"input\":[\"p\",\"q\"]}}\n"
        "{\"id\":\"o\",\"text\":[\"p\"]}\n";
    static const struct {
        const char *id, *text, *reason;
    } expected[] = {
        { "a", "system: Be brief.\nuser: Hi", NULL },
        { "b", "user: one\ntwo", NULL },
        { "c", "assistant:\ntool: 4", NULL },
        { "d", "", "messages[0] has the role \"robot\"" },
        { "e", "", "messages[0] has no content" },
        { "f", "", "messages[0]: part 0 of its content is not a text but image_url" },
        { "g", "", "\"messages\" is an array, not a string" },
        { "h", "wins", NULL },
        { "i", "single", NULL },
        { "j/0", "p", NULL },
        { "j/1", "", NULL },
        { "j/2", "r", NULL },
        { "k", "", "\"body.input\"[0] is a number, not a string" },
        { "l", "", "\"body.input\" is an empty array" },
        { "m", "", "no \"body.input\" field (nor body.messages)" },
        { "n", "", "\"body.input\" is an array, not a string" }, /* an escaped name: no array, or passing over lines would count others */
        { "o", "", "\"text\" is an array, not a string" },
    };
    const size_t count = sizeof expected / sizeof *expected;
    fixture_write("chat.jsonl", corpus, sizeof corpus - 1);
    collected *all = fixture_collect_path("chat.jsonl");
    assert_int_equal(all->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_text(all->records[i]->id, expected[i].id);
        assert_text(all->records[i]->text, expected[i].text);
        if (expected[i].reason) assert_contains(all->records[i]->error_text, expected[i].reason);
        else assert_null(all->records[i]->error_text);
    }
    assert_text(all->records[0]->messages, "[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Hi\"}]");
    assert_int_equal(all->records[7]->messages.length, 0);
    fixture_collected_free(all);
    const char *path = "chat.jsonl";
    for (uint64_t from = 0; from <= count; from++) { /* passing over lines counts the same, also from within an array */
        mr_source *source;
        mr_record *record;
        assert_int_equal(mr_source_open(&(mr_source_options){ .paths = &path, .path_count = 1 }, &source, NULL), MR_OK);
        assert_int_equal(mr_source_skip_to(source, from / 2, NULL), MR_OK);
        assert_int_equal(mr_source_next(source, &record, NULL), MR_OK);
        mr_record_free(record);
        if (from > from / 2) assert_int_equal(mr_source_skip_to(source, from, NULL), MR_OK);
        if (from > from / 2 && from < count) {
            assert_int_equal(mr_source_next(source, &record, NULL), MR_OK);
            assert_text(record->id, expected[from].id);
            mr_record_free(record);
        }
        mr_source_close(source);
    }
}

static void chosen_fields(void **state)
{
    (void)state;
    static const char corpus[] = "{\"k\":\"a\",\"deep\":{\"t\":\"one\"},\"text\":\"no\"}\n{\"k\":\"b\",\"deep.t\":\"two\"}\n{\"k\":\"c\",\"deep\":3}\n";
    fixture_write("f.ndjson", corpus, sizeof corpus - 1);
    const char *path = "f.ndjson";
    const mr_source_options options = { .paths = &path, .path_count = 1, .text_field = "deep.t", .id_field = "k" };
    collected *all = fixture_collect(&options);
    assert_int_equal(all->count, 3);
    assert_text(all->records[0]->text, "one");
    assert_text(all->records[0]->id, "a");
    assert_text(all->records[1]->text, "two");
    assert_int_equal(all->records[2]->status, MR_BAD_RECORD);
    assert_contains(all->records[2]->error_text, "f.ndjson:3: the field \"deep.t\" is missing");
    fixture_collected_free(all);
}

static void text_lines(void **state)
{
    (void)state;
    static const char corpus[] = "one\r\n\n  two\nbad \xC3\x28\nlast";
    fixture_write("t.txt", corpus, sizeof corpus - 1);
    collected *all = fixture_collect_path("t.txt");
    assert_int_equal(all->count, 5);
    assert_text(all->records[0]->text, "one");
    assert_text(all->records[1]->text, "");
    assert_int_equal(all->records[1]->status, MR_OK);
    assert_text(all->records[2]->text, "  two");
    assert_contains(all->records[3]->error_text, "t.txt:4: invalid UTF-8 at byte 4");
    assert_text(all->records[4]->id, "t.txt#5");
    fixture_collected_free(all);
    fixture_write("empty.txt", "", 0);
    all = fixture_collect_path("empty.txt");
    assert_int_equal(all->count, 0);
    assert_int_equal(all->end, MR_END);
    fixture_collected_free(all);
}

static void too_long_lines(void **state)
{
    (void)state;
    size_t length = 3 << 20;
    char *corpus = malloc(length + 200);
    size_t at = (size_t)sprintf(corpus, "{\"text\":\"first\"}\n{\"text\":\"");
    memset(corpus + at, 'x', length);
    at += length;
    at += (size_t)sprintf(corpus + at, "\"}\n{\"text\":\"12345678901\"}\n{\"text\":\"123456789\"}\r\n{\"text\":\"last\"}\n");
    fixture_write_packed("long.jsonl.gz", GZIP, corpus, at);
    const char *path = "long.jsonl.gz";
    const mr_source_options options = { .paths = &path, .path_count = 1, .max_record_bytes = 20 };
    collected *all = fixture_collect(&options);
    assert_int_equal(all->count, 5);
    assert_contains(all->records[1]->error_text, "long.jsonl.gz:2: the line has 3145739 bytes, more than the 20 allowed");
    assert_contains(all->records[2]->error_text, "the line has 22 bytes"); /* one block holds it, still refused */
    assert_text(all->records[3]->text, "123456789"); /* 20 bytes without its end */
    assert_text(all->records[4]->text, "last");
    fixture_collected_free(all);
    free(corpus);
}

/* A line of brackets must not cost fifty times its length. */
static void too_many_values(void **state)
{
    (void)state;
    size_t pairs = 1200000;
    char *corpus = malloc(2 * pairs + 64);
    size_t at = (size_t)sprintf(corpus, "{\"text\":\"x\",\"v\":[0");
    for (size_t i = 0; i < pairs; i++) memcpy(corpus + at + 2 * i, ",1", 2);
    at += 2 * pairs;
    at += (size_t)sprintf(corpus + at, "]}\n");
    fixture_write("values.jsonl", corpus, at);
    collected *all = fixture_collect_path("values.jsonl");
    assert_int_equal(all->count, 1);
    assert_contains(all->records[0]->error_text, "more than 1000000 values");
    fixture_collected_free(all);
    free(corpus);
}

static void every_compression(void **state)
{
    (void)state;
    mr_buf corpus = { 0 };
    for (int i = 0; i < 3000; i++) mr_buf_printf(&corpus, "{\"id\":\"r%d\",\"text\":\"text number %d\"}\n", i, i * 7919);
    static const struct {
        const char *path;
        packing how;
    } files[] = { { "p.jsonl", PLAIN }, { "p.jsonl.gz", GZIP }, { "p.jsonl.zst", ZSTD }, { "p.jsonl.xz", XZ }, { "p.jsonl.bz2", BZIP2 } };
    for (size_t f = 0; f < 5; f++) {
        fixture_write_packed(files[f].path, files[f].how, corpus.data, corpus.length);
        collected *all = fixture_collect_path(files[f].path);
        assert_int_equal(all->end, MR_END);
        assert_int_equal(all->count, 3000);
        for (int i = 0; i < 3000; i++) {
            char text[64];
            snprintf(text, sizeof text, "text number %d", i * 7919);
            assert_text(all->records[i]->text, text);
        }
        fixture_collected_free(all);
    }
    mr_buf_fini(&corpus);
}

/* Random hexadecimal digits, which shrink to half: 2,980 lines of about 1,000 bytes. */
static void make_corpus(mr_buf *corpus)
{
    unsigned random = 1;
    while (corpus->length < (3u << 20)) {
        mr_buf_append_str(corpus, "{\"text\":\"");
        char digits[1001] = "";
        for (int i = 0; i < 1000; i++) digits[i] = "0123456789abcdef"[(random = random * 1103515245u + 12345u) >> 28];
        mr_buf_append(corpus, digits, 1000);
        mr_buf_append_str(corpus, "\"}\n");
    }
}

/* Rows before the damage, all of them good; then the error. */
static size_t count_before_damage(const char *path)
{
    collected *all = fixture_collect_path(path);
    size_t count = all->count;
    assert_int_equal(all->end, MR_BAD_INPUT);
    assert_contains(all->error.text, path);
    for (size_t i = 0; i < all->count; i++) assert_int_equal(all->records[i]->status, MR_OK);
    fixture_collected_free(all);
    return count;
}

static void cut_off_streams(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        packing how;
        size_t least; /* of the 2,235 lines in three quarters: the formats' blocks are 128 KiB and 900 kB */
    } files[] = { { "cut.jsonl.zst", ZSTD, 2050 }, { "cut.jsonl.xz", XZ, 2200 }, { "cut.jsonl.bz2", BZIP2, 1500 } };
    mr_buf corpus = { 0 };
    make_corpus(&corpus);
    for (size_t f = 0; f < 3; f++) {
        size_t length;
        fixture_write_packed(files[f].path, files[f].how, corpus.data, corpus.length);
        free(fixture_read(files[f].path, &length));
        fixture_truncate(files[f].path, (long)(length * 3 / 4));
        assert_true(count_before_damage(files[f].path) >= files[f].least);
    }
    mr_buf_fini(&corpus);
}

static size_t count_lines_zlib_finds(const char *data, size_t length)
{
    static char out[4 << 20];
    z_stream zlib = { .next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)length, .next_out = (Bytef *)out, .avail_out = sizeof out };
    assert_int_equal(inflateInit2(&zlib, 16 + MAX_WBITS), Z_OK);
    inflate(&zlib, Z_SYNC_FLUSH);
    size_t lines = 0;
    for (uLong i = 0; i < zlib.total_out; i++) lines += out[i] == '\n';
    inflateEnd(&zlib);
    return lines;
}

/* gzip's blocks are small and it has no frames: not one line that zlib can find is lost. */
static void cut_off_gzip_to_the_last_line(void **state)
{
    (void)state;
    mr_buf corpus = { 0 };
    make_corpus(&corpus);
    fixture_write_packed("last.jsonl.gz", GZIP, corpus.data, corpus.length);
    size_t length;
    char *data = fixture_read("last.jsonl.gz", &length);
    for (size_t cut = 20; cut < length; cut += length / 7) {
        fixture_write("last.jsonl.gz", data, cut);
        assert_int_equal(count_before_damage("last.jsonl.gz"), count_lines_zlib_finds(data, cut));
    }
    free(data);
    mr_buf_fini(&corpus);
}

static void streams_that_follow_one_another(void **state)
{
    (void)state;
    static const packing how[] = { GZIP, ZSTD, XZ, BZIP2 };
    for (size_t f = 0; f < 4; f++) {
        size_t first, second;
        fixture_write_packed("one.gz", how[f], "{\"text\":\"a\"}\n", 13);
        fixture_write_packed("two.gz", how[f], "{\"text\":\"b\"}\n", 13);
        char *one = fixture_read("one.gz", &first), *two = fixture_read("two.gz", &second);
        char both[512] = { 0 };
        memcpy(both, one, first);
        memcpy(both + first, two, second);
        size_t padding = how[f] == GZIP || how[f] == XZ ? 8 : 0; /* zeros behind, as on tapes */
        fixture_write("both.jsonl.gz", both, first + second + padding);
        collected *all = fixture_collect_path("both.jsonl.gz");
        assert_int_equal(all->end, MR_END);
        assert_int_equal(all->count, 2);
        assert_text(all->records[1]->text, "b");
        fixture_collected_free(all);
        free(one);
        free(two);
    }
}

static void bombs(void **state)
{
    (void)state;
    size_t length = 8 << 20;
    char *zeros = calloc(1, length);
    fixture_write_packed("bomb.txt.gz", GZIP, zeros, length);
    const char *path = "bomb.txt.gz";
    const mr_source_options options = { .paths = &path, .path_count = 1, .max_unpacked_bytes = 1 << 20 };
    collected *all = fixture_collect(&options);
    assert_int_equal(all->end, MR_BAD_INPUT);
    assert_contains(all->error.text, "bomb.txt.gz unpacks to more than the 1048576 bytes allowed");
    fixture_collected_free(all);
    size_t packed_length;
    char *data = fixture_read("bomb.txt.gz", &packed_length);
    for (int i = 0; i < 3; i++) {
        fixture_write_packed("nested.txt.gz", GZIP, data, packed_length);
        free(data);
        data = fixture_read("nested.txt.gz", &packed_length);
    }
    all = fixture_collect_path("nested.txt.gz");
    assert_int_equal(all->end, MR_BAD_INPUT);
    assert_contains(all->error.text, "nested.txt.gz is compressed more than twice over");
    fixture_collected_free(all);
    free(data);
    free(zeros);
}

static void globs_and_order(void **state)
{
    (void)state;
    fixture_write("g2.txt", "b\n", 2);
    fixture_write("g10.txt", "a\n", 2);
    fixture_write("[x].txt", "c\n", 2);
    const char *paths[] = { "g*.txt", "[x].txt", "g2.txt" };
    const mr_source_options options = { .paths = paths, .path_count = 3 };
    collected *all = fixture_collect(&options);
    assert_int_equal(all->count, 4);
    assert_text(all->records[0]->id, "g10.txt#1");
    assert_text(all->records[1]->id, "g2.txt#1");
    assert_text(all->records[2]->id, "[x].txt#1"); /* a file of that very name is no pattern */
    assert_int_equal(all->records[3]->source_index, 3);
    fixture_collected_free(all);
    mr_source *source;
    mr_error error;
    const char *missing = "none*.txt";
    assert_int_equal(mr_source_open(&(mr_source_options){ .paths = &missing, .path_count = 1 }, &source, &error), MR_NO_INPUT);
    assert_contains(error.text, "none*.txt");
    missing = "none.jsonl";
    assert_int_equal(mr_source_open(&(mr_source_options){ .paths = &missing, .path_count = 1 }, &source, &error), MR_NO_INPUT);
    missing = "none.pdf";
    fixture_write("none.pdf", "x", 1);
    assert_int_equal(mr_source_open(&(mr_source_options){ .paths = &missing, .path_count = 1 }, &source, &error), MR_BAD_INPUT);
    assert_contains(error.text, "none.pdf: unknown kind");
    assert_int_equal(mr_source_open(&(mr_source_options){ .path_count = 0 }, &source, &error), MR_NO_INPUT);
}

static void limits_and_skips(void **state)
{
    (void)state;
    fixture_write("s1.jsonl", "{\"text\":\"0\"}\n\n{\"text\":\"1\"}\nbad\n", 31);
    fixture_write("s2.txt", "3\n\n5\n6", 7);
    const char *paths[] = { "s1.jsonl", "s2.txt" };
    collected *all = fixture_collect(&(mr_source_options){ .paths = paths, .path_count = 2 });
    assert_int_equal(all->count, 7);
    for (uint64_t from = 0; from <= 8; from++) {
        mr_source *source;
        mr_record *record;
        assert_int_equal(mr_source_open(&(mr_source_options){ .paths = paths, .path_count = 2, .limit = 6 }, &source, NULL), MR_OK);
        assert_int_equal(mr_source_skip_to(source, from, NULL), from <= 6 ? MR_OK : MR_END);
        assert_int_equal(mr_source_position(source), from < 6 ? from : 6);
        if (from > 0 && from <= 6) assert_int_equal(mr_source_skip_to(source, from - 1, NULL), MR_INVALID_ARGUMENT);
        for (uint64_t i = from; i < 6; i++) {
            assert_int_equal(mr_source_next(source, &record, NULL), MR_OK);
            assert_int_equal(record->ordinal, i);
            assert_true(mr_str_equal(record->id, all->records[i]->id));
            assert_true(mr_str_equal(record->text, all->records[i]->text));
            assert_int_equal(record->source_record, all->records[i]->source_record);
            assert_int_equal(record->source_index, all->records[i]->source_index);
            mr_record_free(record);
        }
        assert_int_equal(mr_source_next(source, &record, NULL), MR_END);
        mr_source_close(source);
    }
    fixture_collected_free(all);
}

static void read_stdin(const char *data, size_t length, collected **all)
{
    fixture_write("in", data, length);
    int kept = dup(STDIN_FILENO), file = open("in", O_RDONLY);
    dup2(file, STDIN_FILENO);
    *all = fixture_collect_path("-");
    dup2(kept, STDIN_FILENO);
    close(kept);
    close(file);
}

static void standard_input(void **state)
{
    (void)state;
    collected *all;
    read_stdin(" \n{\"text\":\"x\"}\n", 15, &all);
    assert_int_equal(all->count, 1);
    assert_text(all->records[0]->text, "x");
    assert_text(all->records[0]->id, "-#2");
    fixture_collected_free(all);
    read_stdin("plain\ntext", 10, &all);
    assert_int_equal(all->count, 2);
    assert_text(all->records[1]->text, "text");
    fixture_collected_free(all);
    size_t length;
    fixture_write_packed("in.gz", GZIP, "{\"text\":\"packed\"}", 17);
    char *packed = fixture_read("in.gz", &length);
    read_stdin(packed, length, &all);
    assert_int_equal(all->count, 1);
    assert_text(all->records[0]->text, "packed");
    fixture_collected_free(all);
    free(packed);
    mr_source *source;
    char hex[65];
    const char *path = "-";
    assert_int_equal(mr_source_open(&(mr_source_options){ .paths = &path, .path_count = 1 }, &source, NULL), MR_OK);
    assert_int_equal(mr_source_digest(source, NULL, hex, NULL), MR_OK);
    assert_string_equal(hex, "stdin");
    mr_source_close(source);
}

static void digest_of(const char *const *paths, size_t count, char hex[65])
{
    mr_source *source;
    assert_int_equal(mr_source_open(&(mr_source_options){ .paths = paths, .path_count = count }, &source, NULL), MR_OK);
    assert_int_equal(mr_source_digest(source, NULL, hex, NULL), MR_OK);
    mr_source_close(source);
}

static void digests(void **state)
{
    (void)state;
    const char *one[] = { "d1.txt", "d2.txt" }, *swapped[] = { "d2.txt", "d1.txt" };
    char first[65], again[65], other[65];
    fixture_write("d1.txt", "a\n", 2);
    fixture_write("d2.txt", "b\n", 2);
    digest_of(one, 2, first);
    digest_of(one, 2, again);
    assert_string_equal(first, again);
    digest_of(swapped, 2, other);
    assert_string_not_equal(first, other);
    fixture_write("d2.txt", "c\n", 2);
    digest_of(one, 2, other);
    assert_string_not_equal(first, other);
}

static void inputs_that_change(void **state)
{
    (void)state;
    const char *path = "growing.txt";
    mr_source *source;
    mr_record *record;
    mr_error error;
    fixture_write(path, "a\nb\n", 4);
    assert_int_equal(mr_source_open(&(mr_source_options){ .paths = &path, .path_count = 1 }, &source, NULL), MR_OK);
    assert_int_equal(mr_source_next(source, &record, NULL), MR_OK);
    mr_record_free(record);
    fixture_write(path, "a\nb\nc\n", 6);
    mr_status status;
    while ((status = mr_source_next(source, &record, &error)) == MR_OK) mr_record_free(record);
    assert_int_equal(status, MR_BAD_INPUT);
    assert_contains(error.text, "growing.txt was changed while it was read");
    assert_int_equal(mr_source_next(source, &record, &error), MR_BAD_INPUT);
    mr_source_close(source);
    assert_int_equal(mr_source_open(&(mr_source_options){ .paths = &path, .path_count = 1 }, &source, NULL), MR_OK);
    assert_int_equal(mr_source_next(source, &record, NULL), MR_OK);
    mr_record_free(record);
    unlink(path); /* what was opened can be read to its end */
    while ((status = mr_source_next(source, &record, &error)) == MR_OK) mr_record_free(record);
    assert_int_equal(status, MR_END);
    mr_source_close(source);
}

static void progress_reaches_total(void **state)
{
    (void)state;
    fixture_write("q.txt", "a\nb\n", 4);
    fixture_write_packed("q.txt.xz", XZ, "a\nb\n", 4);
    const char *paths[] = { "q.txt", "q.txt.xz" };
    mr_source *source;
    mr_record *record;
    uint64_t consumed, total;
    assert_int_equal(mr_source_open(&(mr_source_options){ .paths = paths, .path_count = 2 }, &source, NULL), MR_OK);
    mr_source_progress(source, &consumed, &total);
    assert_int_equal(consumed, 0);
    while (mr_source_next(source, &record, NULL) == MR_OK) mr_record_free(record);
    mr_source_progress(source, &consumed, &total);
    assert_true(total > 4);
    assert_int_equal(consumed, total);
    mr_source_close(source);
}

int main(void)
{
    fixture_enter("source-lines");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_and_bad_lines), cmocka_unit_test(chats_and_batches), cmocka_unit_test(chosen_fields),    cmocka_unit_test(text_lines),
        cmocka_unit_test(too_long_lines),     cmocka_unit_test(too_many_values),  cmocka_unit_test(every_compression),
        cmocka_unit_test(cut_off_streams),    cmocka_unit_test(cut_off_gzip_to_the_last_line),
        cmocka_unit_test(streams_that_follow_one_another),
        cmocka_unit_test(bombs),              cmocka_unit_test(globs_and_order),
        cmocka_unit_test(limits_and_skips),   cmocka_unit_test(standard_input),   cmocka_unit_test(digests),
        cmocka_unit_test(inputs_that_change), cmocka_unit_test(progress_reaches_total),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
