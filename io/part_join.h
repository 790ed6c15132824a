/* All parts of a job -> one file: HDF5, or JSON lines when its name says so. Private to io/. */
#ifndef MR_IO_PART_JOIN_H
#define MR_IO_PART_JOIN_H

#include "io/part_list.h"

/* Zero for the parts of a job. */
typedef struct mr_join_options {
    const char *fingerprint, *job_text; /* what the result calls itself; NULL: as the first part does */
    bool replace;                       /* an existing output gives way to the new one at the very end */
    uint64_t *failed;                   /* receives how many rows of the result are failed ones; NULL is fine */
    bool in_place;                      /* the vectors stay where they are, and the output refers to them: parts beside `path` */
    const char *base;                   /* a finished output whose rows stand where no part has them; NULL: none. With it
                                           `list` may be empty */
} mr_join_options;

/* Joins ordinals 0..total-1 into `temporary`, syncs it and publishes it as `path`; attributes and input names come from
 * the base or the first part. Memory is bounded by a few hundred rows and the index of ids. Every part's checksums are
 * compared: a damaged one is removed and INCOMPLETE says that another run redoes it (distinct files and the base are
 * never removed: BAD_INPUT). INCOMPLETE also names the first missing records. OUTPUT_DIFFERS when `path` exists by now
 * (without `replace`), or parts go beyond `total`; NO_SPACE before writing when the disk cannot hold it. */
mr_status mr_part_list_join(const mr_part_list *list, uint64_t total, mr_join_options options, const char *temporary, const char *path, mr_error *error);

#endif
