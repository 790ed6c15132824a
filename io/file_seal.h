/* A seal behind an HDF5 file: a checksum over all its bytes but the values of datasets. Private to io/.
 *
 * libhdf5 1.10 crashes, or never returns, when its own structures are damaged. So they are compared with the seal before
 * it sees them; the values, which it only hands through, have checksums of their own (table.h). HDF5 readers do not mind
 * bytes behind the end of the file; a program that changes the file with libhdf5 cuts the seal off.
 *
 *   u64 first, end   of each range of values, ascending, disjoint
 *   u64 count        of those ranges
 *   u64 length       of the file before the seal
 *   u8[32]           SHA-256 over the bytes outside the ranges, then over the ranges, count and length
 *   u8[16]           "millrace seal 01"                                                                       */
#ifndef MR_IO_FILE_SEAL_H
#define MR_IO_FILE_SEAL_H

#include "core/error.h"

typedef struct mr_seal_range {
    uint64_t first, end;
} mr_seal_range;

/* Zero-initialised; mr_seal_fini when done. */
typedef struct mr_seal {
    mr_seal_range *ranges; /* of values, ascending, disjoint, merged */
    size_t count, capacity;
    bool out_of_memory;
} mr_seal;

void mr_seal_fini(mr_seal *seal);

/* Bytes [first, end) were written last as values, or as something else. */
void mr_seal_mark(mr_seal *seal, uint64_t first, uint64_t end, bool values);

/* Appends the seal to the file, which is complete. Write errors come as errno text with `path`. */
mr_status mr_seal_write(const mr_seal *seal, int fd, const char *path, mr_error *error);

/* *sealed = whether the file ends in a seal. BAD_INPUT when it does not fit the file. */
mr_status mr_seal_check(int fd, const char *path, bool *sealed, mr_error *error);

#endif
