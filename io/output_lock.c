#include "io/output_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/str.h"

struct mr_output_lock {
    char *path;
    int fd;
};

static void read_holder(int fd, char *holder, size_t size)
{
    ssize_t got = pread(fd, holder, size - 1, 0);
    holder[got > 0 ? got : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    if (!holder[0] || mr_utf8_check(holder, strlen(holder)) != strlen(holder)) snprintf(holder, size, "another process");
}

static mr_status refuse(const mr_output_lock *lock, mr_error *error)
{
    char holder[256];
    read_holder(lock->fd, holder, sizeof holder);
    return mr_error_set(error, MR_CANNOT_CREATE, "%s is held by %s: another run writes this output; wait for it or stop it", lock->path, holder);
}

/* Without waiting, but not put off by somebody who only looks (mr_output_lock_holder). */
static bool try_lock(int fd)
{
    for (int attempt = 0; attempt < 5; attempt++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK && errno != EINTR) return false;
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    }
    errno = EWOULDBLOCK;
    return false;
}

/* The file may have been removed by its last holder between open and lock: then the lock means nothing. */
static bool is_current(const mr_output_lock *lock)
{
    struct stat held, named;
    return fstat(lock->fd, &held) == 0 && stat(lock->path, &named) == 0 && held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

static void write_holder(const mr_output_lock *lock)
{
    char host[128] = "", text[256];
    gethostname(host, sizeof host - 1);
    int length = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    if (ftruncate(lock->fd, 0) != 0 || pwrite(lock->fd, text, (size_t)length, 0) != length) return; /* for people only */
}

mr_status mr_output_lock_acquire(const char *directory, const char *name, mr_output_lock **out, mr_error *error)
{
    mr_output_lock *lock = calloc(1, sizeof *lock);
    if (lock) lock->path = mr_strf("%s/%s.lock", directory, name);
    mr_status status = MR_OK;
    if (!lock || !lock->path) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a lock");
        goto failed;
    }
    for (;;) {
        lock->fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (lock->fd < 0) {
            mr_error_errno(error, errno, "cannot create %s", lock->path);
            status = MR_CANNOT_CREATE;
            if (error) error->status = status;
            goto failed;
        }
        if (!try_lock(lock->fd)) {
            status = errno == EWOULDBLOCK ? refuse(lock, error) : mr_error_errno(error, errno, "cannot lock %s", lock->path);
            close(lock->fd);
            goto failed;
        }
        if (is_current(lock)) break;
        close(lock->fd);
    }
    write_holder(lock);
    *out = lock;
    return MR_OK;
failed:
    if (lock) free(lock->path);
    free(lock);
    return status;
}

bool mr_output_lock_holder(const char *directory, char *holder, size_t size)
{
    DIR *listing = opendir(directory);
    bool held = false;
    const struct dirent *entry;
    while (listing && !held && (entry = readdir(listing))) {
        if (!mr_str_ends_with(mr_str_of(entry->d_name), ".lock")) continue;
        int fd = openat(dirfd(listing), entry->d_name, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        held = flock(fd, LOCK_SH | LOCK_NB) != 0;
        if (held) read_holder(fd, holder, size);
        close(fd);
    }
    if (listing) closedir(listing);
    return held;
}

void mr_output_lock_release(mr_output_lock *lock)
{
    if (!lock) return;
    unlink(lock->path); /* while it is still held */
    close(lock->fd);
    free(lock->path);
    free(lock);
}
