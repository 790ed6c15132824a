/* Whatever happens to the files of a cache, a find gives what was stored or nothing. */
#include "tests/cm.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/cache.h"
#include "core/str.h"

#define DATA_BYTES 1000
#define FILE_BYTES (64 + DATA_BYTES)

static char folder[256];
static unsigned char data[DATA_BYTES];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/cache-XXXXXX", MR_TEST_TMP);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(i * 7 + i / 256);
    return mr_path_make_directories(MR_TEST_TMP, NULL) == MR_OK && mkdtemp(folder) ? 0 : -1;
}

static mr_cache *open_cache(const char *where, uint64_t limit, const char *maker)
{
    mr_cache *cache = NULL;
    mr_error error;
    assert_int_equal(mr_cache_open(where, limit, maker, &cache, &error), MR_OK);
    return cache;
}

static bool finds(const mr_cache *cache, const char *key, const void *expected, size_t length)
{
    mr_cache_entry entry;
    if (!mr_cache_find(cache, key, &entry)) return false;
    assert_int_equal(entry.length, length);
    assert_memory_equal(entry.data, expected, length);
    assert_int_equal((uintptr_t)entry.data % 64, 0);
    mr_cache_release(&entry);
    return true;
}

/* How many files the folder holds; the path of one whose name starts with `prefix` in `path`. */
static size_t count_files(const char *where, const char *prefix, char path[512])
{
    size_t count = 0;
    DIR *listing = opendir(where);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));) {
        if (entry->d_name[0] == '.') continue;
        count++;
        if (path && strncmp(entry->d_name, prefix, strlen(prefix)) == 0) snprintf(path, 512, "%s/%s", where, entry->d_name);
    }
    closedir(listing);
    return count;
}

static void gives_back_what_was_stored(void **state)
{
    (void)state;
    char nested[300];
    snprintf(nested, sizeof nested, "%s/not/there/yet", folder);
    mr_cache *cache = open_cache(nested, 1 << 20, "build 1"), *other = open_cache(nested, 1 << 20, "build 2");
    assert_false(finds(cache, "a", data, sizeof data));
    mr_cache_store(cache, "a", data, sizeof data);
    mr_cache_store(cache, "empty", "", 0);
    assert_true(finds(cache, "a", data, sizeof data));
    assert_true(finds(cache, "empty", "", 0));
    assert_false(finds(cache, "b", data, sizeof data));
    assert_false(finds(other, "a", data, sizeof data));
    assert_false(finds(NULL, "a", data, sizeof data));
    for (size_t length = 0; length < 200; length++) { /* every tail of the checksum */
        mr_cache_store(cache, "a", data, length);
        assert_true(finds(cache, "a", data, length));
    }
    mr_cache_close(other);
    mr_cache_close(cache);
}

static void refuses_a_damaged_file(void **state)
{
    (void)state;
    char path[512];
    unsigned char bytes[FILE_BYTES];
    mr_cache *cache = open_cache(folder, 1 << 20, "build");
    mr_cache_store(cache, "a", data, sizeof data);
    assert_int_equal(count_files(folder, "", path), 1);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), FILE_BYTES);
    for (off_t at = 0; at < FILE_BYTES; at++) {
        for (int bit = 0; bit < 8; bit++) {
            unsigned char changed = (unsigned char)(bytes[at] ^ 1 << bit);
            assert_int_equal(pwrite(fd, &changed, 1, at), 1);
            assert_false(finds(cache, "a", data, sizeof data));
        }
        assert_int_equal(pwrite(fd, &bytes[at], 1, at), 1);
    }
    assert_true(finds(cache, "a", data, sizeof data));
    for (off_t length = 0; length < FILE_BYTES; length += length < 80 ? 1 : 61) {
        assert_int_equal(ftruncate(fd, length), 0);
        assert_false(finds(cache, "a", data, sizeof data));
    }
    assert_int_equal(pwrite(fd, bytes, sizeof bytes, 0), FILE_BYTES);
    assert_true(finds(cache, "a", data, sizeof data));
    assert_int_equal(pwrite(fd, "", 1, FILE_BYTES), 1);
    assert_false(finds(cache, "a", data, sizeof data));
    close(fd);
    mr_cache_store(cache, "a", data, sizeof data);
    assert_true(finds(cache, "a", data, sizeof data));
    mr_cache_close(cache);
}

