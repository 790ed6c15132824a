/* Sinks: rows in input order -> one finished output. docs/output-format.md describes the files.
 *
 * A file: rows go to immutable part files named by record range,
 *   OUT.parts/part-<first, 12 digits>-<end, 12 digits>.h5
 * written as a temporary file, closed, fsynced, renamed (never replacing), directory fsynced. The rename is the commit.
 * mr_sink_finish joins the parts the same way into OUT: HDF5, or JSON lines (one object a row) when its name ends in
 * .jsonl or .ndjson. "-" is stdout: JSON lines as they come, nothing to resume.
 *
 * A sink has one owner thread; libhdf5 is not thread-safe, so no other thread may use mr_sink_* or mr_embedding_file_*
 * (of any object) at the same time. */
#ifndef MR_IO_SINK_H
#define MR_IO_SINK_H

#include "core/clock.h"
#include "io/embedding_file.h"
#include "io/embedding_row.h"

typedef struct mr_sink_options {
    const char *path;               /* OUT.h5, OUT.jsonl or "-"; missing directories are made */
    size_t dimension;
    mr_vector_dtype dtype;          /* JSON lines are always made of f32 */
    bool store_text;                /* keep the record's text beside its vector */
    bool image_sizes;               /* the rows are of images: keep width and height, call their texts captions */
    const mr_attribute *attributes; /* [attribute_count], written as root attributes in this order; borrowed until close.
                                       The sink's own names are refused: schema, schema_version, fingerprint, job, dtype,
                                       dimension, first_ordinal, end_ordinal, rows, rows_ok, rows_truncated, rows_failed,
                                       rows_skipped. "inputs", a line "digest  name" each, tells which input changed when a
                                       job is refused */
    size_t attribute_count;
    const char *const *source_names; /* [source_count], by source_index (mr_source_name); borrowed until close */
    size_t source_count;
    const char *fingerprint;        /* identifies the job: parts and files of another one are refused */
    const char *job_text;           /* what the fingerprint was made of, "name: value" a line: tells what differs */
    bool overwrite;                 /* a finished output, or parts of another job, are dropped first; parts of this very
                                       job are resumed, so that the same command can be run again after a kill */
    bool retry_failed;              /* the failed rows of a finished output of this very job count as missing: they are put
                                       again, finish replaces the output. Meanwhile parts are in OUT.retry.parts. A rerun
                                       goes on. NO_INPUT when the output is not finished; not together with overwrite */
    bool keep_parts;
    bool in_place_parts;            /* the vectors stay in the parts for good, OUT refers to them: for a disk that cannot hold
                                       them twice. HDF5 outputs only */
    const char *lock_name;          /* runs with different names may fill one output together (shards); NULL = "run" */
    uint64_t rows_per_part;         /* a part ends at each multiple of this ordinal; 0 = 16384; fewer for large rows */
    int64_t commit_interval_ns;     /* and when this much time has passed since its first row; 0 = 30 s */
    mr_clock *clock;                /* NULL = monotonic */
} mr_sink_options;

typedef struct mr_sink mr_sink;

/* CONFIG unless a sink can be made of this path: .h5 .hdf5 .jsonl .ndjson, no suffix (HDF5), or "-". Looks at the name alone. */
mr_status mr_output_name_check(const char *path, mr_error *error);

/* Half-open range of ordinals. */
typedef struct mr_range {
    uint64_t first;
    uint64_t end;
} mr_range;

/* *finished = true when OUT already exists for this very job: nothing to do, *out is not written.
 * OUTPUT_DIFFERS names the differing settings; CANNOT_CREATE (also: another process writes this output), NO_SPACE, IO. */
mr_status mr_sink_open(const mr_sink_options *options, mr_sink **out, bool *finished, mr_error *error);

/* Ranges already committed by an earlier run, ascending, merged. Borrowed until the first put. */
const mr_range *mr_sink_committed(const mr_sink *sink, size_t *count);

/* Rows must come in ascending order of ordinal; a jump starts a new part. Commits by the rules above. A failure is
 * final: put, commit and finish return it again. */
mr_status mr_sink_put(mr_sink *sink, const mr_embedding_row *row, mr_error *error);

/* Commits the rows held: after this they survive a crash. */
mr_status mr_sink_commit(mr_sink *sink, mr_error *error);

/* Commit, check that ordinals 0..total-1 are all there (INCOMPLETE naming what is missing), join the parts into OUT,
 * remove the parts. NO_SPACE before anything is written when the disk cannot hold it; the parts stay. */
mr_status mr_sink_finish(mr_sink *sink, uint64_t total, mr_error *error);

/* Behind finish: failed rows of the whole output, those of earlier runs too. */
uint64_t mr_sink_failed_rows(const mr_sink *sink);

/* The end of a run that did only its share (options.lock_name given): commit, and note how many records the input has, for
 * mr_output_merge_parts. */
mr_status mr_sink_finish_shard(mr_sink *sink, uint64_t total, mr_error *error);

/* Without finish: rows since the last commit are dropped, committed parts stay. NULL is fine. */
void mr_sink_close(mr_sink *sink);

#endif
