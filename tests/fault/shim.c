/* LD_PRELOAD: between a program and its file system, for what lies below $SHIM_UNDER.
 *
 *   SHIM_FAULT=KIND:N   the N-th operation that writes (from 0): kill = the process dies in front of it; enospc, eio = it and
 *                       all later ones fail; eintr, short = it and every other later one is interrupted or cut in half (N
 *                       is ignored); read = the N-th read fails with EIO
 *   SHIM_LOG=FILE       what was done, in order, with the bytes; power_loss.py replays it
 *   SHIM_COUNT=FILE     how many operations there were, written when the process ends */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef enum fault { FAULT_NONE, FAULT_KILL, FAULT_ENOSPC, FAULT_EIO, FAULT_EINTR, FAULT_SHORT, FAULT_READ } fault;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one operation at a time, so that the log has an order */
static fault kind;
static long at, writes, reads;
static const char *under, *count_path;
static size_t under_length;
static int log_fd = -1;

__attribute__((constructor)) static void begin(void)
{
    static const char *const names[] = { "", "kill", "enospc", "eio", "eintr", "short", "read" };
    const char *text = getenv("SHIM_FAULT"), *log_path = getenv("SHIM_LOG");
    under = getenv("SHIM_UNDER");
    under_length = under ? strlen(under) : 0;
    count_path = getenv("SHIM_COUNT");
    for (size_t i = 1; text && i < sizeof names / sizeof *names; i++)
        if (strncmp(text, names[i], strlen(names[i])) == 0) kind = (fault)i;
    if (text && strchr(text, ':')) at = atol(strchr(text, ':') + 1);
    if (log_path) log_fd = (int)syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

__attribute__((destructor)) static void end(void)
{
    char text[64];
    int length = snprintf(text, sizeof text, "%ld %ld\n", writes, reads);
    int fd = count_path ? (int)syscall(SYS_openat, AT_FDCWD, count_path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    if (fd >= 0) syscall(SYS_write, fd, text, (size_t)length);
}

/* ---- what an operation is about ---- */

static bool is_ours(const char *path)
{
    return under_length && strncmp(path, under, under_length) == 0;
}

/* The absolute name of a descriptor, or of `name` below a directory one. */
static bool find_name(int fd, const char *name, char out[PATH_MAX])
{
    char link[64], base[PATH_MAX];
    if (name && name[0] == '/') return snprintf(out, PATH_MAX, "%s", name) < PATH_MAX && is_ours(out);
    snprintf(link, sizeof link, fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return false;
    base[length] = '\0';
    int used = name ? snprintf(out, PATH_MAX, "%s/%s", base, name) : snprintf(out, PATH_MAX, "%s", base);
    return used < PATH_MAX && is_ours(out);
}

static unsigned long inode_of(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 ? (unsigned long)info.st_ino : 0;
}

/* ---- faults ---- */

/* Is this operation to fail? errno is set. Called under the lock. */
static bool strikes(bool takes_space, bool may_repeat)
{
    long number = writes++;
    if (kind == FAULT_KILL && number == at) raise(SIGKILL);
    if (kind == FAULT_ENOSPC) errno = ENOSPC;
    if (kind == FAULT_EIO) errno = EIO;
    if (kind == FAULT_EINTR) errno = EINTR;
    if (kind == FAULT_ENOSPC) return takes_space && number >= at;
    if (kind == FAULT_EIO) return number >= at;
    return (kind == FAULT_EINTR || kind == FAULT_SHORT) && may_repeat && number % 2 == 0;
}

/* ---- the log: "op inode offset length path NUL other NUL" newline, then the bytes ---- */

static void note(const char *op, unsigned long inode, long long offset, const char *path, const char *other, const void *data, size_t length)
{
    char head[2 * PATH_MAX + 128];
    if (log_fd < 0) return;
    int used = snprintf(head, sizeof head, "%s %lu %lld %zu %s%c%s%c\n", op, inode, offset, length, path, 0, other, 0);
    if (used < 0 || (size_t)used >= sizeof head) abort();
    const struct iovec pieces[] = { { head, (size_t)used }, { (void *)data, length } };
    if (syscall(SYS_writev, log_fd, pieces, data ? 2 : 1) < 0) abort();
}

/* ---- files ---- */

static ssize_t write_at(int fd, const void *data, size_t length, off_t offset, bool positioned)
{
    char path[PATH_MAX];
    if (fd == STDERR_FILENO || !find_name(fd, NULL, path)) {
        if (fd == STDERR_FILENO) note("say", 0, 0, "", "", data, length);
        return positioned ? syscall(SYS_pwrite64, fd, data, length, offset) : syscall(SYS_write, fd, data, length);
    }
    pthread_mutex_lock(&lock);
    ssize_t put = -1;
    bool fails = strikes(true, true);
    if (fails && kind == FAULT_SHORT) length = length > 1 ? length / 2 : length;
    if (!fails || kind == FAULT_SHORT) {
        if (!positioned) offset = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
        put = positioned ? syscall(SYS_pwrite64, fd, data, length, offset) : syscall(SYS_write, fd, data, length);
        struct stat info;
        if (put > 0 && fstat(fd, &info) == 0) note("write", info.st_ino, offset, path, "", data, (size_t)put);
    }
    pthread_mutex_unlock(&lock);
    return put;
}

EXPORT ssize_t write(int fd, const void *data, size_t length)
{
    return write_at(fd, data, length, 0, false);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    return write_at(fd, data, length, offset, true);
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    return write_at(fd, data, length, offset, true);
}

EXPORT ssize_t read(int fd, void *data, size_t length)
{
    char path[PATH_MAX];
    if (kind == FAULT_READ && find_name(fd, NULL, path) && reads++ >= at) {
        errno = EIO;
        return -1;
    }
    if (kind == FAULT_SHORT && length > 4096) length = 4096;
    return syscall(SYS_read, fd, data, length);
}

static int sync_file(int fd, long number)
{
    char path[PATH_MAX];
    if (!find_name(fd, NULL, path)) return (int)syscall(number, fd);
    pthread_mutex_lock(&lock);
    struct stat info;
    int failed = -1;
    if (!strikes(true, false)) failed = fstat(fd, &info); /* a real one would make each of thousands of runs wait for the disk */
    if (!failed) note(S_ISDIR(info.st_mode) ? "syncdir" : "sync", info.st_ino, 0, path, "", NULL, 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

EXPORT int fsync(int fd)
{
    return sync_file(fd, SYS_fsync);
}

EXPORT int fdatasync(int fd)
{
    return sync_file(fd, SYS_fdatasync);
}

EXPORT int ftruncate(int fd, off_t length)
{
    char path[PATH_MAX];
    if (!find_name(fd, NULL, path)) return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&lock);
    int failed = strikes(true, false) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
    struct stat info;
    if (!failed && fstat(fd, &info) == 0) note("truncate", info.st_ino, length, path, "", NULL, 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

EXPORT int ftruncate64(int fd, off64_t length)
{
    return ftruncate(fd, length);
}

static int open_at(int directory, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    bool changes = flags & (O_CREAT | O_TRUNC);
    if (!changes || !find_name(directory, name, path)) return (int)syscall(SYS_openat, directory, name, flags, mode);
    pthread_mutex_lock(&lock);
    bool existed = inode_of(path) != 0;
    int fd = strikes(true, false) ? -1 : (int)syscall(SYS_openat, directory, name, flags, mode);
    if (fd >= 0 && !existed) note("create", inode_of(path), 0, path, "", NULL, 0);
    else if (fd >= 0 && flags & O_TRUNC) note("truncate", inode_of(path), 0, path, "", NULL, 0);
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

#define OPEN_LIKE(name)                                   \
    EXPORT int name(const char *path, int flags, ...)     \
    {                                                     \
        va_list arguments;                                \
        va_start(arguments, flags);                       \
        mode_t mode = mode_of(flags, arguments);          \
        va_end(arguments);                                \
        return open_at(AT_FDCWD, path, flags, mode);      \
    }
OPEN_LIKE(open)
OPEN_LIKE(open64)

/* ---- names ---- */

static int rename_at(int from_directory, const char *from, int to_directory, const char *to, unsigned flags)
{
    char old[PATH_MAX], new[PATH_MAX];
    if (!find_name(from_directory, from, old) || !find_name(to_directory, to, new))
        return (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
    pthread_mutex_lock(&lock);
    unsigned long inode = inode_of(old);
    int failed = strikes(true, false) ? -1 : (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
    if (!failed) note("rename", inode, 0, old, new, NULL, 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

EXPORT int rename(const char *from, const char *to)
{
    return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORT int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags)
{
    return rename_at(from_directory, from, to_directory, to, flags);
}

static int remove_at(int directory, const char *name, int flags)
{
    char path[PATH_MAX];
    if (!find_name(directory, name, path)) return (int)syscall(SYS_unlinkat, directory, name, flags);
    pthread_mutex_lock(&lock);
    int failed = strikes(false, false) ? -1 : (int)syscall(SYS_unlinkat, directory, name, flags);
    if (!failed) note("unlink", 0, 0, path, "", NULL, 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

EXPORT int unlink(const char *path)
{
    return remove_at(AT_FDCWD, path, 0);
}

EXPORT int unlinkat(int directory, const char *path, int flags)
{
    return remove_at(directory, path, flags);
}

EXPORT int rmdir(const char *path)
{
    return remove_at(AT_FDCWD, path, AT_REMOVEDIR);
}

EXPORT int mkdir(const char *name, mode_t mode)
{
    char path[PATH_MAX];
    if (!find_name(AT_FDCWD, name, path)) return (int)syscall(SYS_mkdirat, AT_FDCWD, name, mode);
    pthread_mutex_lock(&lock);
    int failed = strikes(true, false) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, name, mode);
    if (!failed) note("mkdir", inode_of(path), 0, path, "", NULL, 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

/* The name of an open file is followed by the kernel: an attribute is one operation of the file. */
static int set_attribute(const char *path, const char *name, const void *value, size_t size, int flags)
{
    pthread_mutex_lock(&lock);
    int failed = strikes(true, false) ? -1 : (int)syscall(SYS_setxattr, path, name, value, size, flags);
    if (!failed) note("attribute", inode_of(path), 0, path, name, value, size);
    pthread_mutex_unlock(&lock);
    return failed;
}

EXPORT int setxattr(const char *name, const char *key, const void *value, size_t size, int flags)
{
    char path[PATH_MAX];
    if (!find_name(AT_FDCWD, name, path)) return (int)syscall(SYS_setxattr, name, key, value, size, flags);
    return set_attribute(path, key, value, size, flags);
}
