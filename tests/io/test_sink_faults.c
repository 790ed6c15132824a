/* The commit protocol under attack: a job is killed, or refused by the disk, at every single system call that changes
 * the file system; running it again must give the same datasets. This file's definitions of those calls take the place
 * of libc's for the code under test. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "io/part_list.h"
#include "sink_fixture.h"

#define TOTAL 90
#define PART 50

/* Every call, or under AddressSanitizer, where a fork is slow, every fourth. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STRIDE 4
#endif
#endif
#ifndef STRIDE
#define STRIDE 1
#endif

typedef enum fault { FAULT_NONE, FAULT_KILL, FAULT_SPACE, FAULT_IO, FAULT_INTERRUPTED, FAULT_SHORT } fault;

static fault kind = FAULT_NONE;
static long calls, at_call = -1;

/* True when this call is to fail, with errno set. Those a program has to live with strike every other call. */
static bool strikes(void)
{
    if (kind == FAULT_NONE) return false;
    bool harmless = kind == FAULT_INTERRUPTED || kind == FAULT_SHORT;
    long call = calls++;
    if (harmless ? call % 2 == 0 : call != at_call) return false;
    if (kind == FAULT_KILL) raise(SIGKILL);
    errno = kind == FAULT_SPACE ? ENOSPC : kind == FAULT_IO ? EIO : EINTR;
    return true;
}

static bool strikes_unless_retried(void)
{
    return kind != FAULT_INTERRUPTED && kind != FAULT_SHORT && strikes();
}

/* What a power cut would lose: files and directories changed since their last fsync, by inode. */
static ino_t unsynced[64];
static size_t unsynced_count, renames, violations;

static bool is_unsynced(ino_t inode)
{
    for (size_t i = 0; i < unsynced_count; i++)
        if (unsynced[i] == inode) return true;
    return false;
}

static void note_change(ino_t inode)
{
    if (!is_unsynced(inode) && unsynced_count < 64) unsynced[unsynced_count++] = inode;
}

static void note_sync(ino_t inode)
{
    for (size_t i = 0; i < unsynced_count; i++)
        if (unsynced[i] == inode) unsynced[i--] = unsynced[--unsynced_count];
}

static ino_t inode_of_fd(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 ? info.st_ino : 0;
}

static ino_t inode_of_directory(const char *path)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    struct stat info;
    return stat(directory, &info) == 0 ? info.st_ino : 0;
}

/* A name is given to a file only once its bytes are safe. */
static void note_rename(const char *from, const char *to)
{
    struct stat info;
    renames++;
    violations += stat(from, &info) != 0 || is_unsynced(info.st_ino);
    note_change(inode_of_directory(to));
}

/* A part is removed only once the name of the output is safe. */
static void note_removal(const char *name)
{
    if (strstr(name, "part-")) violations += is_unsynced(inode_of_directory("durable.h5"));
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    if (strikes()) {
        if (kind != FAULT_SHORT) return -1;
        length = length > 1 ? length / 2 : length;
    }
    note_change(inode_of_fd(fd));
    return syscall(SYS_pwrite64, fd, data, length, offset);
}

ssize_t write(int fd, const void *data, size_t length)
{
    if (fd > 2 && strikes()) {
        if (kind != FAULT_SHORT) return -1;
        length = length > 1 ? length / 2 : length;
    }
    return syscall(SYS_write, fd, data, length);
}

int fsync(int fd)
{
    if (strikes_unless_retried()) return -1;
    note_sync(inode_of_fd(fd)); /* a real one would make the sweep wait for the disk */
    return 0;
}

