/* A digest is remembered for as long as the file is what it was, and never a moment longer. */
#include "tests/cm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file_digest.h"

#define LARGE ((off_t)20 << 20)

static char folder[256], path[300];
static mr_cache *cache;

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/digest-XXXXXX", MR_TEST_TMP);
    if (mr_path_make_directories(MR_TEST_TMP, NULL) != MR_OK || !mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/file", folder);
    return mr_cache_open(folder, 1 << 20, "test", &cache, NULL) == MR_OK ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[300];
    mr_cache_close(cache);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void write_byte(off_t at, char byte)
{
    int file = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, &byte, 1, at), 1);
    close(file);
}

static void wait_until_settled(void)
{
    mr_file_stamp stamp;
    assert_true(mr_file_stamp_read(path, &stamp));
    for (int tenths = 0; !mr_file_stamp_is_settled(&stamp) && tenths < 50; tenths++) nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    assert_true(mr_file_stamp_is_settled(&stamp));
}

/* What the cache says of the file as it is now. */
static bool is_remembered(char hex[MR_SHA256_HEX])
{
    mr_file_stamp stamp;
    mr_buf key = { 0 };
    assert_true(mr_file_stamp_read(path, &stamp));
    assert_true(mr_buf_append_str(&key, "file") && mr_file_stamp_append(&key, path, &stamp));
    bool found = mr_cache_find_digest(cache, key.data, hex);
    mr_buf_fini(&key);
    return found;
}

static void check(bool remembered)
{
    char got[MR_SHA256_HEX], expected[MR_SHA256_HEX], kept[MR_SHA256_HEX];
    assert_int_equal(mr_sha256_file(path, expected, NULL), MR_OK);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(mr_sha256_file_remembered(cache, path, got, NULL), MR_OK);
        assert_string_equal(got, expected);
    }
    assert_true(is_remembered(kept) == remembered);
    if (remembered) assert_string_equal(kept, expected);
}

static void remembered_until_it_changes(void **state)
{
    (void)state;
    struct stat info;
    write_byte(100, 'a');
    wait_until_settled();
    check(false); /* too small to be worth it */
    write_byte(LARGE - 1, 'a');
    check(false); /* changed a moment ago: the next change might have the same stamp */
    wait_until_settled();
    check(true);
    assert_int_equal(stat(path, &info), 0);
    write_byte(1000, 'b');
    const struct timespec times[2] = { info.st_atim, info.st_mtim };
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0); /* as if nothing had happened */
    wait_until_settled();
    check(true);
    char hex[MR_SHA256_HEX];
    assert_int_equal(mr_sha256_file_remembered(NULL, path, hex, NULL), MR_OK);
    unlink(path);
    assert_int_equal(mr_sha256_file_remembered(cache, path, hex, NULL), MR_NO_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(remembered_until_it_changes) };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
