/* A small deterministic embedding job and the comparison of two outputs. */
#ifndef MR_TESTS_SINK_FIXTURE_H
#define MR_TESTS_SINK_FIXTURE_H

#include "io_fixture.h"

#define JOB_DIMENSION 12

/* Options of the job; parts of 100 rows. */
mr_sink_options job_options(const char *path);

/* Row `ordinal`: every seventh failed, every eleventh truncated. Views into static storage until the next call. */
mr_embedding_row job_row(uint64_t ordinal);

mr_status job_put(mr_sink *sink, uint64_t first, uint64_t end, mr_error *error);

/* The whole job as a pipeline runs it: what is committed is left out, the rest is put, then finish. */
mr_status job_run(const mr_sink_options *options, uint64_t total, bool *finished, mr_error *error);

/* Fails unless both files have the same datasets with the same types, shapes and bytes. */
void assert_same_datasets(const char *one, const char *other);

#endif
