/* Sinks: rows in input order -> HDF5 parts -> one HDF5 file. docs/output-format.md describes the result.
 *
 * Commit protocol: rows go to immutable part files named by record range,
 *   OUT.parts/part-<first, 12 digits>-<end, 12 digits>.h5
 * written as a temporary file, closed, fsynced, renamed (never replacing), directory fsynced. The rename is the
 * commit. mr_sink_finish joins the parts the same way into OUT. A sink has one owner thread. */
#ifndef MR_IO_SINK_H
#define MR_IO_SINK_H

#include "core/error.h"
#include "core/str.h"

typedef enum mr_row_status { MR_ROW_OK = 0, MR_ROW_TRUNCATED = 1, MR_ROW_FAILED = 2, MR_ROW_SKIPPED = 3 } mr_row_status;

typedef enum mr_vector_dtype { MR_VECTOR_F32, MR_VECTOR_F16, MR_VECTOR_INT8, MR_VECTOR_BINARY } mr_vector_dtype;

/* A row of an embedding job; borrowed during put. */
typedef struct mr_embedding_row {
    uint64_t ordinal;
    mr_row_status status;
    mr_str id;
    mr_str error;           /* empty unless failed or skipped */
    const float *vector;    /* [dimension]; NULL for a failed row: NaN (f32, f16) or 0 */
    uint32_t tokens;
    uint32_t source_index;
    uint64_t source_record;
} mr_embedding_row;

/* name -> text, written as root attributes in this order. */
typedef struct mr_attribute {
    const char *name;
    const char *value;
} mr_attribute;

typedef struct mr_sink_options {
    const char *path;               /* OUT.h5 */
    size_t dimension;
    mr_vector_dtype dtype;
    const mr_attribute *attributes; /* [attribute_count]; borrowed until close */
    size_t attribute_count;
    const char *fingerprint;        /* identifies the job: parts and files of another one are refused */
    const char *job_text;           /* what the fingerprint was made of, a line per setting: names what differs */
    bool overwrite;                 /* drop an existing output and its parts first */
    bool keep_parts;
    uint64_t rows_per_part;         /* a part ends at each multiple of this ordinal; 0 = 16384 */
    int64_t commit_interval_ns;     /* and when this much time has passed since its first row; 0 = 30 s */
} mr_sink_options;

typedef struct mr_sink mr_sink;

/* Half-open range of ordinals. */
typedef struct mr_range {
    uint64_t first;
    uint64_t end;
} mr_range;

/* *finished = true when OUT already exists for this very job: nothing to do, *out is not written.
 * OUTPUT_DIFFERS names the differing settings; CANNOT_CREATE, NO_SPACE, IO. */
mr_status mr_sink_open(const mr_sink_options *options, mr_sink **out, bool *finished, mr_error *error);

/* Ranges already committed by an earlier run, ascending, merged. Borrowed until the first put. */
const mr_range *mr_sink_committed(const mr_sink *sink, size_t *count);

/* Rows must come in ascending order of ordinal; a jump starts a new part. Commits by the rules above. */
mr_status mr_sink_put(mr_sink *sink, const mr_embedding_row *row, mr_error *error);

/* Commits the rows held: after this they survive a crash. */
mr_status mr_sink_commit(mr_sink *sink, mr_error *error);

/* Commit, check that ordinals 0..total-1 are all there, join the parts into OUT, remove the parts. */
mr_status mr_sink_finish(mr_sink *sink, uint64_t total, mr_error *error);

/* Without finish: rows since the last commit are dropped, committed parts stay. NULL is fine. */
void mr_sink_close(mr_sink *sink);

/* ---- reading an output back ---- */

typedef struct mr_embedding_file mr_embedding_file;

mr_status mr_embedding_file_open(const char *path, mr_embedding_file **out, mr_error *error);
void mr_embedding_file_close(mr_embedding_file *file);
uint64_t mr_embedding_file_rows(const mr_embedding_file *file);
size_t mr_embedding_file_dimension(const mr_embedding_file *file);
mr_vector_dtype mr_embedding_file_dtype(const mr_embedding_file *file);
/* Root attribute as text; NULL when absent. Borrowed until close. */
const char *mr_embedding_file_attribute(const mr_embedding_file *file, const char *name);
/* Every root attribute in order; false past the end. */
bool mr_embedding_file_attribute_at(const mr_embedding_file *file, size_t index, mr_attribute *out);
/* Vectors of rows [first, first + count) as f32 -> vectors [count, dimension]. */
mr_status mr_embedding_file_vectors(mr_embedding_file *file, uint64_t first, size_t count, float *vectors, mr_error *error);
/* id, error, status, tokens, source of one row; the views are valid until the next call. `vector` is not set. */
mr_status mr_embedding_file_row(mr_embedding_file *file, uint64_t row, mr_embedding_row *out, mr_error *error);
/* Row of an id; NOT_FOUND-like NO_INPUT when absent. */
mr_status mr_embedding_file_find(mr_embedding_file *file, mr_str id, uint64_t *row, mr_error *error);

#endif
