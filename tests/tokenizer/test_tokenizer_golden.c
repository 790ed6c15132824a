/* Every id and every decoded text against the golden files (format: tests/data/tokenizer/README.md).
 *   test_tokenizer_golden               all cases
 *   test_tokenizer_golden --sample      every eighth line of them, for sanitizer builds
 *   test_tokenizer_golden --real EXPECT_DIRECTORY TOKENIZER_DIRECTORY   a full-size tokenizer */
#include "../cm.h"

#include "core/file.h"
#include "golden_files.h"
#include "golden_gguf.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

typedef struct golden {
    const char *name;
    char *expect; /* directory */
    mr_tokenizer *tokenizer;
    mr_tokenizer_scratch *scratch;
    mr_encoding encoding;
    size_t differences;
    bool other_file; /* the tokenizer is not the tokenizer.json itself, which has been checked: texts and decoding will do */
} golden;

static json_t *strings_of_all;
static size_t stride = 1; /* which lines are checked */

static void differ(golden *g, const char *what, size_t index)
{
    if (g->differences++ < 10) print_error("%s: %s differs at line %zu\n", g->name, what, index);
}

static mr_str str_of(const json_t *value)
{
    return (mr_str){ json_string_value(value), json_string_length(value) };
}

static void encode(golden *g, mr_str text, bool special, size_t maximum, bool left)
{
    mr_error error;
    mr_encode_options options = { .add_special_tokens = special, .max_tokens = maximum, .truncate_left = left };
    if (mr_tokenizer_encode(g->tokenizer, g->scratch, text, &options, &g->encoding, &error) != MR_OK) fail_msg("%s: %s", g->name, error.text);
}

static bool ids_equal(const mr_encoding *encoding, const json_t *expected)
{
    if (json_array_size(expected) != encoding->count) return false;
    for (size_t i = 0; i < encoding->count; i++)
        if (json_integer_value(json_array_get(expected, i)) != encoding->ids[i]) return false;
    return true;
}

static json_t *load(const golden *g, const char *file)
{
    char *path = mr_path_join(g->expect, file);
    json_t *lines = golden_lines(path);
    free(path);
    return lines;
}

static bool crc_is(const json_t *line, const char *key, uint32_t crc)
{
    char hex[9];
    snprintf(hex, sizeof hex, "%08x", crc);
    const char *expected = json_string_value(json_object_get(line, key));
    return !expected || strcmp(expected, hex) == 0;
}

static mr_buf decode(golden *g, const int32_t *ids, size_t count, bool skip)
{
    mr_buf text = { 0 };
    assert_int_equal(mr_tokenizer_decode(g->tokenizer, ids, count, skip, &text, NULL), MR_OK);
    return text;
}

static void check_text_crc(golden *g, const json_t *line, const char *key, bool skip, size_t index)
{
    mr_buf text = decode(g, g->encoding.ids, g->encoding.count, skip);
    if (!crc_is(line, key, golden_crc(text.data, text.length))) differ(g, key, index);
    mr_buf_fini(&text);
}

static void check_strings(golden *g)
{
    json_t *ids = load(g, "ids.jsonl.gz"), *check = load(g, "check.jsonl.gz"), *line;
    size_t i;
    assert_non_null(check);
    json_array_foreach(check, i, line) {
        if (i % stride) continue;
        mr_str text = str_of(json_object_get(json_array_get(strings_of_all, i), "text"));
        encode(g, text, false, 0, false);
        const json_t *expected = json_array_get(ids, i);
        if (json_is_array(expected) && !ids_equal(&g->encoding, expected)) differ(g, "ids", i);
        if ((size_t)json_integer_value(json_object_get(line, "n")) != g->encoding.count) differ(g, "n", i);
        if (!crc_is(line, "p", golden_crc_ids(0, g->encoding.ids, g->encoding.count))) differ(g, "p", i);
        check_text_crc(g, line, "d", false, i);
        encode(g, text, true, 0, false);
        size_t full = g->encoding.count;
        if (!crc_is(line, "sp", golden_crc_ids(0, g->encoding.ids, g->encoding.count))) differ(g, "sp", i);
        check_text_crc(g, line, "ds", true, i);
        static const struct {
            const char *key;
            size_t maximum;
            bool left;
        } cuts[] = { { "t8", 8, false }, { "t64", 64, false }, { "l8", 8, true } };
        for (size_t k = 0; k < 3; k++) {
            encode(g, text, true, cuts[k].maximum, cuts[k].left);
            if (!crc_is(line, cuts[k].key, golden_crc_ids(0, g->encoding.ids, g->encoding.count))) differ(g, cuts[k].key, i);
            assert_int_equal(g->encoding.full_count, full);
        }
    }
    json_decref(ids);
    json_decref(check);
}