int ftruncate(int fd, off_t length)
{
    return strikes_unless_retried() ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags)
{
    if (strikes_unless_retried()) return -1;
    note_rename(from, to);
    return (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
}

int unlink(const char *path)
{
    return strikes_unless_retried() ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int unlinkat(int directory, const char *path, int flags)
{
    if (strikes_unless_retried()) return -1;
    note_removal(path);
    return (int)syscall(SYS_unlinkat, directory, path, flags);
}

int rmdir(const char *path)
{
    return strikes_unless_retried() ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

static bool in_place; /* the vectors stay in the parts */

static mr_status run(const char *path, mr_error *error)
{
    mr_sink_options options = job_options(path);
    options.rows_per_part = PART;
    options.in_place_parts = in_place;
    bool finished;
    return job_run(&options, TOTAL, &finished, error);
}

/* Runs the job in a child with the fault; its exit status. 200 + status: the job's own. */
static int run_with_fault(const char *path, fault which, long call)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        mr_error error = { 0 };
        kind = which;
        at_call = call;
        mr_status status = run(path, &error);
        kind = FAULT_NONE;
        if (status != MR_OK && !error.text[0]) _exit(99); /* every failure says what happened */
        _exit(calls > at_call ? 200 + (int)status : 98);  /* 98: the job made fewer calls than that */
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    return result;
}

static void must_be_whole_or_absent(const char *path)
{
    if (mr_path_exists(path)) assert_same_datasets("expected.h5", path);
}

static void remove_output(const char *path, const char *parts)
{
    mr_parts_remove_all(parts);
    rmdir(parts);
    unlink(path);
}

static void sweep_kills(void)
{
    long call = 0;
    for (;; call += STRIDE) {
        remove_output("killed.h5", "killed.h5.parts");
        int result = run_with_fault("killed.h5", FAULT_KILL, call);
        if (WIFEXITED(result)) {
            assert_int_equal(WEXITSTATUS(result), 98);
            break;
        }
        assert_int_equal(WTERMSIG(result), SIGKILL);
        must_be_whole_or_absent("killed.h5");
        mr_error error;
        if (run("killed.h5", &error) != MR_OK) fail_msg("after a kill at call %ld: %s", call, error.text);
        assert_same_datasets("expected.h5", "killed.h5");
        assert_true(mr_path_exists("killed.h5.parts") == in_place);
    }
    assert_true(call > 30); /* the sweep did see the protocol */
}

static void every_kill(void **state)
{
    (void)state;
    sweep_kills();
}

static void every_kill_with_vectors_in_place(void **state)
{
    (void)state;
    in_place = true;
    sweep_kills();
    in_place = false;
}

/* Killed again and again without ever starting over: it gets done. */
static void kills_in_a_row(void **state)
{
    (void)state;
    int kills = 0;
    for (long call = 1; !mr_path_exists("row.h5"); call += 7, kills++) run_with_fault("row.h5", FAULT_KILL, call);
    assert_true(kills > 2);
    assert_int_equal(run("row.h5", NULL), MR_OK);
    assert_same_datasets("expected.h5", "row.h5");
    assert_false(mr_path_exists("row.h5.parts"));
}

static void sweep_failure(fault which, mr_status expected, long stride)
{
    long failures = 0;
    for (long call = 0;; call += stride) {
        int result = run_with_fault("failed.h5", which, call);
        assert_true(WIFEXITED(result));
        int code = WEXITSTATUS(result);
        if (code == 98) break;
        if (code != 200 + MR_OK && code != 200 + (int)expected) fail_msg("fault at call %ld: exit %d", call, code);
        failures += code != 200 + MR_OK;
        must_be_whole_or_absent("failed.h5");
        mr_error error;
        if (run("failed.h5", &error) != MR_OK) fail_msg("after a fault at call %ld: %s", call, error.text);
        assert_same_datasets("expected.h5", "failed.h5");
        unlink("failed.h5");
    }
    assert_true(failures * stride > 20);
}

static void every_full_disk(void **state)
{
    (void)state;
    sweep_failure(FAULT_SPACE, MR_NO_SPACE, STRIDE);
}

static void disk_errors(void **state)
{
    (void)state;
    sweep_failure(FAULT_IO, MR_IO, 3 * STRIDE);
}

static void interruptions_and_short_writes(void **state)
{
    (void)state;
    static const fault harmless[] = { FAULT_INTERRUPTED, FAULT_SHORT };
    for (int i = 0; i < 2; i++) {
        int result = run_with_fault("harmless.h5", harmless[i], 0);
        assert_true(WIFEXITED(result));
        assert_int_equal(WEXITSTATUS(result), 200 + MR_OK);
        assert_same_datasets("expected.h5", "harmless.h5");
        unlink("harmless.h5");
    }
}

/* After a power cut nothing is missing that was reported: bytes before names, names before removals and returns. */
static void order_of_syncs(void **state)
{
    (void)state;
    mr_sink_options options = job_options("durable.h5");
    mr_sink *sink;
    bool finished;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    unsynced_count = renames = violations = 0; /* the lock file need not survive */
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(job_put(sink, 20 * i, 20 * (i + 1), NULL), MR_OK);
        assert_int_equal(mr_sink_commit(sink, NULL), MR_OK);
        assert_int_equal(unsynced_count, 0);
    }
    assert_int_equal(mr_sink_finish(sink, 80, NULL), MR_OK);
    assert_int_equal(unsynced_count, 0);
    mr_sink_close(sink);
    assert_int_equal(renames, 5);
    assert_int_equal(violations, 0);
}

/* A limit the kernel itself enforces. */
static void file_size_limit(void **state)
{
    (void)state;
    for (rlim_t limit = 1; limit < 80000; limit += 7001) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){ limit, limit });
            _exit(200 + (int)run("limited.h5", NULL));
        }
        int result;
        assert_int_equal(waitpid(child, &result, 0), child);
        assert_true(WIFEXITED(result));
        if (WEXITSTATUS(result) == 200) break;
        assert_int_equal(WEXITSTATUS(result), 200 + MR_NO_SPACE);
        assert_false(mr_path_exists("limited.h5"));
        assert_int_equal(fixture_count_files("limited.h5.parts", ".tmp"), 0);
    }
    assert_int_equal(run("limited.h5", NULL), MR_OK);
    assert_same_datasets("expected.h5", "limited.h5");
}

/* JSON lines take the same way. */
static void json_lines(void **state)
{
    (void)state;
    static const fault kinds[] = { FAULT_KILL, FAULT_SPACE };
    size_t length, got;
    char *expected = fixture_read("expected.jsonl", &length);
    for (int i = 0; i < 2; i++) {
        long call = 0;
        for (;; call += 5) {
            int result = run_with_fault("faulty.jsonl", kinds[i], call);
            if (WIFEXITED(result) && WEXITSTATUS(result) == 98) break;
            mr_error error;
            if (!mr_path_exists("faulty.jsonl") && run("faulty.jsonl", &error) != MR_OK) fail_msg("after a fault at call %ld: %s", call, error.text);
            char *data = fixture_read("faulty.jsonl", &got);
            assert_int_equal(got, length);
            assert_memory_equal(data, expected, length);
            free(data);
            unlink("faulty.jsonl");
        }
        assert_true(call > 20);
    }
    free(expected);
}

int main(void)
{
    fixture_enter("sink-faults");
    if (run("expected.h5", NULL) != MR_OK || run("expected.jsonl", NULL) != MR_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kill), cmocka_unit_test(every_kill_with_vectors_in_place),       cmocka_unit_test(kills_in_a_row),                 cmocka_unit_test(every_full_disk),
        cmocka_unit_test(disk_errors),      cmocka_unit_test(interruptions_and_short_writes), cmocka_unit_test(file_size_limit),
        cmocka_unit_test(json_lines),       cmocka_unit_test(order_of_syncs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
