/* Files on disk: one file, shards behind an index, look-up, decoding, hashing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/file.h"
#include "safetensors_writer.h"

static char folder[512];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s", fresh_folder("checkpoint"));
    return 0;
}

static const char *in_folder(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void expect_refused(const char *path, mr_status status, const char *message)
{
    mr_checkpoint *checkpoint = NULL;
    mr_error error = { 0 };
    mr_status got = mr_checkpoint_open(path, &checkpoint, &error);
    if (got != status || !strstr(error.text, message)) fail_msg("%s: \"%s\", wanted \"%s\"", mr_status_name(got), error.text, message);
    assert_null(checkpoint);
}

static mr_checkpoint *open_good(const char *path)
{
    mr_checkpoint *checkpoint = NULL;
    mr_error error = { 0 };
    if (mr_checkpoint_open(path, &checkpoint, &error) != MR_OK) fail_msg("%s", error.text);
    return checkpoint;
}

static const float values[6] = { 1, -2, 3.5F, -0.0F, 1e-30F, 6 };

static void write_shards(void)
{
    const written_tensor one = { "layer.a", MR_DTYPE_F32, 2, { 2, 3 }, values };
    const written_tensor two[] = { { "layer.c", MR_DTYPE_F32, 1, { 3 }, values + 3 }, { "layer.b", MR_DTYPE_F32, 1, { 3 }, values } };
    write_safetensors(in_folder("model-00001-of-00002.safetensors"), &one, 1);
    write_safetensors(in_folder("model-00002-of-00002.safetensors"), two, 2);
}

static void write_index(const char *map)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":48},\"weight_map\":%s}", map);
    write_text(in_folder("model.safetensors.index.json"), text);
}

#define SHARD_1 "\"model-00001-of-00002.safetensors\""
#define SHARD_2 "\"model-00002-of-00002.safetensors\""

static void write_single(void)
{
    const written_tensor tensors[] = { { "w", MR_DTYPE_F32, 2, { 2, 3 }, values }, { "b", MR_DTYPE_F32, 1, { 2 }, values } };
    write_safetensors(in_folder("model.safetensors"), tensors, 2);
}

static void reads_one_file(void **state)
{
    (void)state;
    write_single();
    mr_checkpoint *checkpoint = open_good(folder);
    assert_int_equal(mr_checkpoint_count(checkpoint), 2);
    assert_int_equal(mr_checkpoint_bytes(checkpoint), 32);
    assert_string_equal(mr_checkpoint_at(checkpoint, 0)->name, "b");
    assert_null(mr_checkpoint_at(checkpoint, 2));
    assert_null(mr_checkpoint_find(checkpoint, "W"));
    const mr_tensor *tensor = NULL;
    mr_error error = { 0 };
    assert_int_equal(mr_checkpoint_require(checkpoint, "w", 2, (size_t[]){ 2, 3 }, &tensor, &error), MR_OK);
    float got[6];
    mr_tensor_to_f32(tensor, got);
    assert_memory_equal(got, values, sizeof got);
    mr_tensor_slice_to_f32(tensor, 2, 3, got);
    assert_memory_equal(got, values + 2, 3 * sizeof *got);
    assert_int_equal(mr_checkpoint_require(checkpoint, "w", 2, (size_t[]){ 3, 2 }, &tensor, &error), MR_MODEL_CORRUPT);
    assert_non_null(strstr(error.text, "\"w\" has shape [2, 3], expected [3, 2]"));
    assert_non_null(strstr(error.text, "model.safetensors"));
    assert_int_equal(mr_checkpoint_require(checkpoint, "w", 1, (size_t[]){ 6 }, &tensor, &error), MR_MODEL_CORRUPT);
    assert_int_equal(mr_checkpoint_require(checkpoint, "v", 1, (size_t[]){ 6 }, &tensor, &error), MR_MODEL_CORRUPT);
    assert_non_null(strstr(error.text, "missing tensor \"v\" [6]"));
    char whole[65], parts[65];
    assert_int_equal(mr_sha256_file(in_folder("model.safetensors"), whole, &error), MR_OK);
    assert_int_equal(mr_checkpoint_sha256(checkpoint, NULL, parts, &error), MR_OK);
    assert_string_equal(whole, parts);
    mr_checkpoint_close(checkpoint);
    mr_checkpoint_close(open_good(in_folder("model.safetensors")));
}

static void reads_shards(void **state)
{
    (void)state;
    write_shards();
    write_index("{\"layer.b\":" SHARD_2 ",\"layer.a\":" SHARD_1 ",\"layer.c\":" SHARD_2 "}");
    mr_checkpoint *checkpoint = open_good(folder);
    assert_int_equal(mr_checkpoint_count(checkpoint), 3);
    float got[3];
    mr_tensor_to_f32(mr_checkpoint_find(checkpoint, "layer.c"), got);
    assert_memory_equal(got, values + 3, sizeof got);
    assert_non_null(strstr(mr_checkpoint_find(checkpoint, "layer.a")->file, "00001-of"));
    char hex[65];
    assert_int_equal(mr_checkpoint_sha256(checkpoint, NULL, hex, NULL), MR_OK);
    mr_checkpoint_close(checkpoint);
}

static mr_cache *open_cache(const char *name)
{
    mr_cache *cache = NULL;
    assert_int_equal(mr_cache_open(in_folder(name), 1 << 20, "test", &cache, NULL), MR_OK);
    return cache;
}

/* In place: the same file in another state. */
static void change_weights(void)
{
    FILE *file = fopen(in_folder("model.safetensors"), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    int last = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    assert_int_equal(fputc(last ^ 1, file), last ^ 1);
    assert_int_equal(fclose(file), 0);
}

static void remembers_the_digest_of_files_that_rest(void **state)
{
    (void)state;
    char first[65], changed[65], got[65];
    write_single();
    mr_cache *cache = open_cache("cache"), *unused = open_cache("unused");

    mr_checkpoint *young = open_good(folder);
    assert_int_equal(mr_checkpoint_sha256(young, unused, first, NULL), MR_OK);
    mr_checkpoint_close(young);
    nanosleep(&(struct timespec){ .tv_sec = 2, .tv_nsec = 100000000 }, NULL);

    mr_checkpoint *rested = open_good(folder);
    assert_int_equal(mr_checkpoint_sha256(rested, cache, got, NULL), MR_OK);
    assert_string_equal(got, first);
    change_weights(); /* the open checkpoint sees it and has the old stamp */
    assert_int_equal(mr_checkpoint_sha256(rested, NULL, changed, NULL), MR_OK);
    assert_string_not_equal(changed, first);
    assert_int_equal(mr_checkpoint_sha256(rested, cache, got, NULL), MR_OK);
    assert_string_equal(got, first); /* so this one was remembered */
    assert_int_equal(mr_checkpoint_sha256(rested, unused, got, NULL), MR_OK);
    assert_string_equal(got, changed);
    mr_checkpoint_close(rested);

    mr_checkpoint *again = open_good(folder);
    assert_int_equal(mr_checkpoint_sha256(again, cache, got, NULL), MR_OK);
    assert_string_equal(got, changed);
    mr_checkpoint_close(again);
    assert_false(mr_path_exists(in_folder("unused"))); /* too young at first, then not what was opened */
    mr_cache_close(unused);
    mr_cache_close(cache);
}

static void refuses_bad_indexes(void **state)
{
    (void)state;
    write_shards();
    static const struct { const char *map; mr_status status; const char *message; } cases[] = {
        { "{\"layer.a\":" SHARD_1 ",\"layer.x\":" SHARD_2 "}", MR_MODEL_CORRUPT, "\"layer.x\" is not in" },
        { "{\"layer.a\":" SHARD_2 "}", MR_MODEL_CORRUPT, "\"layer.a\" is not in" },
        { "{\"layer.a\":\"gone.safetensors\",\"b\":\"also.safetensors\",\"c\":" SHARD_1 "}", MR_MODEL_FILES_MISSING, "also.safetensors" },
        { "{\"layer.a\":\"../model-00001-of-00002.safetensors\"}", MR_MODEL_CORRUPT, "beside the index" },
        { "{\"layer.a\":\"/etc/passwd\"}", MR_MODEL_CORRUPT, "beside the index" },
        { "{\"layer.a\":\"sub/x.safetensors\"}", MR_MODEL_CORRUPT, "beside the index" },
        { "{\"layer.a\":\"model.bin\"}", MR_MODEL_CORRUPT, "beside the index" },
        { "{\"layer.a\":\"x\\u0000.safetensors\"}", MR_MODEL_CORRUPT, "beside the index" },
        { "{\"layer.a\":3}", MR_MODEL_CORRUPT, "\"layer.a\"" },
        { "{\"layer.a\":" SHARD_1 ",\"layer.a\":" SHARD_2 "}", MR_MODEL_CORRUPT, "duplicate" },
        { "{}", MR_MODEL_CORRUPT, "weight_map is empty" },
        { "[]", MR_MODEL_CORRUPT, "weight_map" },
        { "null", MR_MODEL_CORRUPT, "weight_map" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_index(cases[i].map);
        expect_refused(folder, cases[i].status, cases[i].message);
    }
    write_text(in_folder("model.safetensors.index.json"), "{");
    expect_refused(folder, MR_MODEL_CORRUPT, "not valid JSON");
    write_text(in_folder("model.safetensors.index.json"), "[]");
    expect_refused(folder, MR_MODEL_CORRUPT, "weight_map");
}

static void names_a_broken_shard(void **state)
{
    (void)state;
    write_shards();
    write_raw_safetensors(in_folder("model-00002-of-00002.safetensors"), 2, "{}", "x", 1);
    write_index("{\"layer.a\":" SHARD_1 ",\"layer.b\":" SHARD_2 "}");
    expect_refused(folder, MR_MODEL_CORRUPT, "model-00002-of-00002.safetensors");
}

static void lists_what_is_missing(void **state)
{
    (void)state;
    expect_refused(folder, MR_MODEL_FILES_MISSING, "neither model.safetensors nor model.safetensors.index.json");
    expect_refused(in_folder("nothing"), MR_MODEL_FILES_MISSING, "does not exist");
    write_text(in_folder("model.safetensors"), "");
    expect_refused(folder, MR_MODEL_CORRUPT, "too few");
}

/* One stored value and what it must decode to, for every dtype; reached through an odd address. */
static void decodes_every_dtype(void **state)
{
    (void)state;
    static const struct { mr_dtype dtype; uint64_t bits; float value; } cases[] = {
        { MR_DTYPE_F64, UINT64_C(0x3FF0000010000000), 1.0F }, /* 1 + 2^-24: a tie, to even */
        { MR_DTYPE_F64, UINT64_C(0xC004000000000000), -2.5F },
        { MR_DTYPE_F32, 0x3DCCCCCD, 0.1F },
        { MR_DTYPE_F16, 0x3C00, 1.0F }, { MR_DTYPE_F16, 0x7BFF, 65504.0F }, { MR_DTYPE_F16, 0x0001, 0x1p-24F },
        { MR_DTYPE_F16, 0x83FF, -0x1.ff8p-15F }, { MR_DTYPE_F16, 0x0400, 0x1p-14F }, { MR_DTYPE_F16, 0xFC00, -INFINITY },
        { MR_DTYPE_BF16, 0x3F80, 1.0F }, { MR_DTYPE_BF16, 0xC049, -3.140625F }, { MR_DTYPE_BF16, 0x7F80, INFINITY },
        { MR_DTYPE_F8_E4M3, 0x38, 1.0F }, { MR_DTYPE_F8_E4M3, 0x7E, 448.0F }, { MR_DTYPE_F8_E4M3, 0x81, -0x1p-9F },
        { MR_DTYPE_F8_E5M2, 0x3C, 1.0F }, { MR_DTYPE_F8_E5M2, 0x7B, 57344.0F }, { MR_DTYPE_F8_E5M2, 0x01, 0x1p-16F },
        { MR_DTYPE_I64, (uint64_t)-5, -5 }, { MR_DTYPE_I32, 0xFFFFFFFE, -2 }, { MR_DTYPE_I16, 0x8000, -32768 }, { MR_DTYPE_I8, 0x80, -128 },
        { MR_DTYPE_U64, UINT64_MAX, 0x1p64F }, { MR_DTYPE_U32, 0xFFFFFFFF, 0x1p32F }, { MR_DTYPE_U16, 0xFFFF, 65535 },
        { MR_DTYPE_U8, 0xFF, 255 }, { MR_DTYPE_BOOL, 0, 0 }, { MR_DTYPE_BOOL, 1, 1 },
    };
    bool seen[MR_DTYPE_COUNT] = { false };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char bytes[17];
        size_t size = mr_dtype_bytes(cases[i].dtype);
        memcpy(bytes + 1, &cases[i].bits, size);
        memcpy(bytes + 1 + size, &cases[i].bits, size);
        const mr_tensor tensor = { .dtype = cases[i].dtype, .rank = 1, .shape = { 2 }, .elements = 2, .data = bytes + 1, .bytes = 2 * size };
        float got[2];
        mr_tensor_to_f32(&tensor, got);
        if (memcmp(&got[0], &cases[i].value, sizeof *got) != 0 || memcmp(&got[1], &cases[i].value, sizeof *got) != 0)
            fail_msg("%s 0x%llx: %a, expected %a", mr_dtype_text(cases[i].dtype), (unsigned long long)cases[i].bits, (double)got[0],
                     (double)cases[i].value);
        seen[cases[i].dtype] = true;
    }
    for (int dtype = 0; dtype < MR_DTYPE_COUNT; dtype++) assert_true(seen[dtype]);
    static const struct { mr_dtype dtype; uint16_t bits; } nans[] = { { MR_DTYPE_F16, 0x7E00 }, { MR_DTYPE_BF16, 0x7FC0 }, { MR_DTYPE_F8_E4M3, 0x7F }, { MR_DTYPE_F8_E5M2, 0x7E } };
    for (size_t i = 0; i < sizeof nans / sizeof *nans; i++) {
        const mr_tensor tensor = { .dtype = nans[i].dtype, .elements = 1, .data = (const unsigned char *)&nans[i].bits };
        float got;
        mr_tensor_to_f32(&tensor, &got);
        assert_true(isnan(got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reads_one_file, make_folder),        cmocka_unit_test_setup(reads_shards, make_folder),
        cmocka_unit_test_setup(remembers_the_digest_of_files_that_rest, make_folder),
        cmocka_unit_test_setup(refuses_bad_indexes, make_folder),   cmocka_unit_test_setup(names_a_broken_shard, make_folder),
        cmocka_unit_test_setup(lists_what_is_missing, make_folder), cmocka_unit_test(decodes_every_dtype),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
