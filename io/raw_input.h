/* The bytes of one input file as stored, given to libarchive: the only place where input is read. */
#ifndef MR_IO_RAW_INPUT_H
#define MR_IO_RAW_INPUT_H

#include <archive.h>
#include <stdatomic.h>

#include "core/error.h"

typedef enum mr_raw_format { MR_RAW_STREAM, MR_RAW_ARCHIVE } mr_raw_format;

typedef struct mr_raw_input mr_raw_input;

/* `path` "-" is stdin. STREAM gives one entry, the decompressed bytes; ARCHIVE the members of a tar or zip file.
 * Compression is recognised by content. `position`, where the file offset is kept for progress, is borrowed until
 * close and may be NULL. `name` is for errors, borrowed. */
mr_status mr_raw_input_open(const char *path, const char *name, mr_raw_format format, _Atomic uint64_t *position,
                            mr_raw_input **out, mr_error *error);
void mr_raw_input_close(mr_raw_input *input); /* NULL is fine */

/* Owned by the input. */
struct archive *mr_raw_input_archive(mr_raw_input *input);

/* What libarchive's last failure was: IO with the reason of read(2), else BAD_INPUT "NAME: damaged or cut off: ...". */
mr_status mr_raw_input_error(mr_raw_input *input, mr_error *error);

/* BAD_INPUT when the bytes are packed more than twice over: nothing honest is. Call behind the first header. */
mr_status mr_raw_input_check_nesting(mr_raw_input *input, mr_error *error);

#endif
