#include "tests/cm.h"

#include <errno.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"

static void status_list_is_consistent(void **state)
{
    (void)state;
    assert_string_equal(mr_status_name(MR_MODEL_CORRUPT), "MODEL_CORRUPT");
    assert_string_equal(mr_status_text(MR_TIMEOUT), "timed out");
    assert_int_equal(mr_status_exit_code(MR_INCOMPLETE), 75);
    assert_int_equal(mr_status_exit_code(MR_RECORDS_FAILED), 3);
    assert_int_equal(mr_status_exit_code((mr_status)999), 70);
    assert_string_equal(mr_status_name((mr_status)999), "UNKNOWN");
}

static void error_text_and_prefix(void **state)
{
    (void)state;
    mr_error error;
    assert_int_equal(mr_error_set(&error, MR_IO, "a %d", 7), MR_IO);
    mr_error_prefix(&error, MR_IO, "while %s", "reading");
    assert_string_equal(error.text, "while reading: a 7");
    assert_int_equal(mr_error_set(NULL, MR_IO, "nobody listens"), MR_IO);
    assert_int_equal(mr_error_errno(&error, ENOSPC, "write x"), MR_NO_SPACE);
    assert_non_null(strstr(error.text, "write x: "));
    char longer[4000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    mr_error_set(&error, MR_IO, "%s", longer);
    assert_int_equal(strlen(error.text), MR_ERROR_TEXT_MAX - 1);
}

static void checked_arithmetic(void **state)
{
    (void)state;
    size_t out = 17;
    assert_true(mr_checked_mul(3, 5, &out) && out == 15);
    assert_false(mr_checked_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_int_equal(out, 15);
    assert_true(mr_checked_mul(0, SIZE_MAX, &out) && out == 0);
    assert_false(mr_checked_add(SIZE_MAX, 1, &out));
    assert_true(mr_checked_align(65, 64, &out) && out == 128);
    assert_false(mr_checked_align(SIZE_MAX - 3, 64, &out));
}

static void memory_is_counted_by_tag(void **state)
{
    (void)state;
    size_t before = mr_mem_used(MR_MEM_RECORDS);
    void *a = mr_mem_alloc(1000, MR_MEM_RECORDS);
    assert_int_equal((uintptr_t)a % MR_MEM_ALIGNMENT, 0);
    a = mr_mem_realloc(a, 5000, MR_MEM_RECORDS);
    assert_int_equal(mr_mem_used(MR_MEM_RECORDS) - before, 5000);
    mr_mem_free(a);
    assert_int_equal(mr_mem_used(MR_MEM_RECORDS), before);
    assert_null(mr_mem_alloc(SIZE_MAX - 10, MR_MEM_OTHER));
    assert_null(mr_mem_alloc_array(SIZE_MAX / 2, 4, MR_MEM_OTHER));
    assert_true(mr_mem_rss() > 0 && mr_mem_peak_rss() >= mr_mem_rss() / 2);
}

static void arena_bounds(void **state)
{
    (void)state;
    mr_arena *arena;
    assert_int_equal(mr_arena_create(mr_arena_bytes_needed(200, 2), MR_MEM_SCRATCH, &arena, NULL), MR_OK);
    char *a = mr_arena_alloc(arena, 100), *b = mr_arena_alloc(arena, 100);
    assert_non_null(a);
    assert_int_equal((uintptr_t)b % MR_MEM_ALIGNMENT, 0);
    assert_null(mr_arena_alloc(arena, 100000));
    assert_null(mr_arena_alloc(arena, SIZE_MAX));
    memset(a, 1, 100);
    memset(b, 1, 100);
    assert_true(mr_arena_check(arena));
    mr_arena_reset(arena);
    assert_ptr_equal(mr_arena_alloc(arena, 100), a);
    mr_arena_destroy(arena);
}

static void arena_gives_its_pages_back(void **state)
{
    (void)state;
    enum { BYTES = 16 << 20 };
    mr_arena *arena;
    assert_int_equal(mr_arena_create(mr_arena_bytes_needed(BYTES, 1), MR_MEM_SCRATCH, &arena, NULL), MR_OK);
    memset(mr_arena_alloc(arena, BYTES), 1, BYTES);
    const uint64_t full = mr_mem_rss();
    mr_arena_give_back(arena);
    assert_true(mr_mem_rss() < full - BYTES / 2);
    memset(mr_arena_alloc(arena, BYTES), 1, BYTES);
    assert_true(mr_arena_check(arena));
    mr_arena_destroy(arena);
}

static void utf8_check_finds_the_first_bad_byte(void **state)
{
    (void)state;
    static const struct { const char *bytes; size_t length, bad; } cases[] = {
        { "plain ascii, longer than eight", 30, 30 }, { "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9, 9 },
        { "ab\xC0\x80", 4, 2 },  { "12345678\xFFz", 10, 8 }, { "\xE0\x80\x80", 3, 0 }, { "\xED\xA0\x80", 3, 0 },
        { "a\xF4\x90\x80\x80", 5, 1 }, { "a\xE2\x82", 3, 1 }, { "\0x", 2, 2 }, { "", 0, 0 }, { "\x80", 1, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(mr_utf8_check(cases[i].bytes, cases[i].length), cases[i].bad);
}

/* Table 3-7 of the Unicode standard: ranges of each byte. */
static bool is_sequence(const unsigned char *s, size_t length)
{
    static const unsigned char rows[][8] = {
        { 0x00, 0x7F }, { 0xC2, 0xDF, 0x80, 0xBF }, { 0xE0, 0xE0, 0xA0, 0xBF, 0x80, 0xBF }, { 0xE1, 0xEC, 0x80, 0xBF, 0x80, 0xBF },
        { 0xED, 0xED, 0x80, 0x9F, 0x80, 0xBF }, { 0xEE, 0xEF, 0x80, 0xBF, 0x80, 0xBF }, { 0xF0, 0xF0, 0x90, 0xBF, 0x80, 0xBF, 0x80, 0xBF },
        { 0xF1, 0xF3, 0x80, 0xBF, 0x80, 0xBF, 0x80, 0xBF }, { 0xF4, 0xF4, 0x80, 0x8F, 0x80, 0xBF, 0x80, 0xBF },
    };
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        size_t i = 0;
        while (i < 4 && (i == 0 || rows[row][2 * i]) && i < length && s[i] >= rows[row][2 * i] && s[i] <= rows[row][2 * i + 1]) i++;
        if (i == length && (i == 4 || !rows[row][2 * i])) return true;
    }
    return false;
}

/* Every sequence of bytes that decide, at every place of the blocks in which long texts are looked at. */
static void utf8_check_is_the_same_at_every_place(void **state)
{
    (void)state;
    static const unsigned char deciding[] = { 'a', 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF };
    enum { COUNT = sizeof deciding, LENGTH = 150 };
    for (size_t at = 56; at < 70; at++) {
        for (size_t n = 0; n < COUNT * COUNT * COUNT * COUNT; n++) {
            unsigned char text[LENGTH];
            const unsigned char four[4] = { deciding[n / (COUNT * COUNT * COUNT)], deciding[n / (COUNT * COUNT) % COUNT], deciding[n / COUNT % COUNT], deciding[n % COUNT] };
            memset(text, ' ', LENGTH);
            text[0] = n & 1 ? 0xC3 : ' '; /* in a block of ASCII, and in another */
            text[1] = n & 1 ? 0xA9 : ' ';
            memcpy(text + at, four, 4);
            size_t good = 0;
            while (good < 4) {
                size_t length = 1;
                while (length < 4 - good && !is_sequence(four + good, length)) length++;
                if (!is_sequence(four + good, length)) break;
                good += length;
            }
            size_t expected = good == 4 ? LENGTH : at + good;
            if (mr_utf8_check((const char *)text, LENGTH) != expected) fail_msg("%02X %02X %02X %02X at %zu", four[0], four[1], four[2], four[3], at);
        }
    }
}

static void byte_sizes(void **state)
{
    (void)state;
    uint64_t bytes;
    char text[16];
    assert_true(mr_str_parse_bytes("300M", &bytes) && bytes == 300u << 20);
    assert_true(mr_str_parse_bytes("1.5GiB", &bytes) && bytes == 3ull << 29);
    assert_true(mr_str_parse_bytes("8gb", &bytes) && bytes == 8ull << 30);
    assert_true(mr_str_parse_bytes("4096", &bytes) && bytes == 4096);
    assert_false(mr_str_parse_bytes("", &bytes));
    assert_false(mr_str_parse_bytes("M", &bytes));
    assert_false(mr_str_parse_bytes("-3M", &bytes));
    assert_false(mr_str_parse_bytes("3X", &bytes));
    assert_false(mr_str_parse_bytes("99999999T", &bytes));
    assert_string_equal(mr_str_bytes(text, 1536), "1.5 KiB");
    assert_string_equal(mr_str_bytes(text, 12), "12 B");
}

static void nearest_word(void **state)
{
    (void)state;
    const char *words[] = { "embedding.dim", "embedding.prompt", "input.text_field" };
    assert_string_equal(mr_str_nearest("input.text_feild", words, 3), "input.text_field");
    assert_null(mr_str_nearest("zzz", words, 3));
}

static void buffers_and_files(void **state)
{
    (void)state;
    mr_buf buffer = { 0 };
    assert_true(mr_buf_append(&buffer, "a\0b", 3) && mr_buf_printf(&buffer, "%d", 42));
    assert_int_equal(buffer.length, 5);
    mr_buf_fini(&buffer);

    mr_error error;
    char *data, hex[MR_SHA256_HEX];
    size_t length;
    const char *path = MR_TEST_TMP "/core-file";
    FILE *file = fopen(path, "w");
    fputs("abc", file);
    fclose(file);
    assert_int_equal(mr_file_read(path, 10, &data, &length, &error), MR_OK);
    assert_int_equal(length, 3);
    free(data);
    assert_int_equal(mr_file_read(path, 2, &data, &length, &error), MR_BAD_INPUT);
    assert_int_equal(mr_file_read(MR_TEST_TMP "/absent", 2, &data, &length, &error), MR_NO_INPUT);
    assert_int_equal(mr_file_read(MR_TEST_TMP, 2, &data, &length, &error), MR_BAD_INPUT);
    assert_int_equal(mr_sha256_file(path, hex, &error), MR_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    mr_mapping mapping;
    assert_int_equal(mr_file_map(path, &mapping, &error), MR_OK);
    assert_memory_equal(mapping.data, "abc", 3);
    mr_file_unmap(&mapping);
    assert_int_equal(mr_path_make_directories(MR_TEST_TMP "/x/y/z", &error), MR_OK);
    assert_true(mr_path_is_directory(MR_TEST_TMP "/x/y/z"));
    assert_int_equal(mr_path_make_directories(MR_TEST_TMP "/core-file/y", &error), MR_CANNOT_CREATE);
    char *joined = mr_path_join("a/", "b");
    assert_string_equal(joined, "a/b");
    free(joined);
}

static void json_members_are_typed(void **state)
{
    (void)state;
    mr_error error;
    size_t size;
    const char *text;
    bool flag;
    double number;
    json_t *object = json_loads("{\"n\":3,\"neg\":-1,\"s\":\"x\",\"b\":true,\"null\":null,\"z\":\"a\\u0000b\"}", JSON_ALLOW_NUL, NULL);
    assert_int_equal(mr_json_size(object, "n", 9, &size, "f", &error), MR_OK);
    assert_int_equal(size, 3);
    assert_int_equal(mr_json_size(object, "null", 9, &size, "f", &error), MR_OK);
    assert_int_equal(size, 9);
    assert_int_equal(mr_json_size(object, "neg", 9, &size, "f", &error), MR_MODEL_CORRUPT);
    assert_string_equal(error.text, "f: \"neg\" must be a non-negative integer");
    assert_int_equal(mr_json_string(object, "z", NULL, &text, "f", &error), MR_MODEL_CORRUPT);
    assert_int_equal(mr_json_bool(object, "s", false, &flag, "f", &error), MR_MODEL_CORRUPT);
    assert_int_equal(mr_json_double(object, "n", 0.0, &number, "f", &error), MR_OK);
    json_decref(object);
}

static char last_line[256];
static void keep_line(void *context, mr_log_level level, const char *module, const char *line)
{
    (void)context;
    snprintf(last_line, sizeof last_line, "%s %s %s", mr_log_level_name(level), module, line);
}

static void log_filters_by_module(void **state)
{
    (void)state;
    mr_error error;
    mr_log_set_sink(keep_line, NULL);
    assert_int_equal(mr_log_configure("pool=debug,error", &error), MR_OK);
    mr_log(MR_LOG_WARN, "io", "hidden");
    assert_string_equal(last_line, "");
    mr_log(MR_LOG_DEBUG, "pool", "seen %d", 1);
    assert_string_equal(last_line, "debug pool seen 1");
    assert_int_equal(mr_log_configure("pool=loud", &error), MR_CONFIG);
    assert_int_equal(mr_log_configure("warn", &error), MR_OK);
    mr_log_set_sink(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_list_is_consistent), cmocka_unit_test(error_text_and_prefix), cmocka_unit_test(checked_arithmetic),
        cmocka_unit_test(memory_is_counted_by_tag), cmocka_unit_test(arena_bounds), cmocka_unit_test(arena_gives_its_pages_back), cmocka_unit_test(utf8_check_finds_the_first_bad_byte),
        cmocka_unit_test(utf8_check_is_the_same_at_every_place),
        cmocka_unit_test(byte_sizes), cmocka_unit_test(nearest_word), cmocka_unit_test(buffers_and_files),
        cmocka_unit_test(json_members_are_typed), cmocka_unit_test(log_filters_by_module),
    };
    return RUN_TESTS(tests);
}
