/* For SHA256_Init and its like: the newer interface, and SHA256(), begin with reading a configuration, a millisecond and more. */
#define OPENSSL_API_COMPAT 10100

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/str.h"

static mr_file_stamp stamp_of(const struct stat *info)
{
    return (mr_file_stamp){ .device = info->st_dev, .inode = info->st_ino, .length = (uint64_t)info->st_size,
                            .modified_ns = info->st_mtim.tv_sec * INT64_C(1000000000) + info->st_mtim.tv_nsec,
                            .changed_ns = info->st_ctim.tv_sec * INT64_C(1000000000) + info->st_ctim.tv_nsec };
}

bool mr_file_stamp_read(const char *path, mr_file_stamp *out)
{
    struct stat info;
    if (stat(path, &info) != 0) return false;
    *out = stamp_of(&info);
    return true;
}

bool mr_file_stamp_equal(const mr_file_stamp *a, const mr_file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->length == b->length && a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

static mr_status open_regular(const char *path, int *out_fd, mr_file_stamp *out_stamp, mr_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return mr_error_errno(error, errno, "cannot open %s", path);
    struct stat info;
    if (fstat(fd, &info) != 0) {
        int saved = errno;
        close(fd);
        return mr_error_errno(error, saved, "cannot read %s", path);
    }
    if (!S_ISREG(info.st_mode)) {
        close(fd);
        return mr_error_set(error, MR_BAD_INPUT, "%s is not a regular file", path);
    }
    *out_fd = fd;
    *out_stamp = stamp_of(&info);
    return MR_OK;
}

#define HUGE_PAGE ((size_t)2 << 20)

/* Large files into huge pages: faulting small ones in takes longer than reading. */
static char *obtain(size_t bytes)
{
    if (bytes < 2 * HUGE_PAGE) return malloc(bytes);
    size_t whole = (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    char *buffer = aligned_alloc(HUGE_PAGE, whole);
#ifdef MADV_HUGEPAGE
    if (buffer) (void)madvise(buffer, whole, MADV_HUGEPAGE); /* a hint: refusal is fine */
#endif
    return buffer;
}

mr_status mr_file_read(const char *path, size_t max_bytes, char **data, size_t *length, mr_error *error)
{
    int fd = -1;
    size_t done = 0;
    mr_file_stamp stamp = { 0 };
    MR_TRY(open_regular(path, &fd, &stamp, error));
    size_t size = (size_t)stamp.length;
    char *buffer = NULL;
    mr_status status = MR_OK;
    if (size > max_bytes) {
        status = mr_error_set(error, MR_BAD_INPUT, "%s has %zu bytes, more than the %zu allowed", path, size, max_bytes);
        goto done;
    }
    buffer = obtain(size + 1);
    if (!buffer) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate %zu bytes for %s", size, path);
        goto done;
    }
    while (done < size) {
        ssize_t got = read(fd, buffer + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            status = mr_error_errno(error, errno, "cannot read %s", path);
            goto done;
        }
        if (got == 0) break; /* shrank while we read: what is there counts */
        done += (size_t)got;
    }
    buffer[done] = '\0';
    *data = buffer;
    *length = done;
    buffer = NULL;
done:
    free(buffer);
    close(fd);
    return status;
}

mr_status mr_file_map(const char *path, mr_mapping *out, mr_error *error)
{
    int fd = -1;
    mr_file_stamp stamp = { 0 };
    MR_TRY(open_regular(path, &fd, &stamp, error));
    size_t size = (size_t)stamp.length;
    void *data = NULL;
    if (size > 0) {
        data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            int saved = errno;
            close(fd);
            return mr_error_errno(error, saved, "cannot map %s", path);
        }
    }
    close(fd);
    *out = (mr_mapping){ .data = data, .length = size, .stamp = stamp };
    return MR_OK;
}

void mr_file_release_pages(const unsigned char *data, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)data + page - 1) & ~(uintptr_t)(page - 1), end = ((uintptr_t)data + bytes) & ~(uintptr_t)(page - 1);
    if (begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void mr_file_unmap(mr_mapping *mapping)
{
    if (mapping->data) munmap((void *)(uintptr_t)mapping->data, mapping->length);
    *mapping = (mr_mapping){ 0 };
}

bool mr_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool mr_path_is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *mr_path_join(const char *directory, const char *name)
{
    if (name[0] == '/' || directory[0] == '\0') return mr_strdup(name);
    size_t length = strlen(directory);
    return mr_strf("%s%s%s", directory, directory[length - 1] == '/' ? "" : "/", name);
}

mr_status mr_path_make_directories(const char *path, mr_error *error)
{
    char *copy = mr_strdup(path);
    if (!copy) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    mr_status status = MR_OK;
    for (char *slash = copy + 1; status == MR_OK && slash[-1]; slash++) {
        if (*slash != '/' && *slash != '\0') continue;
        char kept = *slash;
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
            mr_error_errno(error, errno, "cannot create directory %s", copy);
            status = MR_CANNOT_CREATE;
            if (error) error->status = status;
        }
        *slash = kept;
    }
    if (status == MR_OK && !mr_path_is_directory(path)) status = mr_error_set(error, MR_CANNOT_CREATE, "%s exists and is not a directory", path);
    free(copy);
    return status;
}

mr_status mr_path_sync_directory_of(const char *path, mr_error *error)
{
    const char *slash = strrchr(path, '/');
    char *directory = !slash ? mr_strdup(".") : slash == path ? mr_strdup("/") : mr_strndup(path, (size_t)(slash - path));
    if (!directory) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mr_status status = MR_OK;
    if (fd < 0 || fsync(fd) != 0) status = mr_error_errno(error, errno, "cannot sync directory %s", directory);
    if (fd >= 0) close(fd);
    free(directory);
    return status;
}

static void to_hex(const unsigned char *digest, char hex[MR_SHA256_HEX])
{
    for (size_t i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void mr_sha256_bytes(const void *data, size_t length, char hex[MR_SHA256_HEX])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, data, length);
    SHA256_Final(digest, &context);
    to_hex(digest, hex);
}

#define HASH_BLOCK ((size_t)1 << 20)

mr_status mr_sha256_file(const char *path, char hex[MR_SHA256_HEX], mr_error *error)
{
    FILE *file = fopen(path, "rbe");
    if (!file) return mr_error_errno(error, errno, "cannot open %s", path);
    mr_status status = MR_OK;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX context;
    char *block = malloc(HASH_BLOCK);
    if (!block) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "cannot hash %s: out of memory", path);
        goto done;
    }
    size_t got;
    SHA256_Init(&context);
    while ((got = fread(block, 1, HASH_BLOCK, file)) > 0) SHA256_Update(&context, block, got);
    if (ferror(file)) {
        status = mr_error_errno(error, errno, "cannot read %s", path);
        goto done;
    }
    SHA256_Final(digest, &context);
    to_hex(digest, hex);
done:
    free(block);
    fclose(file);
    return status;
}
