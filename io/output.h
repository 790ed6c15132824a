/* An HDF5 output as a whole, from outside the run that makes it: how far it is, whether it is sound, joining. */
#ifndef MR_IO_OUTPUT_H
#define MR_IO_OUTPUT_H

#include "io/sink.h"

typedef struct mr_output_state {
    bool finished;         /* OUT is there; else parts alone */
    bool running;          /* a process holds a lock in OUT.parts */
    char holder[256];      /* "process 123 on host", "" when none */
    size_t parts;          /* in OUT.parts */
    uint64_t rows;         /* in OUT, or committed in parts (records done twice count once) */
    bool total_known;      /* some run has seen the end of the input */
    uint64_t total;        /* records of the input; rows when finished */
    uint64_t by_status[4]; /* by mr_row_status; overlapping parts count twice */
} mr_output_state;

/* Callable while a run goes on. Of finished JSON lines it knows what their mark says (lines_mark.h). NO_INPUT when there is neither OUT
 * nor a part; BAD_INPUT when OUT is something else. */
mr_status mr_output_inspect(const char *path, mr_output_state *state, mr_error *error);

/* Reads everything: checksums, row counts, offsets, UTF-8, reasons of failed rows, finite vectors of good ones, the order
 * of sources, the index of ids. OK only for a finished, sound output; INCOMPLETE for sound parts; BAD_INPUT naming file and dataset or row, and for JSON lines. */
mr_status mr_output_verify(const char *path, mr_error *error);

/* Joins the parts of OUT as the end of a run does, when no run goes on: `millrace merge OUT` behind a sharded job.
 * INCOMPLETE naming what is missing; OK when OUT is finished already. `in_place` as in mr_sink_options. */
mr_status mr_output_merge_parts(const char *path, bool in_place, mr_error *error);

/* Joins finished outputs, in this order, into a new one. OUTPUT_DIFFERS when their vectors do not belong together (dtype,
 * dimension, model, pooling, ...), or `path` exists and is not this very merge, without `overwrite`. */
mr_status mr_output_merge_files(const char *const *paths, size_t count, const char *path, bool overwrite, mr_error *error);

#endif