/* Id by id: whole characters only, and together the decoding of all. */
static void check_stream(golden *g, const int32_t *ids, size_t count, bool skip, const mr_buf *whole, size_t index)
{
    mr_tokenizer_stream *stream;
    mr_buf text = { 0 };
    assert_int_equal(mr_tokenizer_stream_create(g->tokenizer, skip, &stream, NULL), MR_OK);
    for (size_t i = 0; i <= count; i++) {
        size_t before = text.length;
        mr_status status = i < count ? mr_tokenizer_stream_push(stream, ids[i], &text, NULL) : mr_tokenizer_stream_finish(stream, &text, NULL);
        assert_int_equal(status, MR_OK);
        if (text.length > before && mr_utf8_check(text.data + before, text.length - before) != text.length - before) differ(g, "stream cuts a character", index);
    }
    if (!mr_str_equal((mr_str){ text.data, text.length }, (mr_str){ whole->data, whole->length })) differ(g, "stream", index);
    mr_buf_fini(&text);
    mr_tokenizer_stream_destroy(stream);
}

static void check_decoding(golden *g, const char *file)
{
    json_t *lines = load(g, file), *line;
    size_t i;
    json_array_foreach(lines, i, line) {
        if (i % stride) continue;
        json_t *list = json_object_get(line, "ids");
        if (!list) {
            mr_str text = str_of(json_object_get(json_array_get(strings_of_all, (size_t)json_integer_value(json_object_get(line, "i"))), "text"));
            encode(g, text, true, 0, false);
            if (!ids_equal(&g->encoding, json_object_get(line, "sp"))) differ(g, "detail sp", i);
            encode(g, text, false, 0, false);
        }
        size_t count = list ? json_array_size(list) : g->encoding.count;
        int32_t *ids = malloc((count + 1) * sizeof *ids);
        for (size_t k = 0; k < count; k++) ids[k] = list ? (int32_t)json_integer_value(json_array_get(list, k)) : g->encoding.ids[k];
        for (int skip = 0; skip < 2; skip++) {
            mr_buf text = decode(g, ids, count, skip);
            json_t *expected = json_object_get(line, skip ? "ds" : "d");
            if (expected && !mr_str_equal((mr_str){ text.data, text.length }, str_of(expected))) differ(g, skip ? "ds text" : "d text", i);
            check_stream(g, ids, count, skip, &text, i);
            mr_buf_fini(&text);
        }
        free(ids);
    }
    json_decref(lines);
}

/* Texts "a" c "b " c of every code point c, 256 to a line. */
static void check_sweep(golden *g)
{
    json_t *lines = load(g, "sweep.jsonl.gz"), *line;
    size_t block;
    json_array_foreach(lines, block, line) {
        uint32_t crc = 0;
        if (block % stride || strcmp(json_string_value(line), "-") == 0) continue;
        for (uint32_t c = (uint32_t)block * 256; c < ((uint32_t)block + 1) * 256; c++) {
            char text[16] = "a";
            size_t length = 1;
            length += mr_utf8_encode(c, text + length);
            text[length++] = 'b';
            text[length++] = ' ';
            length += mr_utf8_encode(c, text + length);
            encode(g, (mr_str){ text, length }, false, 0, false);
            int32_t count = (int32_t)g->encoding.count;
            crc = golden_crc_ids(crc, &count, 1);
            crc = golden_crc_ids(crc, g->encoding.ids, g->encoding.count);
        }
        char hex[9];
        snprintf(hex, sizeof hex, "%08x", crc);
        if (strcmp(hex, json_string_value(line)) != 0) differ(g, "sweep", block);
    }
    json_decref(lines);
}

static void check_pairs(golden *g)
{
    json_t *lines = load(g, "pairs.jsonl.gz"), *line;
    size_t i;
    json_array_foreach(lines, i, line) {
        for (int cut = 0; cut < 2; cut++) {
            mr_encode_options options = { .add_special_tokens = true, .max_tokens = cut ? 12 : 0 };
            const json_t *types = json_object_get(line, cut ? "t12types" : "types"), *ids = json_object_get(line, cut ? "t12" : "ids");
            mr_status status = mr_tokenizer_encode_pair(g->tokenizer, g->scratch, str_of(json_object_get(line, "a")), str_of(json_object_get(line, "b")), &options, &g->encoding, NULL);
            assert_int_equal(status, MR_OK);
            if (ids && !ids_equal(&g->encoding, ids)) differ(g, cut ? "pair t12" : "pair", i);
            for (size_t k = 0; types && k < g->encoding.count; k++)
                if (json_integer_value(json_array_get(types, k)) != g->encoding.type_ids[k]) differ(g, "pair types", i);
        }
    }
    json_decref(lines);
}

