/* The GGUF reader: what is in a file is found again, and every lie is refused before anything is read through it. */
#include "../cm.h"

#include "gguf_writer.h"

static mr_buf sample(uint32_t version)
{
    gguf_writer w = { 0 };
    const float numbers[6] = { 1, 2, 3, 4, 5, 6 };
    unsigned char block[2 * 34] = { 7 };
    gguf_key_string(&w, "general.architecture", MR_STR("tiny"));
    gguf_key_u32(&w, "tiny.block_count", 3);
    gguf_key(&w, "tiny.signed", MR_GGUF_VALUE_I8);
    gguf_put_number(&w.values, 0xFE, 1);
    gguf_key(&w, "tiny.scale", MR_GGUF_VALUE_F32);
    gguf_put_number(&w.values, 0x3FC00000, 4); /* 1.5 */
    gguf_key_bool(&w, "tiny.flag", true);
    gguf_key_array(&w, "tiny.words", MR_GGUF_VALUE_STRING, 3);
    gguf_put_string(&w.values, MR_STR("one"));
    gguf_put_string(&w.values, MR_STR(""));
    gguf_put_string(&w.values, MR_STR("a\0b"));
    gguf_key_array(&w, "tiny.widths", MR_GGUF_VALUE_I16, 2);
    gguf_put_number(&w.values, 5, 2);
    gguf_put_number(&w.values, 0xFFFF, 2);
    gguf_tensor(&w, "b.weight", MR_GGUF_F32, 2, (uint64_t[]){ 3, 2 }, numbers, sizeof numbers);
    gguf_tensor(&w, "a.weight", MR_GGUF_Q8_0, 2, (uint64_t[]){ 32, 2 }, block, sizeof block);
    return gguf_finish(&w, version);
}

static mr_status parse(const mr_buf *file, mr_gguf *gguf, mr_error *error)
{
    return mr_gguf_parse((const unsigned char *)file->data, file->length, "tiny.gguf", gguf, error);
}

static void test_values(void **unused)
{
    (void)unused;
    for (uint32_t version = 2; version <= 3; version++) {
        mr_buf file = sample(version);
        mr_gguf gguf;
        mr_error error;
        const mr_gguf_value *value;
        size_t number;
        double real;
        bool flag;
        mr_str text;
        assert_int_equal(parse(&file, &gguf, &error), MR_OK);
        assert_int_equal(gguf.version, version);
        assert_int_equal(mr_gguf_get_size(&gguf, "tiny.block_count", 10, 0, &number, &error), MR_OK);
        assert_int_equal(number, 3);
        assert_int_equal(mr_gguf_get_size(&gguf, "tiny.block_count", 2, 0, &number, &error), MR_MODEL_CORRUPT);
        assert_int_equal(mr_gguf_get_size(&gguf, "tiny.signed", 300, 0, &number, &error), MR_MODEL_CORRUPT);
        assert_int_equal(mr_gguf_integer(mr_gguf_find(&gguf, "tiny.signed"), 0), -2);
        assert_int_equal(mr_gguf_get_size(&gguf, "tiny.absent", 2, 9, &number, &error), MR_OK);
        assert_int_equal(number, 9);
        assert_int_equal(mr_gguf_get_double(&gguf, "tiny.scale", 0, &real, &error), MR_OK);
        assert_true(real == 1.5);
        assert_int_equal(mr_gguf_get_bool(&gguf, "tiny.flag", false, &flag, &error), MR_OK);
        assert_true(flag);
        assert_int_equal(mr_gguf_get_bool(&gguf, "tiny.scale", false, &flag, &error), MR_MODEL_CORRUPT);
        assert_non_null(strstr(error.text, "tiny.scale"));
        assert_int_equal(mr_gguf_get_str(&gguf, "general.architecture", (mr_str){ 0 }, &text, &error), MR_OK);
        assert_true(mr_str_equal(text, MR_STR("tiny")));
        assert_int_equal(mr_gguf_get_strings(&gguf, "tiny.words", &value, &error), MR_OK);
        assert_int_equal(value->count, 3);
        const unsigned char *at = value->data;
        assert_true(mr_str_equal(mr_gguf_next_string(&at), MR_STR("one")));
        assert_true(mr_str_equal(mr_gguf_next_string(&at), MR_STR("")));
        assert_true(mr_str_equal(mr_gguf_next_string(&at), MR_STR("a\0b")));
        assert_int_equal(mr_gguf_get_strings(&gguf, "tiny.widths", &value, &error), MR_MODEL_CORRUPT);
        assert_int_equal(mr_gguf_get_integers(&gguf, "tiny.widths", &value, &error), MR_OK);
        assert_int_equal(mr_gguf_integer(value, 0), 5);
        assert_int_equal(mr_gguf_integer(value, 1), -1);
        mr_gguf_fini(&gguf);
        mr_buf_fini(&file);
    }
}

