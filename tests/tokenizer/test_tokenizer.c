/* What the golden files do not reach: refused files, options, added-token flags, odd components. */
#include "../cm.h"

#include <pthread.h>

#include "core/file.h"
#include "tokenizer/tokenizer.h"

#define VOCAB "\"vocab\": {\"[UNK]\": 0, \"a\": 1, \"b\": 2, \"##b\": 3, \"c\": 4, \"x\": 5}"
#define WORDPIECE "\"model\": {\"type\": \"WordPiece\", " VOCAB "}"

static mr_tokenizer *open_text(const char *json)
{
    mr_tokenizer *tokenizer = NULL;
    mr_error error;
    if (mr_tokenizer_open_bytes(json, strlen(json), &tokenizer, &error) != MR_OK) fail_msg("%s\n%s", json, error.text);
    return tokenizer;
}

static void refused(const char *json, mr_status status, const char *part)
{
    mr_tokenizer *tokenizer;
    mr_error error;
    assert_int_equal(mr_tokenizer_open_bytes(json, strlen(json), &tokenizer, &error), status);
    if (!strstr(error.text, part)) fail_msg("\"%s\" does not say \"%s\"", error.text, part);
}

/* Encodes and compares with a list ended by -1. */
static void gives(const char *json, const char *text, const mr_encode_options *options, const int32_t *expected)
{
    static const mr_encode_options plain = { 0 };
    mr_tokenizer *tokenizer = open_text(json);
    mr_tokenizer_scratch *scratch;
    mr_encoding encoding = { 0 };
    mr_error error;
    assert_int_equal(mr_tokenizer_scratch_create(&scratch, NULL), MR_OK);
    if (mr_tokenizer_encode(tokenizer, scratch, mr_str_of(text), options ? options : &plain, &encoding, &error) != MR_OK) fail_msg("%s", error.text);
    size_t count = 0;
    while (expected[count] >= 0) count++;
    assert_int_equal(encoding.count, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(encoding.ids[i], expected[i]);
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
    mr_tokenizer_close(tokenizer);
}

static void test_refused_files(void **state)
{
    (void)state;
    refused("", MR_MODEL_CORRUPT, "tokenizer.json");
    refused("{\"model\": ", MR_MODEL_CORRUPT, "unexpected end");
    refused("{\"a\": \"\\ud800\"}", MR_MODEL_CORRUPT, "surrogate");
    refused("[]", MR_MODEL_CORRUPT, "an object");
    refused("{}", MR_MODEL_CORRUPT, "\"model\"");
    refused("{" WORDPIECE ", \"normalizer\": {\"type\": \"Shout\"}}", MR_MODEL_UNSUPPORTED, "normalizer type \"Shout\"");
    refused("{" WORDPIECE ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {}]}}", MR_MODEL_CORRUPT, "normalizer");
    refused("{" WORDPIECE ", \"pre_tokenizer\": {\"type\": \"UnicodeScripts\"}}", MR_MODEL_UNSUPPORTED, "UnicodeScripts");
    refused("{" WORDPIECE ", \"post_processor\": {\"type\": \"P\"}}", MR_MODEL_UNSUPPORTED, "\"P\"");
    refused("{" WORDPIECE ", \"decoder\": {\"type\": \"D\"}}", MR_MODEL_UNSUPPORTED, "\"D\"");
    refused("{\"model\": {\"type\": \"M\", " VOCAB "}}", MR_MODEL_UNSUPPORTED, "\"M\"");
    refused("{\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"?\", " VOCAB "}}", MR_MODEL_CORRUPT, "\"?\"");
    refused("{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\": -1}}}", MR_MODEL_CORRUPT, "\"a\"");
    refused("{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\": 99999999999}}}", MR_MODEL_CORRUPT, "\"a\"");
    refused("{" WORDPIECE ", \"added_tokens\": [{\"id\": 9}]}", MR_MODEL_CORRUPT, "content");
    refused("{\"model\": {\"type\": \"BPE\", \"byte_fallback\": true, \"vocab\": {\"a\": 0}, \"merges\": []}, \"pre_tokenizer\": {\"type\": \"ByteLevel\"}}",
            MR_MODEL_UNSUPPORTED, "byte_fallback");
    char deep[256] = "";
    memset(deep, '[', 200);
    refused(deep, MR_MODEL_CORRUPT, "nested");
}

