/* Every lie a safetensors header can tell is refused, with the file and the tensor in the message. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weights/safetensors.h"

typedef struct lie {
    const char *what;
    const char *header;
    size_t data_bytes;
    mr_status status;
    const char *message; /* part of the error text */
} lie;

#define ENTRY(name, dtype, shape, begin, end) "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static const lie lies[] = {
    { "not JSON", "{]", 0, MR_MODEL_CORRUPT, "not a JSON object" },
    { "an array", "[]", 0, MR_MODEL_CORRUPT, "wrong type" },
    { "empty header", "", 0, MR_MODEL_CORRUPT, "not a JSON object" },
    { "text after the object", "{} x", 0, MR_MODEL_CORRUPT, "not a JSON object" },
    { "ill-formed UTF-8", "{\"\xff\":1}", 0, MR_MODEL_CORRUPT, "not a JSON object" },
    { "U+0000 in a name", "{\"a\\u0000b\":{}}", 0, MR_MODEL_CORRUPT, "not a JSON object" },
    { "duplicate name", "{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("a", "U8", "[1]", "1", "2") "}", 2, MR_MODEL_CORRUPT, "duplicate" },
    { "duplicate key", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, MR_MODEL_CORRUPT, "duplicate" },
    { "metadata of another type", "{\"__metadata__\":[]}", 0, MR_MODEL_CORRUPT, "__metadata__" },
    { "metadata value of another type", "{\"__metadata__\":{\"k\":1}}", 0, MR_MODEL_CORRUPT, "\"k\"" },
    { "entry of another type", "{\"tensor.a\":7}", 0, MR_MODEL_CORRUPT, "\"tensor.a\"" },
    { "no dtype", "{\"tensor.a\":{\"shape\":[],\"data_offsets\":[0,1]}}", 1, MR_MODEL_CORRUPT, "\"tensor.a\": no dtype" },
    { "unknown dtype", "{" ENTRY("tensor.a", "F7", "[1]", "0", "1") "}", 1, MR_MODEL_UNSUPPORTED, "\"F7\"" },
    { "no shape", "{\"tensor.a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, MR_MODEL_CORRUPT, "\"tensor.a\": no shape" },
    { "negative size", "{" ENTRY("tensor.a", "U8", "[-1]", "0", "1") "}", 1, MR_MODEL_CORRUPT, "shape[0]" },
    { "fractional size", "{" ENTRY("tensor.a", "U8", "[1.0]", "0", "1") "}", 1, MR_MODEL_CORRUPT, "shape[0]" },
    { "size beyond 64 bits", "{" ENTRY("tensor.a", "U8", "[99999999999999999999]", "0", "1") "}", 1, MR_MODEL_CORRUPT, "not a JSON object" },
    { "nine dimensions", "{" ENTRY("tensor.a", "U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1, MR_MODEL_UNSUPPORTED, "9 dimensions" },
    { "shape product overflows to 0", "{" ENTRY("tensor.a", "U8", "[4294967296,4294967296]", "0", "0") "}", 0, MR_MODEL_CORRUPT, "overflows" },
    { "byte count overflows to 8", "{" ENTRY("tensor.a", "F64", "[2305843009213693953]", "0", "8") "}", 8, MR_MODEL_CORRUPT, "overflows" },
    { "no offsets", "{\"tensor.a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, MR_MODEL_CORRUPT, "data_offsets" },
    { "one offset", "{\"tensor.a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0]}}", 0, MR_MODEL_CORRUPT, "data_offsets" },
    { "three offsets", "{\"tensor.a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1, MR_MODEL_CORRUPT, "data_offsets" },
    { "negative offset", "{" ENTRY("tensor.a", "U8", "[1]", "-1", "0") "}", 1, MR_MODEL_CORRUPT, "data_offsets" },
    { "backward offsets", "{" ENTRY("tensor.a", "U8", "[1]", "2", "1") "}", 2, MR_MODEL_CORRUPT, "backwards" },
    { "end behind the file", "{" ENTRY("tensor.a", "U8", "[9]", "0", "9") "}", 8, MR_MODEL_CORRUPT, "byte 9 of 8" },
    { "end at 2^63 - 1", "{" ENTRY("tensor.a", "U8", "[9223372036854775807]", "0", "9223372036854775807") "}", 8, MR_MODEL_CORRUPT, "of 8" },
    { "too few bytes for the shape", "{" ENTRY("tensor.a", "F32", "[2]", "0", "4") "}", 4, MR_MODEL_CORRUPT, "need 8" },
    { "too many bytes for the shape", "{" ENTRY("tensor.a", "F32", "[1]", "0", "8") "}", 8, MR_MODEL_CORRUPT, "need 4" },
    { "bytes for an empty shape", "{" ENTRY("tensor.a", "F32", "[0]", "0", "4") "}", 4, MR_MODEL_CORRUPT, "need 0" },
    { "hole at the start", "{" ENTRY("tensor.a", "U8", "[1]", "1", "2") "}", 2, MR_MODEL_CORRUPT, "hole from byte 0" },
    { "hole between", "{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("tensor.b", "U8", "[1]", "2", "3") "}", 3, MR_MODEL_CORRUPT, "\"tensor.b\"" },
    { "bytes behind the last", "{" ENTRY("a", "U8", "[1]", "0", "1") "}", 2, MR_MODEL_CORRUPT, "belong to none" },
    { "data without tensors", "{}", 1, MR_MODEL_CORRUPT, "belong to none" },
    { "overlap", "{" ENTRY("a", "U8", "[2]", "0", "2") "," ENTRY("tensor.b", "U8", "[2]", "1", "3") "}", 3, MR_MODEL_CORRUPT, "inside the tensor" },
    { "same bytes twice", "{" ENTRY("a", "U8", "[2]", "0", "2") "," ENTRY("b", "U8", "[2]", "0", "2") "}", 2, MR_MODEL_CORRUPT, "inside the tensor" },
    { "nested", "{" ENTRY("a", "U8", "[4]", "0", "4") "," ENTRY("b", "U8", "[1]", "1", "2") "}", 4, MR_MODEL_CORRUPT, "inside the tensor" },
    { "empty tensor inside another", "{" ENTRY("a", "U8", "[4]", "0", "4") "," ENTRY("b", "U8", "[0]", "2", "2") "}", 4, MR_MODEL_CORRUPT, "\"b\"" },
};

/* header length, header text and zeroed data as one file in memory. Free the result. */
static unsigned char *image(uint64_t header_bytes, const char *header, size_t data_bytes, size_t *length)
{
    *length = 8 + strlen(header) + data_bytes;
    unsigned char *bytes = calloc(1, *length);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(header_bytes >> (8 * i));
    memcpy(bytes + 8, header, strlen(header));
    return bytes;
}

static mr_status parse(uint64_t header_bytes, const char *header, size_t data_bytes, mr_error *error)
{
    size_t length;
    unsigned char *bytes = image(header_bytes, header, data_bytes, &length);
    mr_safetensors parsed = { 0 };
    mr_status status = mr_safetensors_parse(bytes, length, "some/file", &parsed, error);
    mr_safetensors_fini(&parsed);
    free(bytes);
    return status;
}

static void refuses_every_lie(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        mr_error error = { 0 };
        mr_status status = parse(strlen(lies[i].header), lies[i].header, lies[i].data_bytes, &error);
        if (status != lies[i].status || !strstr(error.text, lies[i].message) || !strstr(error.text, "some/file"))
            fail_msg("%s: status %s, text \"%s\"", lies[i].what, mr_status_name(status), error.text);
    }
}

static void refuses_false_header_lengths(void **state)
{
    (void)state;
    static const struct { uint64_t claimed; const char *message; } cases[] = {
        { 3, "beyond the file" }, { 100000001, "limit" }, { UINT64_MAX, "limit" }, { UINT64_C(1) << 63, "limit" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_error error = { 0 };
        assert_int_equal(parse(cases[i].claimed, "{}", 0, &error), MR_MODEL_CORRUPT);
        if (!strstr(error.text, cases[i].message)) fail_msg("%s", error.text);
    }
    mr_error error = { 0 };
    mr_safetensors parsed;
    for (size_t length = 0; length < 8; length++)
        assert_int_equal(mr_safetensors_parse((const unsigned char *)"\0\0\0\0\0\0\0", length, "f", &parsed, &error), MR_MODEL_CORRUPT);
    /* a shorter claim cuts the object */
    assert_int_equal(parse(1, "{}", 0, &error), MR_MODEL_CORRUPT);
}

static void accepts_any_order_and_empty_tensors(void **state)
{
    (void)state;
    static const char header[] = "{" ENTRY("b", "F32", "[1]", "4", "8") "," ENTRY("empty", "F32", "[3,0]", "4", "4") ","
        ENTRY("a", "U8", "[2,2]", "0", "4") "," ENTRY("scalar", "U8", "[]", "8", "9") ",\"__metadata__\":{\"format\":\"pt\"}}   ";
    size_t length;
    unsigned char *bytes = image(strlen(header), header, 9, &length);
    mr_safetensors parsed = { 0 };
    mr_error error = { 0 };
    if (mr_safetensors_parse(bytes, length, "f", &parsed, &error) != MR_OK) fail_msg("%s", error.text);
    static const char *const names[] = { "a", "empty", "b", "scalar" };
    static const size_t elements[] = { 4, 0, 1, 1 };
    assert_int_equal(parsed.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(parsed.tensors[i].name, names[i]);
        assert_int_equal(parsed.tensors[i].elements, elements[i]);
    }
    assert_ptr_equal(parsed.tensors[2].data, bytes + 8 + strlen(header) + 4);
    mr_safetensors_fini(&parsed);
    free(bytes);
}

static int allocations_left;

static void *allocate_while_there_is(size_t bytes)
{
    if (allocations_left-- > 0) return malloc(bytes);
    errno = ENOMEM;
    return NULL;
}

/* Whichever allocation fails, the file is not called corrupt. */
static void memory_that_runs_out_is_no_lie(void **state)
{
    (void)state;
    json_malloc_t usual_malloc;
    json_free_t usual_free;
    json_get_alloc_funcs(&usual_malloc, &usual_free);
    json_set_alloc_funcs(allocate_while_there_is, free);
    static const char header[] = "{" ENTRY("a", "U8", "[1]", "0", "1") "," ENTRY("b", "U8", "[2]", "1", "3") "}";
    mr_status status = MR_OUT_OF_MEMORY;
    int count = 0;
    for (; status == MR_OUT_OF_MEMORY; count++) {
        allocations_left = count;
        status = parse(strlen(header), header, 3, NULL);
    }
    json_set_alloc_funcs(usual_malloc, usual_free);
    assert_int_equal(status, MR_OK);
    assert_true(count > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_every_lie),
        cmocka_unit_test(refuses_false_header_lengths),
        cmocka_unit_test(accepts_any_order_and_empty_tensors),
        cmocka_unit_test(memory_that_runs_out_is_no_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