/* Tokens come from where the reference says: a checksum for each hundred texts. */
static void check_offsets(golden *g)
{
    const mr_encode_options options = { .offsets = true };
    json_t *sums = json_load_file(MR_TEST_DATA "/tokenizer/offsets.json", 0, NULL), *expected = json_object_get(sums, g->name);
    uint32_t crc = 0;
    for (size_t i = 0; expected && i < json_array_size(strings_of_all); i += stride) {
        mr_str text = str_of(json_object_get(json_array_get(strings_of_all, i), "text"));
        assert_int_equal(mr_tokenizer_encode(g->tokenizer, g->scratch, text, &options, &g->encoding, NULL), MR_OK);
        crc = golden_crc_spans(crc, g->encoding.spans, g->encoding.count);
        for (size_t k = 0; k < g->encoding.count; k++) assert_true(g->encoding.spans[k].start <= g->encoding.spans[k].end && g->encoding.spans[k].end <= text.length);
        if (stride > 1 || i % 100 != 99) continue;
        char hex[9];
        snprintf(hex, sizeof hex, "%08x", crc);
        if (strcmp(json_string_value(json_array_get(expected, i / 100)), hex) != 0) differ(g, "offsets of the hundred up to", i);
        crc = 0;
    }
    assert_non_null(sums);
    json_decref(sums);
}

/* Long texts of one character take time in proportion: two of these would take minutes if anything were quadratic. */
static void check_long(golden *g)
{
    static const char *const units[] = { "a", " ", "\n", "\xE2\x96\x81", "'", "\xED\x95\x9C", "\xCC\x81", "e\xCC\x81\xCC\xA7", "1", "<", "\xF0\x9D\x85\xA5\xCC\xB8" };
    mr_buf text = { 0 };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        text.length = 0;
        while (text.length < 300000 / stride) assert_true(mr_buf_append_str(&text, units[i]));
        encode(g, (mr_str){ text.data, text.length }, true, 0, false);
        mr_buf decoded = decode(g, g->encoding.ids, g->encoding.count, true);
        mr_buf_fini(&decoded);
    }
    mr_buf_fini(&text);
}

static void check_all(golden *g)
{
    assert_int_equal(mr_tokenizer_scratch_create(&g->scratch, NULL), MR_OK);
    check_strings(g);
    check_decoding(g, "detail.jsonl.gz");
    check_decoding(g, "random_ids.jsonl.gz");
    if (!g->other_file) {
        check_sweep(g);
        check_pairs(g);
        check_offsets(g);
        check_long(g);
    }
    mr_encoding_fini(&g->encoding);
    mr_tokenizer_scratch_destroy(g->scratch);
    mr_tokenizer_close(g->tokenizer);
    assert_int_equal(g->differences, 0);
}

/* The tokenizer.json of `name` or, for "base+change", the altered base. */
static mr_buf read_case(const char *name)
{
    const char *plus = strchr(name, '+');
    char *path = mr_strf(MR_TEST_DATA "/tokenizer/%.*s/tokenizer.json.gz", plus ? (int)(plus - name) : (int)strlen(name), name);
    mr_buf file = golden_read(path);
    free(path);
    if (plus) {
        json_t *base = json_loadb(file.data, file.length, JSON_ALLOW_NUL, NULL);
        json_t *mods = json_load_file(MR_TEST_DATA "/tokenizer/mods.json", 0, NULL);
        json_t *altered = golden_alter(base, json_object_get(mods, name));
        char *text = json_dumps(altered, 0);
        file.length = 0;
        mr_buf_append_str(&file, text);
        free(text);
        json_decref(altered);
        json_decref(mods);
        json_decref(base);
    }
    return file;
}

static mr_tokenizer *open_case(const char *name)
{
    mr_error error;
    mr_tokenizer *tokenizer;
    mr_buf file = read_case(name);
    if (mr_tokenizer_open_bytes(file.data, file.length, &tokenizer, &error) != MR_OK) fail_msg("%s: %s", name, error.text);
    mr_buf_fini(&file);
    return tokenizer;
}

/* What a GGUF file says of a tokenizer is enough for the same ids. */
typedef struct gguf_case {
    const char *name, *model, *pre;
} gguf_case;

