#include "core/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/str.h"

#define NAME_DIGITS (MR_SHA256_HEX - 1)
#define TEMPORARY "new-"
#define TEMPORARY_LIFE 3600 /* seconds after which a temporary file is a dead writer's */

struct mr_cache {
    char *folder;
    char *maker;
    uint64_t limit;
};

typedef struct file_header {
    char magic[8];
    unsigned char key[32];
    uint64_t length;
    uint64_t data_checksum;
    uint64_t header_checksum;
} file_header;

_Static_assert(sizeof(file_header) == 64, "the data behind it is aligned");

mr_status mr_cache_open(const char *folder, uint64_t limit, const char *maker, mr_cache **out, mr_error *error)
{
    mr_cache *cache = calloc(1, sizeof *cache);
    if (cache) *cache = (mr_cache){ .folder = mr_strdup(folder), .maker = mr_strdup(maker), .limit = limit };
    if (!cache || !cache->folder || !cache->maker) {
        mr_cache_close(cache);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a cache");
    }
    *out = cache;
    return MR_OK;
}

void mr_cache_close(mr_cache *cache)
{
    if (!cache) return;
    free(cache->folder);
    free(cache->maker);
    free(cache);
}

char *mr_cache_default_folder(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache) return mr_path_join(cache, "millrace");
    return home && *home ? mr_path_join(home, ".cache/millrace") : NULL;
}

bool mr_cache_takes(const mr_cache *cache, size_t length)
{
    return cache && length <= SIZE_MAX - sizeof(file_header) && length + sizeof(file_header) <= cache->limit;
}

/* ---------------------------------------------------------------- one file */

#define LANES 8

static uint64_t mix(uint64_t sum, uint64_t word)
{
    uint64_t mixed = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return mixed << 29 | mixed >> 35;
}

/* Each lane is a chain of bijections, so one changed word always changes the sum, and others do but for 1 in 2^64; eight of them keep
 * the multiplier busy. No shield against intent: who can write here can write the model too. */
static uint64_t checksum(const unsigned char *data, size_t length)
{
    uint64_t lanes[LANES] = { 1, 2, 3, 4, 5, 6, 7, 8 }, words[LANES], sum = length;
    for (; length >= sizeof words; data += sizeof words, length -= sizeof words) {
        memcpy(words, data, sizeof words);
        for (size_t lane = 0; lane < LANES; lane++) lanes[lane] = mix(lanes[lane], words[lane]);
    }
    memset(words, 0, sizeof words);
    if (length > 0) memcpy(words, data, length);
    for (size_t lane = 0; lane < LANES; lane++) sum = mix(sum, mix(lanes[lane], words[lane]));
    return sum;
}

static uint64_t checksum_of_header(const file_header *header)
{
    return checksum((const unsigned char *)header, offsetof(file_header, header_checksum));
}

/* Fills magic and key; gives the file's name. */
static bool name_entry(const mr_cache *cache, const char *key, file_header *header, char name[MR_SHA256_HEX])
{
    char *full = mr_strf("%s\n%s", cache->maker, key);
    if (!full) return false;
    mr_sha256_bytes(full, strlen(full), name);
    free(full);
    memcpy(header->magic, "MRCACHE1", sizeof header->magic);
    for (size_t i = 0; i < sizeof header->key; i++) {
        unsigned byte = 0;
        sscanf(name + 2 * i, "%2x", &byte);
        header->key[i] = (unsigned char)byte;
    }
    return true;
}

static bool is_intact(const mr_mapping *file, const file_header *expected)
{
    file_header header;
    if (file->length < sizeof header) return false;
    memcpy(&header, file->data, sizeof header);
    return memcmp(header.magic, expected->magic, sizeof header.magic) == 0 && memcmp(header.key, expected->key, sizeof header.key) == 0 &&
           header.header_checksum == checksum_of_header(&header) && header.length == file->length - sizeof header &&
           header.data_checksum == checksum(file->data + sizeof header, header.length);
}

/* A regular file of this user or of root. */
static bool map_own_file(const char *path, mr_mapping *out)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return false;
    void *data = MAP_FAILED;
    bool own = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && (info.st_uid == geteuid() || info.st_uid == 0);
    if (own && info.st_size > 0) data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    close(fd);
    if (data == MAP_FAILED) return false;
    *out = (mr_mapping){ .data = data, .length = (size_t)info.st_size };
    return true;
}

bool mr_cache_find(const mr_cache *cache, const char *key, mr_cache_entry *out)
{
    file_header expected = { 0 };
    char name[MR_SHA256_HEX];
    mr_mapping file = { 0 };
    if (!cache || !name_entry(cache, key, &expected, name)) return false;
    char *path = mr_path_join(cache->folder, name);
    bool there = path && map_own_file(path, &file), found = there && is_intact(&file, &expected);
    if (there && !found) {
        mr_log(MR_LOG_INFO, "cache", "%s is damaged; it is made again", path);
        mr_file_unmap(&file);
    }
    free(path);
    if (found) *out = (mr_cache_entry){ .file = file, .data = file.data + sizeof expected, .length = file.length - sizeof expected };
    return found;
}

