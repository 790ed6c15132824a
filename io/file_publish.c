#include "io/file_publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/file.h"

/* link() refuses an existing name too: for file systems that do not know RENAME_NOREPLACE. */
static int rename_by_link(const char *from, const char *to)
{
    if (link(from, to) != 0) return -1;
    return unlink(from);
}

mr_status mr_file_publish(const char *temporary, const char *path, bool *existed, mr_error *error)
{
    int failed = renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE);
    if (failed && (errno == EINVAL || errno == ENOSYS)) failed = rename_by_link(temporary, path);
    int saved = errno;
    *existed = failed && saved == EEXIST;
    if (failed) unlink(temporary);
    if (failed && !*existed) return mr_error_errno(error, saved, "cannot rename %s to %s", temporary, path);
    return mr_path_sync_directory_of(path, error);
}

mr_status mr_file_replace(const char *temporary, const char *path, mr_error *error)
{
    if (rename(temporary, path) != 0) {
        mr_status status = mr_error_errno(error, errno, "cannot replace %s", path);
        unlink(temporary);
        return status;
    }
    return mr_path_sync_directory_of(path, error);
}
