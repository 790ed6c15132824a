/* What says of a file of JSON lines that it is finished, which job made it, and how many rows it has: extended attributes, since its
 * lines have no place for that. Private to io/. */
#ifndef MR_IO_LINES_MARK_H
#define MR_IO_LINES_MARK_H

#include "io/embedding_row.h"

#define MR_LINES_FINGERPRINT_MAX 256

typedef struct mr_lines_mark {
    char fingerprint[MR_LINES_FINGERPRINT_MAX];
    uint64_t by_status[MR_ROW_STATUS_COUNT]; /* rows */
} mr_lines_mark;

/* Best effort: on a file system without such attributes a finished file is refused instead of recognised. */
void mr_lines_mark_write(const char *path, const mr_lines_mark *mark);
/* False when the file bears none. */
bool mr_lines_mark_read(const char *path, mr_lines_mark *out);

#endif