static void test_missing_directory(void **state)
{
    mr_tokenizer *tokenizer;
    mr_error error;
    (void)state;
    assert_int_equal(mr_tokenizer_open(MR_TEST_TMP, NULL, &tokenizer, &error), MR_MODEL_FILES_MISSING);
    assert_non_null(strstr(error.text, "tokenizer.json"));
}

/* A directory with vocab.txt alone. */
static void test_vocab_txt(void **state)
{
    mr_tokenizer *tokenizer;
    mr_tokenizer_scratch *scratch;
    mr_encoding encoding = { 0 };
    mr_error error;
    static const char directory[] = MR_TEST_TMP "/vocab_txt", path[] = MR_TEST_TMP "/vocab_txt/vocab.txt";
    (void)state;
    assert_int_equal(mr_path_make_directories(directory, NULL), MR_OK);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("[PAD]\n[UNK]\r\n[CLS]\n[SEP]\n\"\n\\\nhi\n##gh", file);
    fclose(file);
    if (mr_tokenizer_open(directory, NULL, &tokenizer, &error) != MR_OK) fail_msg("%s", error.text);
    assert_int_equal(mr_tokenizer_scratch_create(&scratch, NULL), MR_OK);
    assert_int_equal(mr_tokenizer_encode(tokenizer, scratch, MR_STR("HIGH \"\\ ho[SEP]"), &(mr_encode_options){ .add_special_tokens = true }, &encoding, &error), MR_OK);
    static const int32_t expected[] = { 2, 6, 7, 4, 5, 1, 3, 3 };
    assert_int_equal(encoding.count, 8);
    assert_memory_equal(encoding.ids, expected, sizeof expected);
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
    mr_tokenizer_close(tokenizer);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("a\nb\n", file);
    fclose(file);
    assert_int_equal(mr_tokenizer_open(directory, NULL, &tokenizer, &error), MR_MODEL_UNSUPPORTED);
    assert_int_equal(remove(path), 0);
}

static void test_added_token_flags(void **state)
{
    (void)state;
    static const char json[] = "{" WORDPIECE ", \"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}, \"normalizer\": {\"type\": \"Lowercase\"}, \"added_tokens\": ["
        "{\"id\": 10, \"content\": \"<s>\", \"special\": true},"
        "{\"id\": 11, \"content\": \"<l>\", \"lstrip\": true, \"special\": true},"
        "{\"id\": 12, \"content\": \"<r>\", \"rstrip\": true, \"special\": true},"
        "{\"id\": 13, \"content\": \"word\", \"single_word\": true, \"special\": true},"
        "{\"id\": 14, \"content\": \"LOW\"},"
        "{\"id\": 15, \"content\": \"<s><s>\", \"special\": true}]}";
    gives(json, "a<s>b", NULL, (int32_t[]){ 1, 10, 2, -1 });
    gives(json, "<s><s><s>", NULL, (int32_t[]){ 15, 10, -1 });
    gives(json, "word words a", NULL, (int32_t[]){ 13, 0, 1, -1 });
    gives(json, "low LoW a", NULL, (int32_t[]){ 14, 14, 1, -1 });
    gives(json, "a \xE2\x80\x83<l>", NULL, (int32_t[]){ 1, 11, -1 });
    /* Without a pre-tokenizer swallowed space shows. */
    static const char raw[] = "{" WORDPIECE ", \"added_tokens\": [{\"id\": 12, \"content\": \"<r>\", \"lstrip\": true, \"rstrip\": true, \"special\": true}]}";
    gives(raw, "a \n<r> \xC2\xA0 <r> b", NULL, (int32_t[]){ 1, 12, 12, 2, -1 });
    gives(raw, "<r>", NULL, (int32_t[]){ 12, -1 });
    /* Swallowed space may begin the next one all the same. */
    static const char spaced[] = "{" WORDPIECE ", \"added_tokens\": [{\"id\": 12, \"content\": \"<r>\", \"rstrip\": true}, {\"id\": 13, \"content\": \" x\"}]}";
    gives(spaced, "a<r>  xb", NULL, (int32_t[]){ 1, 12, 13, 2, -1 });
}