static void test_gguf(void **state)
{
    const gguf_case *c = *state;
    mr_error error;
    golden g = { .name = c->name, .other_file = true, .expect = mr_strf(MR_TEST_DATA "/tokenizer/%s", c->name) };
    mr_buf text = read_case(c->name);
    json_t *json = json_loadb(text.data, text.length, JSON_ALLOW_NUL, NULL);
    mr_tokenizer *source = open_case(c->name);
    mr_buf file = golden_gguf(json, source, c->model, c->pre);
    mr_status status = mr_tokenizer_open_gguf_bytes((const unsigned char *)file.data, file.length, "test.gguf", &g.tokenizer, &error);
    if (status != MR_OK) fail_msg("%s: %s", c->name, error.text);
    check_all(&g);
    mr_tokenizer_close(source);
    json_decref(json);
    mr_buf_fini(&text);
    mr_buf_fini(&file);
    free(g.expect);
}

/* Kimi's files are a directory. */
static void test_directory(void **state)
{
    mr_error error;
    golden g = { .name = *state };
    g.expect = mr_strf(MR_TEST_DATA "/tokenizer/%s", g.name);
    if (mr_tokenizer_open(g.expect, NULL, &g.tokenizer, &error) != MR_OK) fail_msg("%s", error.text);
    check_all(&g);
    free(g.expect);
}