void mr_cache_release(mr_cache_entry *entry)
{
    mr_file_unmap(&entry->file);
    *entry = (mr_cache_entry){ 0 };
}

/* ---------------------------------------------------------------- room */

typedef struct kept_file {
    char name[MR_SHA256_HEX];
    uint64_t bytes;
    struct timespec used;
} kept_file;

static int by_use(const void *left, const void *right)
{
    const struct timespec *a = &((const kept_file *)left)->used, *b = &((const kept_file *)right)->used;
    if (a->tv_sec != b->tv_sec) return a->tv_sec < b->tv_sec ? -1 : 1;
    return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

/* Our entries, unsorted; what dead writers left is removed on the way. Other files are none of our business. */
static kept_file *list_files(DIR *folder, size_t *count)
{
    kept_file *files = NULL;
    size_t capacity = 0;
    *count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct stat info;
        bool temporary = strncmp(entry->d_name, TEMPORARY, strlen(TEMPORARY)) == 0;
        bool ours = strlen(entry->d_name) == NAME_DIGITS && strspn(entry->d_name, "0123456789abcdef") == NAME_DIGITS;
        if ((!temporary && !ours) || fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode)) continue;
        if (temporary && time(NULL) - info.st_mtime > TEMPORARY_LIFE) unlinkat(dirfd(folder), entry->d_name, 0);
        if (temporary) continue;
        if (*count == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            kept_file *grown = realloc(files, capacity * sizeof *files);
            if (!grown) break;
            files = grown;
        }
        kept_file *file = &files[(*count)++];
        memcpy(file->name, entry->d_name, sizeof file->name);
        file->bytes = (uint64_t)info.st_size;
        file->used = info.st_atim.tv_sec > info.st_mtim.tv_sec ? info.st_atim : info.st_mtim;
    }
    return files;
}

uint64_t mr_cache_folder_bytes(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) return 0;
    size_t count;
    uint64_t total = 0;
    kept_file *files = list_files(folder, &count);
    for (size_t i = 0; i < count; i++) total += files[i].bytes;
    free(files);
    closedir(folder);
    return total;
}

/* Removes the entries that were not used for the longest time until `bytes` fit. */
static void make_room(const mr_cache *cache, uint64_t bytes)
{
    DIR *folder = opendir(cache->folder);
    if (!folder) return;
    size_t count;
    kept_file *files = list_files(folder, &count);
    uint64_t total = bytes;
    for (size_t i = 0; i < count; i++) total += files[i].bytes;
    if (count > 0) qsort(files, count, sizeof *files, by_use);
    for (size_t i = 0; i < count && total > cache->limit; i++) {
        if (unlinkat(dirfd(folder), files[i].name, 0) != 0 && errno != ENOENT) continue;
        total -= files[i].bytes;
    }
    free(files);
    closedir(folder);
}

/* ---------------------------------------------------------------- storing */

static bool write_all(int fd, const void *data, size_t length)
{
    for (const char *at = data; length > 0;) {
        ssize_t written = write(fd, at, length);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        at += written;
        length -= (size_t)written;
    }
    return true;
}

/* Above RLIMIT_FSIZE a write would be answered by a signal that ends the process. */
static bool file_may_have(uint64_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes <= limit.rlim_cur;
}

/* Not synced: a file that a power cut leaves incomplete does not pass its checksum. */
static bool write_file(const mr_cache *cache, const file_header *header, const char *name, const void *data)
{
    char *path = mr_path_join(cache->folder, name), *temporary = mr_path_join(cache->folder, TEMPORARY "XXXXXX");
    int fd = path && temporary ? mkostemp(temporary, O_CLOEXEC) : -1;
    bool written = fd >= 0 && posix_fallocate(fd, 0, (off_t)(sizeof *header + header->length)) == 0 && write_all(fd, header, sizeof *header) &&
                   write_all(fd, data, header->length);
    if (fd >= 0) {
        written = close(fd) == 0 && written && rename(temporary, path) == 0;
        if (!written) unlink(temporary);
    }
    free(temporary);
    free(path);
    return written;
}

void mr_cache_store(const mr_cache *cache, const char *key, const void *data, size_t length)
{
    file_header header = { .length = length };
    char name[MR_SHA256_HEX];
    if (!mr_cache_takes(cache, length) || !name_entry(cache, key, &header, name)) return;
    header.data_checksum = checksum(data, length);
    header.header_checksum = checksum_of_header(&header);
    bool stored = file_may_have(sizeof header + length) && mr_path_make_directories(cache->folder, NULL) == MR_OK;
    if (stored) {
        make_room(cache, sizeof header + length);
        stored = write_file(cache, &header, name, data);
    }
    if (!stored) mr_log(MR_LOG_INFO, "cache", "%zu bytes could not be kept in %s", length, cache->folder);
}
