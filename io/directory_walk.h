/* The image and text files below a directory, in byte order of their paths, one directory listing per level in memory. */
#ifndef MR_IO_DIRECTORY_WALK_H
#define MR_IO_DIRECTORY_WALK_H

#include "core/error.h"

typedef struct mr_directory_walk mr_directory_walk;

mr_status mr_directory_walk_open(const char *root, mr_directory_walk **out, mr_error *error);
void mr_directory_walk_close(mr_directory_walk *walk); /* NULL is fine */

/* The path of the next file from the root on, without it ("a/b.txt"); borrowed until the next call. END behind the last.
 * Symbolic links are followed, but never into a directory that is being walked. A directory that cannot be listed is
 * IO naming it. */
mr_status mr_directory_walk_next(mr_directory_walk *walk, const char **path, mr_error *error);

/* How many those files are, and their bytes. BAD_INPUT when there is none. */
mr_status mr_directory_measure(const char *root, uint64_t *files, uint64_t *bytes, mr_error *error);

#endif
