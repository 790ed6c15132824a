/* Small files read whole, big files mapped, paths, SHA-256. Every error names the path. */
#ifndef MR_CORE_FILE_H
#define MR_CORE_FILE_H

#include "core/error.h"

/* Reads a whole file; a NUL is put behind the data. Free with free(). BAD_INPUT when larger than max_bytes,
 * NO_INPUT when absent. */
mr_status mr_file_read(const char *path, size_t max_bytes, char **data, size_t *length, mr_error *error);

/* Which file, and which state of it: every write gives it another one, but for those within the resolution of the file system's clock. */
typedef struct mr_file_stamp {
    uint64_t device, inode, length;
    int64_t modified_ns, changed_ns; /* mtime and ctime since 1970 */
} mr_file_stamp;

/* False when there is no such file. */
bool mr_file_stamp_read(const char *path, mr_file_stamp *out);
bool mr_file_stamp_equal(const mr_file_stamp *a, const mr_file_stamp *b);

/* Read-only private mapping of a whole regular file. `data` is page-aligned; NULL for an empty file. */
typedef struct mr_mapping {
    const unsigned char *data;
    size_t length;
    mr_file_stamp stamp; /* when it was opened */
} mr_mapping;

mr_status mr_file_map(const char *path, mr_mapping *out, mr_error *error);
void mr_file_unmap(mr_mapping *mapping); /* zeroes it; fine on an unmapped one */
/* Of a part of a mapping that will hardly be read again: its pages leave the resident set, those it shares with a neighbour stay. */
void mr_file_release_pages(const unsigned char *data, size_t bytes);

bool mr_path_exists(const char *path);
bool mr_path_is_directory(const char *path);
/* malloc'ed "a/b"; NULL when out of memory. An absolute b is returned alone. */
char *mr_path_join(const char *directory, const char *name);
/* mkdir -p. CANNOT_CREATE naming the part that failed. */
mr_status mr_path_make_directories(const char *path, mr_error *error);
/* fsync of the directory holding `path`, so that a rename in it survives a crash. */
mr_status mr_path_sync_directory_of(const char *path, mr_error *error);

#define MR_SHA256_HEX 65 /* 64 digits + NUL */
mr_status mr_sha256_file(const char *path, char hex[MR_SHA256_HEX], mr_error *error);
void mr_sha256_bytes(const void *data, size_t length, char hex[MR_SHA256_HEX]);

#endif