static void refuses_what_is_no_file(void **state)
{
    (void)state;
    char entry[400], real[300], name[MR_SHA256_HEX];
    mr_cache *cache = open_cache(folder, 1 << 20, "build");
    mr_sha256_bytes("build\nx", 7, name);
    snprintf(entry, sizeof entry, "%s/%s", folder, name);
    snprintf(real, sizeof real, "%s/real", folder);
    const mode_t kinds[] = { S_IFDIR, S_IFLNK, S_IFIFO };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        mr_cache_store(cache, "x", data, sizeof data);
        assert_int_equal(rename(entry, real), 0);
        int made = kinds[i] == S_IFDIR ? mkdir(entry, 0700) : kinds[i] == S_IFLNK ? symlink("real", entry) : mkfifo(entry, 0600);
        assert_int_equal(made, 0);
        assert_false(finds(cache, "x", data, sizeof data));
        assert_int_equal(kinds[i] == S_IFDIR ? rmdir(entry) : unlink(entry), 0);
    }
    mr_cache_close(cache);
}

static void one_entry_does_not_pass_for_another(void **state)
{
    (void)state;
    char a[MR_SHA256_HEX], b[MR_SHA256_HEX], path_a[400], path_b[400];
    mr_cache *cache = open_cache(folder, 1 << 20, "build");
    mr_cache_store(cache, "a", data, sizeof data);
    mr_sha256_bytes("build\na", 7, a);
    mr_sha256_bytes("build\nb", 7, b);
    snprintf(path_a, sizeof path_a, "%s/%s", folder, a);
    snprintf(path_b, sizeof path_b, "%s/%s", folder, b);
    assert_int_equal(rename(path_a, path_b), 0);
    assert_false(finds(cache, "a", data, sizeof data));
    assert_false(finds(cache, "b", data, sizeof data));
    mr_cache_close(cache);
}

