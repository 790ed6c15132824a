/* Digests of files, remembered under the files' stamps. */
#ifndef MR_CORE_FILE_DIGEST_H
#define MR_CORE_FILE_DIGEST_H

#include "core/cache.h"
#include "core/str.h"

/* Would a change of the file show in its stamp? Not when it changed in the last two seconds, nor at a whole second: that is no
 * clock's time but an image builder's, who gives it to any content. */
bool mr_file_stamp_is_settled(const mr_file_stamp *stamp);

/* Appends path and stamp, a line for a key of the cache. Out of memory: false. */
bool mr_file_stamp_append(mr_buf *key, const char *path, const mr_file_stamp *stamp);

/* What was stored under the key, if it is a digest. NULL as cache or key finds nothing. */
bool mr_cache_find_digest(const mr_cache *cache, const char *key, char hex[MR_SHA256_HEX]);

/* mr_sha256_file, but a large file that is as it was when it was last hashed is not read again. `cache` may be NULL. */
mr_status mr_sha256_file_remembered(const mr_cache *cache, const char *path, char hex[MR_SHA256_HEX], mr_error *error);

#endif
