#include "io/lines_mark.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "core/log.h"

#define FINGERPRINT "user.millrace.fingerprint"
#define ROWS "user.millrace.rows" /* by status, separated by spaces */
#define ROWS_FORMAT(number) number " " number " " number " " number

_Static_assert(MR_ROW_STATUS_COUNT == 4, "ROWS_FORMAT");

void mr_lines_mark_write(const char *path, const mr_lines_mark *mark)
{
    char rows[128];
    const uint64_t *n = mark->by_status;
    int length = snprintf(rows, sizeof rows, ROWS_FORMAT("%" PRIu64), n[0], n[1], n[2], n[3]);
    if (setxattr(path, ROWS, rows, (size_t)length, 0) != 0 || setxattr(path, FINGERPRINT, mark->fingerprint, strlen(mark->fingerprint), 0) != 0)
        mr_log(MR_LOG_DEBUG, "io", "%s: no extended attributes here: %s", path, strerror(errno));
}

static bool read_text(const char *path, const char *name, char *out, size_t capacity)
{
    ssize_t length = getxattr(path, name, out, capacity - 1);
    out[length < 0 ? 0 : length] = '\0';
    return length >= 0;
}

bool mr_lines_mark_read(const char *path, mr_lines_mark *out)
{
    mr_lines_mark mark;
    char rows[128];
    uint64_t *n = mark.by_status;
    if (!read_text(path, FINGERPRINT, mark.fingerprint, sizeof mark.fingerprint) || !read_text(path, ROWS, rows, sizeof rows)) return false;
    if (sscanf(rows, ROWS_FORMAT("%" SCNu64), &n[0], &n[1], &n[2], &n[3]) != MR_ROW_STATUS_COUNT) return false;
    *out = mark;
    return true;
}