static void test_truncation(void **state)
{
    (void)state;
    static const char json[] = "{" WORDPIECE ", \"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}, \"post_processor\": {\"type\": \"BertProcessing\", \"cls\": [\"c\", 7], \"sep\": [\"s\", 8]}}";
    gives(json, "a b c", &(mr_encode_options){ .add_special_tokens = true, .max_tokens = 4 }, (int32_t[]){ 7, 1, 2, 8, -1 });
    gives(json, "a b c", &(mr_encode_options){ .add_special_tokens = true, .max_tokens = 4, .truncate_left = true }, (int32_t[]){ 7, 2, 4, 8, -1 });
    gives(json, "a b c", &(mr_encode_options){ .add_special_tokens = true, .max_tokens = 2 }, (int32_t[]){ 7, 8, -1 });
    gives(json, "a b c", &(mr_encode_options){ .max_tokens = 2 }, (int32_t[]){ 1, 2, -1 });
    mr_tokenizer *tokenizer = open_text(json);
    mr_tokenizer_scratch *scratch;
    mr_encoding encoding = { 0 };
    mr_error error;
    assert_int_equal(mr_tokenizer_scratch_create(&scratch, NULL), MR_OK);
    assert_int_equal(mr_tokenizer_encode(tokenizer, scratch, MR_STR("a"), &(mr_encode_options){ .add_special_tokens = true, .max_tokens = 1 }, &encoding, &error), MR_INVALID_ARGUMENT);
    assert_int_equal(mr_tokenizer_encode(tokenizer, scratch, MR_STR("a b c"), &(mr_encode_options){ .add_special_tokens = true, .max_tokens = 3 }, &encoding, &error), MR_OK);
    assert_int_equal(encoding.full_count, 5);
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
    mr_tokenizer_close(tokenizer);
}

static void test_pre_tokenizers(void **state)
{
    (void)state;
#define SPLIT(behavior) "{" WORDPIECE ", \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"String\": \"b\"}, \"behavior\": \"" behavior "\"}}"
    gives(SPLIT("Removed"), "abbc", NULL, (int32_t[]){ 1, 4, -1 });
    gives(SPLIT("Isolated"), "abbc", NULL, (int32_t[]){ 1, 2, 2, 4, -1 });
    gives(SPLIT("MergedWithPrevious"), "abbc", NULL, (int32_t[]){ 1, 3, 2, 4, -1 });
    gives(SPLIT("MergedWithNext"), "abba", NULL, (int32_t[]){ 1, 2, 0, -1 });
    gives(SPLIT("Contiguous"), "abba", NULL, (int32_t[]){ 1, 2, 3, 1, -1 });
    gives(SPLIT("Contiguous\", \"invert\": true, \"\": \""), "abba", NULL, (int32_t[]){ 1, 2, 3, 1, -1 });
    gives("{" WORDPIECE ", \"pre_tokenizer\": {\"type\": \"CharDelimiterSplit\", \"delimiter\": \"x\"}}", "axabx", NULL, (int32_t[]){ 1, 1, 3, -1 });
    gives("{" WORDPIECE ", \"pre_tokenizer\": {\"type\": \"FixedLength\", \"length\": 2}}", "ababa", NULL, (int32_t[]){ 1, 3, 1, 3, 1, -1 });
    gives("{" WORDPIECE ", \"pre_tokenizer\": {\"type\": \"Whitespace\"}}", "a !ab", NULL, (int32_t[]){ 1, 0, 1, 3, -1 });
    gives("{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 1, \"?\": 2}, \"unk_token\": \"?\"}, \"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}}", "a b", NULL, (int32_t[]){ 1, 2, -1 });
    /* "first" is where the text began before it was normalised. */
#define FIRST(normalizer) "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"_a\": 1, \"a\": 2, \"?\": 0}, \"unk_token\": \"?\"}, \"normalizer\": {\"type\": \"" normalizer \
    "\"}, \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"first\"}}"
    gives(FIRST("StripAccents"), "a", NULL, (int32_t[]){ 1, -1 });
    gives(FIRST("StripAccents"), "\xCC\x81" "a", NULL, (int32_t[]){ 2, -1 });
    gives(FIRST("Nmt"), "\x7F" "a", NULL, (int32_t[]){ 2, -1 });
}

