/* A finished output in other formats, streamed in constant memory. */
#ifndef MR_IO_EXPORT_H
#define MR_IO_EXPORT_H

#include "io/embedding_file.h"

/* `path` "-" is stdout; a file appears under its name only when it is complete and replaces an existing one only with
 * `overwrite` (OUTPUT_DIFFERS otherwise). */

/* numpy's format 1.0: float32 [rows, dimension], C order, whatever the stored dtype. */
mr_status mr_export_npy(mr_embedding_file *file, const char *path, bool overwrite, mr_error *error);

/* One JSON object a row: {"id", "status", "embedding", "tokens"} and "error", "text" when not empty; "embedding" is null
 * for failed and skipped rows. */
mr_status mr_export_jsonl(mr_embedding_file *file, const char *path, bool overwrite, mr_error *error);

#endif
