/* One row of an embedding job, as sinks take it and embedding files give it. */
#ifndef MR_IO_EMBEDDING_ROW_H
#define MR_IO_EMBEDDING_ROW_H

#include "core/str.h"

typedef enum mr_row_status { MR_ROW_OK = 0, MR_ROW_TRUNCATED = 1, MR_ROW_FAILED = 2, MR_ROW_SKIPPED = 3 } mr_row_status;
#define MR_ROW_STATUS_COUNT 4

static inline const char *mr_row_status_name(mr_row_status status)
{
    static const char *const names[] = { "ok", "truncated", "failed", "skipped" };
    return names[status];
}

typedef enum mr_vector_dtype { MR_VECTOR_F32, MR_VECTOR_F16, MR_VECTOR_INT8, MR_VECTOR_BINARY } mr_vector_dtype;

/* All views are borrowed: during put; until the next call of the file that gave it. */
typedef struct mr_embedding_row {
    uint64_t ordinal;
    mr_row_status status;
    mr_str id;
    mr_str error;           /* empty unless failed or skipped */
    mr_str text;            /* of an image: its caption. Kept only with store_text */
    uint32_t width, height; /* of an image; kept only with image_sizes */
    const float *vector;    /* [dimension]; NULL for a failed row, stored as NaN (f32, f16) or 0 */
    uint32_t tokens;
    uint32_t source_index;
    uint64_t source_record;
} mr_embedding_row;

/* Root attribute. */
typedef struct mr_attribute {
    const char *name;
    const char *value;
} mr_attribute;

#endif
