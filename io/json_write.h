/* JSON text of strings and numbers, appended to a buffer. Private to io/. */
#ifndef MR_IO_JSON_WRITE_H
#define MR_IO_JSON_WRITE_H

#include "io/embedding_row.h"

/* False when out of memory. Text must be well-formed UTF-8. */
bool mr_json_append_string(mr_buf *out, mr_str text);
/* Shortest of 6 to 9 digits that reads back as the same float; NaN and infinity become null. */
bool mr_json_append_float(mr_buf *out, float value);

/* One line: {"id", "status", "embedding", "tokens", and "error", "text" when not empty}. `vector` NULL: "embedding": null. */
bool mr_json_append_row(mr_buf *out, const mr_embedding_row *row, const float *vector, size_t dimension);

#endif
