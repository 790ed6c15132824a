#include "io/file_seal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/pulse.h"

#define MAGIC "millrace seal 01"
#define MAX_RANGES ((uint64_t)1 << 22) /* 64 MiB of them */
#define BLOCK ((size_t)64 << 10)

/* Behind the ranges. */
typedef struct seal_tail {
    uint64_t count, length;
    unsigned char digest[32];
    char magic[16];
} seal_tail;

_Static_assert(sizeof(mr_seal_range) == 16 && sizeof(seal_tail) == 64, "written to disk as they are");

void mr_seal_fini(mr_seal *seal)
{
    free(seal->ranges);
    *seal = (mr_seal){ 0 };
}

/* Index of the first range that ends at or behind `at`. */
static size_t find_range(const mr_seal *seal, uint64_t at)
{
    size_t low = 0, high = seal->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (seal->ranges[middle].end < at) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Puts `count` ranges in the place of `gone` ones. */
static void splice(mr_seal *seal, size_t at, size_t gone, const mr_seal_range *with, size_t count)
{
    if (gone + count == 0) return;
    size_t total = seal->count - gone + count;
    if (total > seal->capacity) {
        size_t capacity = seal->capacity ? 2 * seal->capacity : 64; /* count grows by one at most */
        mr_seal_range *grown = realloc(seal->ranges, capacity * sizeof *grown);
        if (!grown) {
            seal->out_of_memory = true;
            return;
        }
        seal->ranges = grown;
        seal->capacity = capacity;
    }
    memmove(seal->ranges + at + count, seal->ranges + at + gone, (seal->count - at - gone) * sizeof *with);
    if (count) memcpy(seal->ranges + at, with, count * sizeof *with);
    seal->count = total;
}

void mr_seal_mark(mr_seal *seal, uint64_t first, uint64_t end, bool values)
{
    if (first >= end) return;
    size_t at = find_range(seal, first), past = at;
    while (past < seal->count && seal->ranges[past].first <= end) past++;
    mr_seal_range with[2];
    size_t count = 0;
    if (values) {
        with[0] = (mr_seal_range){ first, end };
        if (past > at && seal->ranges[at].first < first) with[0].first = seal->ranges[at].first;
        if (past > at && seal->ranges[past - 1].end > end) with[0].end = seal->ranges[past - 1].end;
        count = 1;
    } else if (past > at) { /* what sticks out on either side stays */
        if (seal->ranges[at].first < first) with[count++] = (mr_seal_range){ seal->ranges[at].first, first };
        if (seal->ranges[past - 1].end > end) with[count++] = (mr_seal_range){ end, seal->ranges[past - 1].end };
    }
    splice(seal, at, past - at, with, count);
}

static mr_status read_fully(int fd, const char *path, void *data, size_t length, uint64_t offset, mr_error *error)
{
    char *bytes = data;
    while (length > 0) {
        ssize_t got = pread(fd, bytes, length, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return mr_error_errno(error, errno, "cannot read %s", path);
        if (got == 0) return mr_error_set(error, MR_BAD_INPUT, "%s became shorter while it was read", path);
        bytes += got;
        offset += (uint64_t)got;
        length -= (size_t)got;
    }
    return MR_OK;
}

static mr_status hash_between(EVP_MD_CTX *hash, int fd, const char *path, uint64_t first, uint64_t end, mr_error *error)
{
    char block[BLOCK];
    while (first < end) {
        size_t step = end - first < BLOCK ? (size_t)(end - first) : BLOCK;
        MR_TRY(read_fully(fd, path, block, step, first, error));
        EVP_DigestUpdate(hash, block, step);
        mr_pulse_beat();
        first += step;
    }
    return MR_OK;
}

static mr_status compute(int fd, const char *path, const mr_seal_range *ranges, const seal_tail *tail, unsigned char digest[32], mr_error *error)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (!hash || !EVP_DigestInit_ex(hash, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(hash);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a checksum", path);
    }
    mr_status status = MR_OK;
    uint64_t at = 0;
    for (uint64_t i = 0; status == MR_OK && i < tail->count; i++) {
        status = hash_between(hash, fd, path, at, ranges[i].first, error);
        at = ranges[i].end;
    }
    if (status == MR_OK) status = hash_between(hash, fd, path, at, tail->length, error);
    if (tail->count) EVP_DigestUpdate(hash, ranges, tail->count * sizeof *ranges);
    EVP_DigestUpdate(hash, tail, 2 * sizeof(uint64_t));
    unsigned char full[EVP_MAX_MD_SIZE];
    if (EVP_DigestFinal_ex(hash, full, NULL)) memcpy(digest, full, 32);
    EVP_MD_CTX_free(hash);
    return status;
}

static mr_status write_fully(int fd, const char *path, const void *data, size_t length, uint64_t offset, mr_error *error)
{
    const char *bytes = data;
    while (length > 0) {
        ssize_t put = pwrite(fd, bytes, length, (off_t)offset);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return mr_error_errno(error, put < 0 ? errno : EIO, "cannot write %s", path);
        bytes += put;
        offset += (uint64_t)put;
        length -= (size_t)put;
    }
    return MR_OK;
}

mr_status mr_seal_write(const mr_seal *seal, int fd, const char *path, mr_error *error)
{
    struct stat info;
    if (seal->out_of_memory) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate its seal", path);
    if (fstat(fd, &info) != 0) return mr_error_errno(error, errno, "cannot read %s", path);
    seal_tail tail = { .count = seal->count, .length = (uint64_t)info.st_size };
    memcpy(tail.magic, MAGIC, sizeof tail.magic);
    MR_TRY(compute(fd, path, seal->ranges, &tail, tail.digest, error));
    MR_TRY(write_fully(fd, path, seal->ranges, seal->count * sizeof *seal->ranges, tail.length, error));
    return write_fully(fd, path, &tail, sizeof tail, tail.length + seal->count * sizeof *seal->ranges, error);
}

static mr_status damaged(const char *path, mr_error *error)
{
    return mr_error_set(error, MR_BAD_INPUT, "%s is damaged: it does not match its seal", path);
}

mr_status mr_seal_check(int fd, const char *path, bool *sealed, mr_error *error)
{
    struct stat info;
    seal_tail tail;
    unsigned char digest[32];
    *sealed = false;
    if (fstat(fd, &info) != 0) return mr_error_errno(error, errno, "cannot read %s", path);
    uint64_t size = (uint64_t)info.st_size;
    if (!S_ISREG(info.st_mode) || size < sizeof tail) return MR_OK;
    MR_TRY(read_fully(fd, path, &tail, sizeof tail, size - sizeof tail, error));
    if (memcmp(tail.magic, MAGIC, sizeof tail.magic) != 0) return MR_OK;
    *sealed = true;
    if (tail.count > MAX_RANGES || tail.length != size - sizeof tail - tail.count * sizeof(mr_seal_range)) return damaged(path, error);
    mr_seal_range *ranges = malloc((size_t)(tail.count + 1) * sizeof *ranges);
    if (!ranges) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate its seal", path);
    mr_status status = read_fully(fd, path, ranges, (size_t)tail.count * sizeof *ranges, tail.length, error);
    uint64_t at = 0;
    for (uint64_t i = 0; status == MR_OK && i < tail.count; i++) {
        if (ranges[i].first < at || ranges[i].end <= ranges[i].first || ranges[i].end > tail.length) status = damaged(path, error);
        at = ranges[i].end;
    }
    if (status == MR_OK) status = compute(fd, path, ranges, &tail, digest, error);
    if (status == MR_OK && memcmp(digest, tail.digest, sizeof digest) != 0) status = damaged(path, error);
    free(ranges);
    return status;
}
