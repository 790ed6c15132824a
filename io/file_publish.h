/* A finished temporary file gets its name: the commit. Private to io/. */
#ifndef MR_IO_FILE_PUBLISH_H
#define MR_IO_FILE_PUBLISH_H

#include "core/error.h"

/* Renames `temporary`, already fsynced, to `path` without replacing, then fsyncs the directory. *existed = true when
 * `path` was there already: then `temporary` is removed and `path` left alone. */
mr_status mr_file_publish(const char *temporary, const char *path, bool *existed, mr_error *error);
/* The same, replacing what is there. */
mr_status mr_file_replace(const char *temporary, const char *path, mr_error *error);

#endif
