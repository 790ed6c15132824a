/* What can be made again, kept in the files of one folder: key -> bytes.
 *
 * A find gives what was stored under this key by the same maker, or nothing: a file that is truncated, damaged, misnamed or not
 * the user's own is as good as none. A store that fails leaves nothing behind and says so only in the log: no cache is ever
 * needed. Files are written under another name and renamed; any number of threads and processes may share a folder.
 *
 * One file: 8 bytes "MRCACHE1", 32 bytes SHA-256 of maker and key, then little endian u64 length of the data, checksum of the
 * data, checksum of the 56 bytes before; then the data. Its name is the 64 digits of the SHA-256. */
#ifndef MR_CORE_CACHE_H
#define MR_CORE_CACHE_H

#include "core/file.h"

typedef struct mr_cache mr_cache; /* immutable */

/* `folder` need not exist: the first store makes it. All its entries together stay below `limit` bytes; what was not read for the
 * longest time leaves first. `maker` names the build: another one's entries are not seen. */
mr_status mr_cache_open(const char *folder, uint64_t limit, const char *maker, mr_cache **out, mr_error *error);
void mr_cache_close(mr_cache *cache); /* NULL is fine */

/* $XDG_CACHE_HOME/millrace, else ~/.cache/millrace, malloc'ed; NULL when neither variable is set. */
char *mr_cache_default_folder(void);

/* What the entries in a folder take, of any maker. */
uint64_t mr_cache_folder_bytes(const char *folder);

/* Whether `length` bytes would be kept. */
bool mr_cache_takes(const mr_cache *cache, size_t length);

typedef struct mr_cache_entry {
    mr_mapping file;
    const unsigned char *data; /* [length], read-only pages shared with other processes, at a multiple of 64 */
    size_t length;
} mr_cache_entry;

/* Every byte is checked before it is given out, at the speed of memory. NULL as cache finds nothing. */
bool mr_cache_find(const mr_cache *cache, const char *key, mr_cache_entry *out);
void mr_cache_release(mr_cache_entry *entry); /* zeroes it; fine on a zeroed one */

void mr_cache_store(const mr_cache *cache, const char *key, const void *data, size_t length);

#endif
