#include "core/file_digest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000000)
#define SETTLED_NS (2 * SECOND)            /* FAT's resolution, the coarsest */
#define LEAST_BYTES (UINT64_C(1) << 20) /* a millisecond of reading and hashing: less is not worth an entry */

bool mr_file_stamp_is_settled(const mr_file_stamp *stamp)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * SECOND + now.tv_nsec - stamp->changed_ns > SETTLED_NS && stamp->changed_ns % SECOND != 0;
}

bool mr_file_stamp_append(mr_buf *key, const char *path, const mr_file_stamp *stamp)
{
    return mr_buf_printf(key, "\n%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64, path, stamp->device, stamp->inode, stamp->length,
                         stamp->modified_ns, stamp->changed_ns);
}

bool mr_cache_find_digest(const mr_cache *cache, const char *key, char hex[MR_SHA256_HEX])
{
    mr_cache_entry entry;
    if (!key || !mr_cache_find(cache, key, &entry)) return false;
    bool found = entry.length == MR_SHA256_HEX;
    if (found) memcpy(hex, entry.data, MR_SHA256_HEX);
    mr_cache_release(&entry);
    return found;
}

/* NULL: not to be remembered. */
static char *key_of(const char *path, const mr_file_stamp *stamp)
{
    mr_buf key = { 0 };
    if (stamp->length < LEAST_BYTES || !mr_file_stamp_is_settled(stamp)) return NULL;
    if (mr_buf_append_str(&key, "file") && mr_file_stamp_append(&key, path, stamp)) return mr_buf_detach(&key);
    mr_buf_fini(&key);
    return NULL;
}

mr_status mr_sha256_file_remembered(const mr_cache *cache, const char *path, char hex[MR_SHA256_HEX], mr_error *error)
{
    mr_file_stamp before, after;
    char *key = cache && mr_file_stamp_read(path, &before) ? key_of(path, &before) : NULL;
    mr_status status = MR_OK;
    if (!mr_cache_find_digest(cache, key, hex)) {
        status = mr_sha256_file(path, hex, error);
        bool unchanged = status == MR_OK && key && mr_file_stamp_read(path, &after) && mr_file_stamp_equal(&before, &after);
        if (unchanged) mr_cache_store(cache, key, hex, MR_SHA256_HEX);
    }
    free(key);
    return status;
}
