/* A dataset whose rows lie in other files: an HDF5 virtual dataset over the vectors of parts. Private to io/.
 *
 * HDF5 gives the fill value for a source that is missing, without a word. So sources are checked before anything is read:
 * each is a part, PARTS/part-<first>-<end>.h5 beside the file, sealed, and large enough. Nothing else is ever opened. */
#ifndef MR_IO_VIRTUAL_ROWS_H
#define MR_IO_VIRTUAL_ROWS_H

#include "io/hdf5_file.h"

/* Rows [from, from + count) of a part. */
typedef struct mr_virtual_origin {
    char *file; /* relative to the file that refers to it */
    uint64_t rows, from, count;
} mr_virtual_origin;

/* Makes creation properties those of a virtual dataset `name` [rows, width]: the origins' rows one after another. */
mr_status mr_virtual_map(hid_t creation, const char *name, const mr_virtual_origin *origins, size_t count, uint64_t rows, uint64_t width, mr_error *error);

bool mr_virtual_is(hid_t dataset);

/* Are the dataset's rows, in `path`, all there? BAD_INPUT naming what is missing or foreign. */
mr_status mr_virtual_check(hid_t dataset, const char *path, uint64_t rows, uint64_t width, size_t element_bytes, mr_error *error);

#endif