static void test_questions(void **state)
{
    (void)state;
    mr_tokenizer *tokenizer = open_text("{" WORDPIECE ", \"added_tokens\": [{\"id\": 9, \"content\": \"<s>\", \"special\": true}]}");
    assert_int_equal(mr_tokenizer_vocab_size(tokenizer), 10);
    assert_int_equal(mr_tokenizer_id(tokenizer, MR_STR("<s>")), 9);
    assert_int_equal(mr_tokenizer_id(tokenizer, MR_STR("##b")), 3);
    assert_int_equal(mr_tokenizer_id(tokenizer, MR_STR("zz")), -1);
    assert_true(mr_tokenizer_is_special(tokenizer, 9));
    assert_false(mr_tokenizer_is_special(tokenizer, 1));
    assert_true(mr_str_equal(mr_tokenizer_piece(tokenizer, 9), MR_STR("<s>")));
    assert_null(mr_tokenizer_piece(tokenizer, 7).data);
    assert_null(mr_tokenizer_piece(tokenizer, -1).data);
    assert_null(mr_tokenizer_piece(tokenizer, INT32_MAX).data);
    mr_buf text = { 0 };
    assert_int_equal(mr_tokenizer_decode(tokenizer, (int32_t[]){ 1, 99, 9 }, 3, false, &text, NULL), MR_OK);
    assert_string_equal(text.data, "a <s>");
    mr_tokenizer_close(tokenizer);
    /* What is searched in normalised text is decoded so. */
    tokenizer = open_text("{" WORDPIECE ", \"normalizer\": {\"type\": \"Lowercase\"}, \"added_tokens\": [{\"id\": 9, \"content\": \"LOW\"}]}");
    text.length = 0;
    assert_int_equal(mr_tokenizer_decode(tokenizer, (int32_t[]){ 9 }, 1, false, &text, NULL), MR_OK);
    assert_true(mr_str_equal((mr_str){ text.data, text.length }, MR_STR("low")));
    assert_true(mr_str_equal(mr_tokenizer_piece(tokenizer, 9), MR_STR("LOW")));
    mr_buf_fini(&text);
    mr_tokenizer_close(tokenizer);
}

/* One tokenizer, several threads, each with its scratch; and one scratch used with several tokenizers. */
static mr_tokenizer *shared;

static void *encode_often(void *argument)
{
    mr_tokenizer_scratch *scratch;
    mr_encoding encoding = { 0 };
    size_t wrong = 0;
    if (mr_tokenizer_scratch_create(&scratch, NULL) != MR_OK) return argument;
    for (int i = 0; i < 2000; i++) {
        mr_str text = i % 2 ? MR_STR("ab c a") : MR_STR("c c abb b");
        if (mr_tokenizer_encode(shared, scratch, text, &(mr_encode_options){ 0 }, &encoding, NULL) != MR_OK || encoding.count != (i % 2 ? 4u : 6u)) wrong++;
    }
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
    return wrong ? argument : NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    (void)state;
    shared = open_text("{" WORDPIECE ", \"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}}");
    for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, encode_often, &shared), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    mr_tokenizer_close(shared);
}

static void test_scratch_changes_hands(void **state)
{
    mr_tokenizer_scratch *scratch;
    mr_encoding encoding = { 0 };
    (void)state;
    assert_int_equal(mr_tokenizer_scratch_create(&scratch, NULL), MR_OK);
    for (int32_t id = 1; id < 4; id++) {
        char json[128];
        snprintf(json, sizeof json, "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": %d}}}", id);
        mr_tokenizer *tokenizer = open_text(json);
        assert_int_equal(mr_tokenizer_encode(tokenizer, scratch, MR_STR("a"), &(mr_encode_options){ 0 }, &encoding, NULL), MR_OK);
        assert_int_equal(encoding.ids[0], id);
        mr_tokenizer_close(tokenizer);
    }
    mr_encoding_fini(&encoding);
    mr_tokenizer_scratch_destroy(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_files), cmocka_unit_test(test_missing_directory), cmocka_unit_test(test_vocab_txt), cmocka_unit_test(test_added_token_flags),
        cmocka_unit_test(test_truncation), cmocka_unit_test(test_pre_tokenizers), cmocka_unit_test(test_questions), cmocka_unit_test(test_threads), cmocka_unit_test(test_scratch_changes_hands),
    };
    return RUN_TESTS(tests);
}