static void test_tensors(void **unused)
{
    mr_buf file = sample(3);
    mr_gguf gguf;
    float numbers[6];
    (void)unused;
    assert_int_equal(parse(&file, &gguf, NULL), MR_OK);
    assert_int_equal(gguf.tensor_count, 2);
    const mr_gguf_tensor *a = mr_gguf_find_tensor(&gguf, "a.weight"), *b = mr_gguf_find_tensor(&gguf, "b.weight");
    assert_non_null(a);
    assert_non_null(b);
    assert_null(mr_gguf_find_tensor(&gguf, "c.weight"));
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->shape[0], 2); /* outermost first */
    assert_int_equal(b->shape[1], 3);
    memcpy(numbers, b->data, sizeof numbers);
    assert_true(numbers[5] == 6.0f);
    assert_int_equal(a->elements, 64);
    assert_int_equal(a->bytes, 2 * mr_gguf_block_bytes(MR_GGUF_Q8_0));
    assert_int_equal(a->data[0], 7);
    assert_string_equal(mr_gguf_type_text(a->type), "Q8_0");
    mr_gguf_fini(&gguf);
    mr_buf_fini(&file);
}

/* Every shorter file is refused; every file with one byte changed is refused or read without harm (sanitizers watch). */
static void test_damaged(void **unused)
{
    mr_buf file = sample(3);
    mr_gguf gguf;
    (void)unused;
    for (size_t length = 0; length < file.length; length++) {
        unsigned char *cut = malloc(length + 1);
        memcpy(cut, file.data, length);
        assert_int_not_equal(mr_gguf_parse(cut, length, "cut.gguf", &gguf, NULL), MR_OK);
        free(cut);
    }
    for (size_t at = 0; at < file.length; at++) {
        for (int bit = 0; bit < 8; bit++) {
            file.data[at] ^= (char)(1 << bit);
            if (parse(&file, &gguf, NULL) == MR_OK) mr_gguf_fini(&gguf);
            file.data[at] ^= (char)(1 << bit);
        }
    }
    mr_buf_fini(&file);
}

typedef struct lie {
    const char *text; /* in the error */
    void (*tell)(gguf_writer *w);
    uint32_t version;
} lie;

static void same_key(gguf_writer *w)
{
    gguf_key_u32(w, "x", 1);
    gguf_key_u32(w, "x", 2);
}

static void odd_rows(gguf_writer *w)
{
    gguf_tensor(w, "t", MR_GGUF_Q4_K, 1, (uint64_t[]){ 100 }, "", 0);
}

static void huge_shape(gguf_writer *w)
{
    gguf_tensor(w, "t", MR_GGUF_F32, 3, (uint64_t[]){ 1ull << 32, 1ull << 32, 4 }, "", 0);
}

static void beyond(gguf_writer *w)
{
    gguf_tensor(w, "t", MR_GGUF_F32, 1, (uint64_t[]){ 100 }, "1234", 4);
}

static void unknown_tensor(gguf_writer *w)
{
    gguf_tensor(w, "t", 4, 1, (uint64_t[]){ 1 }, "1234", 4);
}

static void nested(gguf_writer *w)
{
    gguf_key_array(w, "x", MR_GGUF_VALUE_ARRAY, 1);
    gguf_put_number(&w->values, 0, 12);
}

static void endless_array(gguf_writer *w)
{
    gguf_key_array(w, "x", MR_GGUF_VALUE_U8, UINT64_MAX);
}

static void bad_alignment(gguf_writer *w)
{
    gguf_key_u32(w, "general.alignment", 24);
}

static void bad_truth(gguf_writer *w)
{
    gguf_key(w, "x", MR_GGUF_VALUE_BOOL);
    gguf_put_number(&w->values, 2, 1);
}

static void nothing(gguf_writer *w)
{
    (void)w;
}

static void test_lies(void **unused)
{
    static const lie lies[] = { { "twice", same_key, 3 }, { "whole blocks", odd_rows, 3 }, { "overflows", huge_shape, 3 }, { "truncated", beyond, 3 },
        { "unknown type 4", unknown_tensor, 3 }, { "array of arrays", nested, 3 }, { "truncated", endless_array, 3 }, { "no power of two", bad_alignment, 3 },
        { "neither 0 nor 1", bad_truth, 3 }, { "version 1;", nothing, 1 }, { "version 4;", nothing, 4 }, { "big-endian", nothing, 0x03000000 } };
    (void)unused;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        gguf_writer w = { 0 };
        mr_gguf gguf;
        mr_error error;
        lies[i].tell(&w);
        mr_buf file = gguf_finish(&w, lies[i].version);
        if (parse(&file, &gguf, &error) == MR_OK) fail_msg("accepted: %s", lies[i].text);
        if (!strstr(error.text, lies[i].text) || !strstr(error.text, "tiny.gguf")) fail_msg("\"%s\" does not say \"%s\"", error.text, lies[i].text);
        mr_buf_fini(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_values), cmocka_unit_test(test_tensors), cmocka_unit_test(test_damaged), cmocka_unit_test(test_lies) };
    return RUN_TESTS(tests);
}
