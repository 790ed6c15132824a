/* A folder of a test's own, and small files in it. Failures end the test. */
#ifndef SCRATCH_FOLDER_H
#define SCRATCH_FOLDER_H

#include <stddef.h>

/* Makes an empty folder below the build's test folder; the path stays valid until the next call. */
const char *scratch_folder(const char *name);
/* Writes `directory`/`path`, making folders on the way. */
void scratch_write(const char *directory, const char *path, const void *data, size_t length);
void scratch_write_text(const char *directory, const char *path, const char *text);

#endif