static void write_file(const char *directory, const char *name, const char *text)
{
    char *path = mr_path_join(directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    free(path);
}

/* CLIP as vocab.json and merges.txt gives what its tokenizer.json gives. */
static void test_older_files(void **state)
{
    static const char directory[] = MR_TEST_TMP "/vocab_merges";
    mr_error error;
    mr_buf file = golden_read(MR_TEST_DATA "/tokenizer/clip/tokenizer.json.gz"), lines = { 0 };
    json_t *whole = json_loadb(file.data, file.length, JSON_ALLOW_NUL, NULL), *model = json_object_get(whole, "model"), *merge;
    char *vocab = json_dumps(json_object_get(model, "vocab"), 0);
    size_t i;
    golden g = { .name = "clip (vocab.json)", .expect = MR_TEST_DATA "/tokenizer/clip" };
    (void)state;
    assert_true(mr_buf_append_str(&lines, "#version: 0.2\n"));
    json_array_foreach(json_object_get(model, "merges"), i, merge) assert_true(mr_buf_printf(&lines, "%s\n", json_string_value(merge)));
    assert_int_equal(mr_path_make_directories(directory, NULL), MR_OK);
    write_file(directory, "vocab.json", vocab);
    write_file(directory, "merges.txt", lines.data);
    write_file(directory, "tokenizer_config.json", "{\"tokenizer_class\": \"CLIPTokenizer\", \"model_max_length\": 77}");
    if (mr_tokenizer_open(directory, NULL, &g.tokenizer, &error) != MR_OK) fail_msg("%s", error.text);
    assert_int_equal(mr_tokenizer_model_max_length(g.tokenizer), 77);
    check_all(&g);
    write_file(directory, "tokenizer_config.json", "{\"tokenizer_class\": \"OtherTokenizer\"}");
    assert_int_equal(mr_tokenizer_open(directory, NULL, &g.tokenizer, &error), MR_MODEL_UNSUPPORTED);
    assert_non_null(strstr(error.text, "OtherTokenizer"));
    free(vocab);
    json_decref(whole);
    mr_buf_fini(&file);
    mr_buf_fini(&lines);
}

static void test_case(void **state)
{
    golden g = { .name = *state };
    g.expect = mr_strf(MR_TEST_DATA "/tokenizer/%s", g.name);
    g.tokenizer = open_case(g.name);
    check_all(&g);
    free(g.expect);
}

/* Ill-formed records name their first bad byte; with replacement they give the reference's ids. */
static void test_invalid_utf8(void **state)
{
    const char *name = *state;
    golden g = { .name = name, .tokenizer = open_case(name) };
    json_t *lines = golden_lines(MR_TEST_DATA "/tokenizer/invalid_utf8.jsonl.gz"), *line;
    size_t i;
    assert_non_null(lines);
    assert_int_equal(mr_tokenizer_scratch_create(&g.scratch, NULL), MR_OK);
    json_array_foreach(lines, i, line) {
        mr_str hex = str_of(json_object_get(line, "hex"));
        mr_buf bytes = { 0 }, replaced = { 0 };
        for (size_t k = 0; k < hex.length; k += 2) {
            unsigned byte;
            assert_int_equal(sscanf(hex.data + k, "%2x", &byte), 1);
            char c = (char)byte;
            assert_true(mr_buf_append(&bytes, &c, 1));
        }
        const json_t *bad = json_object_get(line, "first_bad_offset");
        if (json_is_integer(bad)) {
            mr_error error;
            char offset[64];
            mr_encode_options options = { .add_special_tokens = true };
            assert_int_equal(mr_tokenizer_encode(g.tokenizer, g.scratch, (mr_str){ bytes.data, bytes.length }, &options, &g.encoding, &error), MR_BAD_RECORD);
            snprintf(offset, sizeof offset, "at byte %d", (int)json_integer_value(bad));
            assert_true(mr_str_ends_with(mr_str_of(error.text), offset));
        }
        assert_true(mr_utf8_append_replacing(&replaced, bytes.data, bytes.length));
        assert_true(mr_str_equal((mr_str){ replaced.data, replaced.length }, str_of(json_object_get(line, "replaced"))));
        encode(&g, (mr_str){ replaced.data, replaced.length }, true, 0, false);
        json_t *ids = json_object_get(line, name);
        if (ids && !ids_equal(&g.encoding, ids)) differ(&g, "replaced ids", i);
        mr_buf_fini(&bytes);
        mr_buf_fini(&replaced);
    }
    json_decref(lines);
    mr_encoding_fini(&g.encoding);
    mr_tokenizer_scratch_destroy(g.scratch);
    mr_tokenizer_close(g.tokenizer);
    assert_int_equal(g.differences, 0);
}

static char *real_expect, *real_directory;

static void test_real(void **state)
{
    mr_error error;
    golden g = { .name = real_directory, .expect = real_expect };
    (void)state;
    if (mr_tokenizer_open(real_directory, NULL, &g.tokenizer, &error) != MR_OK) fail_msg("%s", error.text);
    check_all(&g);
}

#define GGUF_CASE(golden_name, model, pre) \
    { "gguf: " golden_name, test_gguf, NULL, NULL, (void *)&(gguf_case){ golden_name, model, pre } }
#define CASE(golden_name) { golden_name, test_case, NULL, NULL, (void *)golden_name }

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--sample") == 0) stride = 8;
    strings_of_all = golden_lines(MR_TEST_DATA "/tokenizer/strings.jsonl.gz");
    int failed;
    if (argc == 4 && strcmp(argv[1], "--real") == 0) {
        real_expect = argv[2];
        real_directory = argv[3];
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_real) };
        failed = RUN_TESTS(tests);
    } else {
        const struct CMUnitTest tests[] = {
            CASE("bert-uncased"),
            CASE("bert-uncased+cased"),
            CASE("bert-uncased+cased-strip"),
            CASE("bert-uncased+noclean"),
            CASE("qwen3"),
            CASE("phi-4"),
            CASE("llama3"),
            CASE("deepseek-v3"),
            CASE("clip"),
            CASE("llama2"),
            CASE("gemma3"),
            CASE("qwen3+gpt2"),
            CASE("qwen3+smollm"),
            CASE("qwen3+qwen2-embed"),
            CASE("llama3+whole-pieces"),
            CASE("llama3+no-ignore"),
            CASE("llama2+metaspace-first"),
            CASE("llama2+no-prefix"),
            CASE("xlm-roberta"),
            CASE("t5-flux"),
            CASE("xlm-roberta+bge-m3"),
            CASE("xlm-roberta+bytes"),
            CASE("t5-flux+sd3"),
            cmocka_unit_test_prestate(test_directory, (void *)"kimi-k2"),
            cmocka_unit_test(test_older_files),
            GGUF_CASE("bert-uncased", "bert", NULL),
            GGUF_CASE("bert-uncased+cased", "bert", NULL),
            GGUF_CASE("qwen3", "gpt2", "qwen2"),
            GGUF_CASE("qwen3+smollm", "gpt2", "smollm"),
            GGUF_CASE("llama3", "gpt2", "llama-bpe"),
            GGUF_CASE("deepseek-v3", "gpt2", "deepseek-v3"),
            GGUF_CASE("llama2", "llama", "default"),
            GGUF_CASE("gemma3", "gemma4", NULL),
            GGUF_CASE("xlm-roberta", "t5", "default"),
            cmocka_unit_test_prestate(test_invalid_utf8, (void *)"bert-uncased"),
            cmocka_unit_test_prestate(test_invalid_utf8, (void *)"qwen3"),
            cmocka_unit_test_prestate(test_invalid_utf8, (void *)"xlm-roberta"),
        };
        failed = RUN_TESTS(tests);
    }
    json_decref(strings_of_all);
    return failed;
}
