/* Linear layers out of the cache are the layers that were packed, bit for bit, or they are packed anew. */
#include "tests/cm.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nn/packed_image.h"
#include "nn/params.h"
#include "safetensors_writer.h"

#define K 70
#define ROWS 33

static char folder[512];
static float weights[2][ROWS * K], biases[2][ROWS];

static const char *in_folder(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_weights(unsigned seed)
{
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; i < ROWS * K; i++) weights[m][i] = (float)((seed = seed * 1664525 + 1013904223) >> 8) * 0x1p-23F - 1.0F;
        for (size_t i = 0; i < ROWS; i++) biases[m][i] = weights[m][i * K];
    }
    const written_tensor tensors[] = {
        { "a.weight", MR_DTYPE_F32, 2, { ROWS, K }, weights[0] }, { "a.bias", MR_DTYPE_F32, 1, { ROWS }, biases[0] },
        { "b.weight", MR_DTYPE_F32, 2, { ROWS, K }, weights[1] }, { "b.bias", MR_DTYPE_F32, 1, { ROWS }, biases[1] },
    };
    write_safetensors(in_folder("model.safetensors"), tensors, 4);
}

static void wait_until_settled(void)
{
    nanosleep(&(struct timespec){ .tv_sec = 2, .tv_nsec = 100000000 }, NULL);
}

static int make_folder(void **state)
{
    (void)state;
    mr_error error;
    snprintf(folder, sizeof folder, "%s", fresh_folder("packed-layers"));
    return mr_kernels_init(NULL, &error) == MR_OK ? 0 : -1;
}

/* ---------------------------------------------------------------- a model of two layers */

typedef struct model {
    const char *first, *second;
    mr_linear layers[2];
} model;

static mr_status take(void *context, mr_params *params, mr_error *error)
{
    model *m = context;
    const mr_linear_part first = { .name = m->first, .rows = ROWS, .has_bias = true }, second = { .name = m->second, .rows = ROWS, .has_bias = true };
    MR_TRY(mr_params_linear(params, &first, 1, K, &m->layers[0], error));
    return mr_params_linear(params, &second, 1, K, &m->layers[1], error);
}

/* What the layers make of fixed rows. */
static void run(model *m, float out[2][3 * ROWS])
{
    float x[3 * K];
    void *scratch = NULL;
    for (size_t i = 0; i < 3 * K; i++) x[i] = (float)(i % 17) - 8.0F;
    for (size_t layer = 0; layer < 2; layer++) {
        size_t bytes = mr_linear_scratch_bytes(&m->layers[layer], 3);
        assert_int_equal(posix_memalign(&scratch, 64, bytes + 64), 0);
        mr_linear_run(&m->layers[layer], x, K, out[layer], ROWS, 3, NULL, scratch);
        free(scratch);
    }
}

static bool lies_in(const void *address, const char *path)
{
    char line[1024];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (!found && fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        found = sscanf(line, "%lx-%lx", &begin, &end) == 2 && (uintptr_t)address >= begin && (uintptr_t)address < end && strstr(line, path);
    }
    fclose(maps);
    return found;
}

/* Opens twice, with the cache and without; the same results are asserted. True when the layers came out of the cache. */
static bool open_both(const mr_cache *cache, mr_linear_format format, const char *first, const char *second)
{
    mr_checkpoint *checkpoint = NULL;
    mr_params *params[2] = { 0 };
    float out[2][2][3 * ROWS];
    bool cached = false;
    mr_error error = { 0 };
    for (int use = 0; use < 2; use++) {
        model m = { .first = first, .second = second };
        const mr_params_options options = { .format = format, .cache = use ? cache : NULL };
        if (!checkpoint) assert_int_equal(mr_checkpoint_open(folder, &checkpoint, &error), MR_OK);
        assert_int_equal(mr_params_open(checkpoint, &options, take, &m, &params[use], &error), MR_OK);
        run(&m, out[use]);
        if (use) cached = lies_in(m.layers[0].weights, in_folder("cache"));
        assert_int_equal(lies_in(m.layers[1].weights, in_folder("cache")), cached);
    }
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    assert_int_equal(mr_params_bytes(params[0]), mr_params_bytes(params[1])); /* the account does not care where they lie */
    mr_params_destroy(params[0]);
    mr_params_destroy(params[1]);
    mr_checkpoint_close(checkpoint);
    return cached;
}

static mr_cache *open_cache(uint64_t limit)
{
    mr_cache *cache = NULL;
    assert_int_equal(mr_cache_open(in_folder("cache"), limit, "test", &cache, NULL), MR_OK);
    return cache;
}

/* ---------------------------------------------------------------- tests */

static void come_out_of_the_cache_the_second_time(void **state)
{
    (void)state;
    write_weights(1);
    mr_cache *cache = open_cache(1 << 20), *none = open_cache(100);
    assert_false(open_both(cache, MR_LINEAR_F32, "a", "b"));
    assert_false(open_both(cache, MR_LINEAR_F32, "a", "b")); /* files just written may still change */
    wait_until_settled();
    for (int format = 0; format < MR_LINEAR_FORMAT_COUNT; format++) {
        assert_false(open_both(cache, (mr_linear_format)format, "a", "b"));
        assert_true(open_both(cache, (mr_linear_format)format, "a", "b"));
    }
    assert_false(open_both(cache, MR_LINEAR_F32, "b", "a")); /* other layers */
    assert_true(open_both(cache, MR_LINEAR_F32, "b", "a"));
    assert_true(open_both(cache, MR_LINEAR_F32, "a", "b"));
    assert_false(open_both(none, MR_LINEAR_F32, "a", "b"));

    write_weights(2); /* other weights */
    wait_until_settled();
    assert_false(open_both(cache, MR_LINEAR_F32, "a", "b"));
    assert_true(open_both(cache, MR_LINEAR_F32, "a", "b"));
    mr_cache_close(none);
    mr_cache_close(cache);
}

