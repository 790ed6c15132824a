/* A file or stdout, written front to back; a file gets its name when it is complete. Private to io/. */
#ifndef MR_IO_TEXT_OUTPUT_H
#define MR_IO_TEXT_OUTPUT_H

#include "core/str.h"

/* Append to `held`, then call _flush now and then. */
typedef struct mr_text_output {
    const char *path; /* borrowed; "stdout" for "-" */
    char *temporary;  /* NULL: stdout */
    bool overwrite;
    int fd;
    mr_buf held;
} mr_text_output;

/* Missing directories are made. `path` is borrowed until close. OUTPUT_DIFFERS when it exists and `overwrite` is false;
 * CANNOT_CREATE. */
mr_status mr_text_output_open(mr_text_output *output, const char *path, bool overwrite, mr_error *error);
/* Writes what is held once it is worth a system call (always when `all`). */
mr_status mr_text_output_flush(mr_text_output *output, bool all, mr_error *error);
/* Writes the rest, syncs and publishes. */
mr_status mr_text_output_finish(mr_text_output *output, mr_error *error);
/* Removes an unfinished file. Fine on one that was never opened (zeroed). */
void mr_text_output_close(mr_text_output *output);

#endif