static void set_age(const char *maker_and_key, time_t seconds)
{
    char name[MR_SHA256_HEX], path[400];
    mr_sha256_bytes(maker_and_key, strlen(maker_and_key), name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const struct timespec times[2] = { { .tv_sec = time(NULL) - seconds }, { .tv_sec = time(NULL) - seconds } };
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void keeps_its_limit(void **state)
{
    (void)state;
    char note[300], dead[300];
    mr_cache *cache = open_cache(folder, 3 * FILE_BYTES, "m");
    snprintf(note, sizeof note, "%s/notes.txt", folder);
    snprintf(dead, sizeof dead, "%s/new-abcdef", folder);
    close(open(note, O_CREAT | O_WRONLY, 0600));
    close(open(dead, O_CREAT | O_WRONLY, 0600));
    const struct timespec old[2] = { { .tv_sec = 1000000 }, { .tv_sec = 1000000 } };
    assert_int_equal(utimensat(AT_FDCWD, note, old, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, dead, old, 0), 0);
    const char *const keys[] = { "m\n1", "m\n2", "m\n3" };
    const time_t ages[] = { 200, 300, 100 };
    for (size_t i = 0; i < 3; i++) {
        mr_cache_store(cache, keys[i] + 2, data, sizeof data);
        set_age(keys[i], ages[i]);
    }
    mr_cache_store(cache, "4", data, sizeof data);
    assert_false(finds(cache, "2", data, sizeof data)); /* the oldest */
    assert_true(finds(cache, "1", data, sizeof data));
    assert_true(finds(cache, "3", data, sizeof data));
    assert_true(finds(cache, "4", data, sizeof data));
    assert_int_equal(mr_cache_folder_bytes(folder), 3 * FILE_BYTES);
    assert_int_equal(access(note, F_OK), 0);
    assert_int_equal(access(dead, F_OK), -1);
    assert_true(mr_cache_takes(cache, 3 * FILE_BYTES - 64));
    assert_false(mr_cache_takes(cache, 3 * FILE_BYTES - 63));
    mr_cache_close(cache);
    cache = open_cache(folder, 100, "m");
    mr_cache_store(cache, "5", data, sizeof data); /* too large: refused, and nothing had to leave for it */
    assert_false(finds(cache, "5", data, sizeof data));
    assert_true(finds(cache, "4", data, sizeof data));
    mr_cache_close(cache);
}

/* Runs in a child: an exit code. */
static int write_and_read(const mr_cache *cache, unsigned seed)
{
    for (int round = 0; round < 300; round++) {
        unsigned char mine[DATA_BYTES];
        char key[2] = { (char)('a' + (round + (int)seed) % 3), '\0' };
        memset(mine, key[0], sizeof mine);
        mr_cache_store(cache, key, mine, sizeof mine);
        mr_cache_entry entry;
        if (!mr_cache_find(cache, key, &entry)) return 1;
        bool right = entry.length == sizeof mine && memcmp(entry.data, mine, sizeof mine) == 0;
        mr_cache_release(&entry);
        if (!right) return 2;
    }
    return 0;
}

static void many_writers_never_disturb_a_reader(void **state)
{
    (void)state;
    mr_cache *cache = open_cache(folder, 1 << 20, "build");
    pid_t children[4];
    for (unsigned i = 0; i < 4; i++)
        if ((children[i] = fork()) == 0) _exit(write_and_read(cache, i));
    for (unsigned i = 0; i < 4; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_files(folder, "", NULL), 3);
    mr_cache_close(cache);
}

static void a_file_size_limit_is_no_accident(void **state)
{
    (void)state;
    mr_cache *cache = open_cache(folder, 1 << 20, "build");
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit little = { .rlim_cur = 500, .rlim_max = 500 };
        setrlimit(RLIMIT_FSIZE, &little);
        mr_cache_store(cache, "a", data, sizeof data);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0); /* not killed by SIGXFSZ */
    assert_int_equal(count_files(folder, "", NULL), 0);
    mr_cache_close(cache);
}

static void a_full_disk_keeps_nothing(void **state)
{
    (void)state;
    if (mount("tmpfs", folder, "tmpfs", 0, "size=64k") != 0) skip(); /* needs root */
    unsigned char *large = calloc(1, 100000);
    mr_cache *cache = open_cache(folder, 1 << 20, "build");
    mr_cache_store(cache, "large", large, 100000);
    size_t left = count_files(folder, "", NULL);
    mr_cache_store(cache, "small", data, sizeof data);
    bool small = finds(cache, "small", data, sizeof data);
    mr_cache_close(cache);
    free(large);
    assert_int_equal(umount(folder), 0);
    assert_int_equal(left, 0);
    assert_true(small);
}

static void a_folder_that_cannot_be_is_no_error(void **state)
{
    (void)state;
    char file[300], below[310];
    snprintf(file, sizeof file, "%s/file", folder);
    snprintf(below, sizeof below, "%s/folder", file);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    const char *const folders[] = { below, "/proc/nobody/writes/here" };
    for (size_t i = 0; i < 2; i++) {
        mr_cache *cache = open_cache(folders[i], 1 << 20, "build");
        mr_cache_store(cache, "a", data, sizeof data);
        assert_false(finds(cache, "a", data, sizeof data));
        mr_cache_close(cache);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, make_folder)
    const struct CMUnitTest tests[] = {
        TEST(gives_back_what_was_stored),
        TEST(refuses_a_damaged_file),
        TEST(refuses_what_is_no_file),
        TEST(one_entry_does_not_pass_for_another),
        TEST(keeps_its_limit),
        TEST(many_writers_never_disturb_a_reader),
        TEST(a_file_size_limit_is_no_accident),
        TEST(a_full_disk_keeps_nothing),
        TEST(a_folder_that_cannot_be_is_no_error),
    };
    return RUN_TESTS(tests);
}
