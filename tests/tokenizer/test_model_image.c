/* Tokenizers opened from the image in the cache: the same ids as from the files; damage is found, whatever its checksum says. */
#include "../cm.h"

#include <stdio.h>

#include "core/file.h"
#include "tokenizer/model_image.h"
#include "tokenizer/pipeline.h"

static const char *const models[] = {
    "{\"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}, \"model\": {\"type\": \"WordPiece\", \"vocab\": {\"[UNK]\": 0, \"a\": 1, \"b\": 2, \"##b\": 3, \"##a\": 4}}}",
    "{\"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}, \"model\": {\"type\": \"WordLevel\", \"unk_token\": \"?\", \"vocab\": {\"?\": 0, \"ab\": 1}}}",
    "{\"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}, \"added_tokens\": [{\"id\": 7, \"content\": \"<s>\", \"special\": true}], \"model\": {\"type\": \"Unigram\", \"unk_id\": 0, "
    "\"vocab\": [[\"<unk>\", 0], [\"a\", -1.5], [\"b\", -2], [\"ab\", -2.25], [\"ba\", -3]]}}",
    "{\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"_\\u0000\\\"\"}, \"model\": {\"type\": \"BPE\", \"unk_token\": \"u\", \"fuse_unk\": true, "
    "\"vocab\": {\"u\": 0, \"a\": 1, \"b\": 2, \"ab\": 3, \"aba\": 4, \"bb\": 5}, \"merges\": [\"a b\", \"ab a\", \"b b\"]}}",
    "{\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", \"ignore_merges\": true, \"vocab\": {\"a\": 0, \"b\": 1, \"\\u0120\": 2, \"ab\": 3, \"\\u0120ab\": 4}, "
    "\"merges\": [\"a b\", \"\\u0120 ab\"]}}",
};
#define MODELS (sizeof models / sizeof *models)

static const char text[] = "abba ab <s>aabb bab\xC3\xA9 ababababababababababababab zzz";

static void encode(const mr_tokenizer *tokenizer, mr_encoding *out)
{
    mr_tokenizer_scratch *scratch;
    mr_error error;
    assert_int_equal(mr_tokenizer_scratch_create(&scratch, &error), MR_OK);
    if (mr_tokenizer_encode(tokenizer, scratch, MR_STR(text), &(mr_encode_options){ 0 }, out, &error) != MR_OK) out->count = 0;
    mr_tokenizer_scratch_destroy(scratch);
}

static void open_cached(const char *folder, const mr_cache *cache, mr_tokenizer **out)
{
    mr_error error;
    if (mr_tokenizer_open(folder, cache, out, &error) != MR_OK) fail_msg("%s", error.text);
}

static void write_file(const char *path, const char *data)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(data, file);
    fclose(file);
}

static void test_same_ids(void **state)
{
    static const char folder[] = MR_TEST_TMP "/image_model", path[] = MR_TEST_TMP "/image_model/tokenizer.json";
    char cache_folder[] = MR_TEST_TMP "/image_cache-XXXXXX"; /* a new one: it must be empty */
    mr_cache *cache;
    (void)state;
    assert_non_null(mkdtemp(cache_folder));
    assert_int_equal(mr_path_make_directories(folder, NULL), MR_OK);
    assert_int_equal(mr_cache_open(cache_folder, 1 << 24, "test", &cache, NULL), MR_OK);
    for (size_t i = 0; i < MODELS; i++) {
        mr_encoding expected = { 0 }, got = { 0 };
        mr_tokenizer *tokenizer;
        write_file(path, models[i]);
        for (int round = 0; round < 2; round++) { /* stored, found */
            open_cached(folder, cache, &tokenizer);
            assert_int_equal(tokenizer->image.length > 0, round);
            encode(tokenizer, round ? &got : &expected);
            mr_tokenizer_close(tokenizer);
        }
        assert_true(expected.count > 3);
        assert_int_equal(got.count, expected.count);
        assert_memory_equal(got.ids, expected.ids, got.count * sizeof *got.ids);
        mr_encoding_fini(&expected);
        mr_encoding_fini(&got);
    }
    mr_cache_close(cache);
}

static uint64_t random_state = 88172645463325252u;

static size_t random_below(size_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 11) % limit;
}

/* Reads a damaged image; what is accepted must be safe to use. True when it was refused. */
static bool is_refused(const char *data, size_t length)
{
    mr_str rest;
    mr_model model;
    mr_tokenizer_scratch *scratch;
    mr_pieces pieces = { 0 };
    mr_ids ids = { 0 };
    mr_error error;
    if (mr_model_image_read((const unsigned char *)data, length, &rest, &model, &error) != MR_OK) return true;
    assert_int_equal(mr_tokenizer_scratch_create(&scratch, &error), MR_OK);
    for (size_t i = 0; i < sizeof text - 1; i += 3) mr_pieces_add(&pieces, i, i + 3 < sizeof text - 1 ? i + 3 : sizeof text - 1);
    mr_pieces_add(&pieces, 0, sizeof text - 1);
    if (mr_model_run(&model, scratch, MR_STR(text), &pieces, &ids, &error) == MR_OK)
        for (size_t i = 0; i < ids.count; i++) assert_in_range(ids.items[i] + 1, 0, model.vocabulary.size);
    for (int32_t id = -1; id <= (int32_t)model.vocabulary.size; id++) mr_utf8_count(mr_vocabulary_text(&model.vocabulary, id));
    free(pieces.items);
    free(ids.items);
    mr_tokenizer_scratch_destroy(scratch);
    mr_model_fini(&model);
    return false;
}

static void test_damaged(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODELS; i++) {
        mr_tokenizer *tokenizer;
        mr_buf image = { 0 };
        mr_error error;
        if (mr_tokenizer_open_bytes(models[i], strlen(models[i]), &tokenizer, &error) != MR_OK) fail_msg("%s", error.text);
        assert_true(mr_model_image_write(&tokenizer->model, MR_STR("{}"), &image));
        mr_tokenizer_close(tokenizer);
        char *copy = malloc(image.length);
        size_t refused = 0;
        memcpy(copy, image.data, image.length);
        assert_false(is_refused(copy, image.length));
        for (size_t length = 0; length < image.length; length += 1 + length / 64) assert_true(is_refused(copy, length));
        for (int round = 0; round < 3000; round++) {
            size_t at[4];
            for (size_t k = 0; k < 4; k++) { /* half of them in what is not the tables' bulk */
                at[k] = random_below(random_below(2) ? image.length : 4096) % image.length;
                copy[at[k]] = (char)(random_below(4) ? random_below(256) : (size_t)(unsigned char)copy[at[k]] ^ 1);
            }
            refused += is_refused(copy, image.length);
            for (size_t k = 0; k < 4; k++) copy[at[k]] = image.data[at[k]];
        }
        assert_true(refused > 100);
        free(copy);
        mr_buf_fini(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_same_ids), cmocka_unit_test(test_damaged) };
    return RUN_TESTS(tests);
}
