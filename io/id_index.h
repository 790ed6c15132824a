/* The index of ids in a finished output: /id/index/hash u64[N], ascending, and /id/index/row u64[N], the row of each.
 * The hash is FNV-1a, 64 bits, over the id's bytes. Private to io/. */
#ifndef MR_IO_ID_INDEX_H
#define MR_IO_ID_INDEX_H

#include "io/table.h"

/* Makes the index of the rows written to `file` so far. Takes 34 MiB at most: a larger one is sorted range by range of
 * hashes, reading the ids once for each. */
mr_status mr_id_index_write(hid_t file, const char *path, mr_error *error);

typedef struct mr_id_index mr_id_index;

/* *out = NULL when the file has none (a part). `file` and `path` are borrowed until close. BAD_INPUT when the index does not have `rows` rows. */
mr_status mr_id_index_open(hid_t file, const char *path, uint64_t rows, mr_id_index **out, mr_error *error);
void mr_id_index_close(mr_id_index *index); /* NULL is fine */

/* The rows whose id has the same hash, ascending: `at` = 0, 1, ... until END. */
mr_status mr_id_index_candidate(mr_id_index *index, mr_str id, uint64_t at, uint64_t *row, mr_error *error);

uint64_t mr_id_hash(mr_str id);

/* For verifying: checksums of both datasets; entry `at`, fast in ascending order. */
mr_status mr_id_index_verify(mr_id_index *index, mr_error *error);
mr_status mr_id_index_entry(mr_id_index *index, uint64_t at, uint64_t *hash, uint64_t *row, mr_error *error);

#endif