/* Changes one byte at a random place in every file of the cache. */
static void damage_cache(unsigned *seed)
{
    char path[1024];
    DIR *listing = opendir(in_folder("cache"));
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/cache/%s", folder, entry->d_name);
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        struct stat info;
        assert_int_equal(fstat(fileno(file), &info), 0);
        *seed = *seed * 1664525 + 1013904223;
        long at = (long)(*seed >> 4) % (long)info.st_size;
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        int byte = fgetc(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        fputc(byte ^ (1 << (*seed >> 29)), file);
        assert_int_equal(fclose(file), 0);
    }
    closedir(listing);
}

static void are_packed_again_when_the_cache_is_damaged(void **state)
{
    (void)state;
    write_weights(3);
    wait_until_settled();
    mr_cache *cache = open_cache(1 << 20);
    unsigned seed = 12345;
    assert_false(open_both(cache, MR_LINEAR_BF16, "a", "b"));
    for (int round = 0; round < 100; round++) {
        damage_cache(&seed);
        assert_false(open_both(cache, MR_LINEAR_BF16, "a", "b"));
        assert_true(open_both(cache, MR_LINEAR_BF16, "a", "b"));
    }
    mr_cache_close(cache);
}

static void are_shared_by_processes_that_start_at_once(void **state)
{
    (void)state;
    write_weights(4);
    wait_until_settled();
    pid_t children[6];
    for (size_t i = 0; i < 6; i++) {
        if ((children[i] = fork()) != 0) continue;
        mr_cache *cache = open_cache(1 << 20);
        for (int round = 0; round < 20; round++) (void)open_both(cache, MR_LINEAR_INT8, "a", "b");
        bool cached = open_both(cache, MR_LINEAR_INT8, "a", "b");
        mr_cache_close(cache);
        _exit(cached ? 0 : 1);
    }
    for (size_t i = 0; i < 6; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
}

#ifdef __has_feature /* clang */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1 /* keeps what was freed */
#endif
#endif
#if !defined(SANITIZED) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static long peak_kib(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Between 2 and 256 MiB. */
static void are_copied_where_huge_pages_pay(void **state)
{
    (void)state;
    enum { BYTES = 64 << 20 };
    long peaks[2];
    write_weights(7);
    wait_until_settled();
    mr_cache *cache = open_cache(128 << 20);
    mr_checkpoint *checkpoint = NULL;
    assert_int_equal(mr_checkpoint_open(folder, &checkpoint, NULL), MR_OK);
    for (int round = 0; round < 2; round++) {
        mr_packed_image image;
        assert_int_equal(mr_packed_image_open(checkpoint, cache, MR_LINEAR_F32, "all of it", BYTES, &image, NULL), MR_OK);
        assert_int_equal(image.is_packed, round == 1);
        unsigned char *data = mr_packed_image_take(&image, BYTES);
        assert_ptr_equal(data, image.data);
        assert_false(lies_in(data, in_folder("cache")));
        for (size_t i = 0; i < BYTES; i++) {
            if (round == 0) data[i] = (unsigned char)(i % 251);
            if (data[i] != i % 251) fail_msg("byte %zu", i);
        }
        mr_packed_image_keep(&image);
        mr_packed_image_close(&image);
        peaks[round] = peak_kib();
    }
    if (!SANITIZED) assert_true(peaks[1] - peaks[0] < (BYTES >> 10) / 2); /* never resident twice */
    mr_checkpoint_close(checkpoint);
    mr_cache_close(cache);
}

static mr_status take_and_touch(void *context, mr_params *params, mr_error *error)
{
    assert_int_equal(utimensat(AT_FDCWD, in_folder("model.safetensors"), NULL, 0), 0);
    return take(context, params, error);
}

static void are_not_kept_when_the_files_change_meanwhile(void **state)
{
    (void)state;
    write_weights(5);
    wait_until_settled();
    mr_cache *cache = open_cache(1 << 20);
    mr_checkpoint *checkpoint = NULL;
    mr_params *params = NULL;
    model m = { .first = "a", .second = "b" };
    const mr_params_options options = { .format = MR_LINEAR_F32, .cache = cache };
    assert_int_equal(mr_checkpoint_open(folder, &checkpoint, NULL), MR_OK);
    assert_int_equal(mr_params_open(checkpoint, &options, take_and_touch, &m, &params, NULL), MR_OK);
    mr_params_destroy(params);
    mr_checkpoint_close(checkpoint);
    wait_until_settled();
    assert_false(open_both(cache, MR_LINEAR_F32, "a", "b"));
    assert_true(open_both(cache, MR_LINEAR_F32, "a", "b"));
    mr_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(come_out_of_the_cache_the_second_time, make_folder),
        cmocka_unit_test_setup(are_packed_again_when_the_cache_is_damaged, make_folder),
        cmocka_unit_test_setup(are_copied_where_huge_pages_pay, make_folder),
        cmocka_unit_test_setup(are_not_kept_when_the_files_change_meanwhile, make_folder),
        cmocka_unit_test_setup(are_shared_by_processes_that_start_at_once, make_folder),
    };
    return RUN_TESTS(tests);
}
