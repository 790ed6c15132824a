/* millrace: offline batch inference for CPUs. The one public header of libmillrace.
 *
 * Conventions of the whole library
 *   - Fallible functions return mr_status; results come through out-parameters, written only on MR_OK.
 *   - A trailing `mr_error *error` may be NULL. On failure it holds the status and one line of text:
 *     what happened, where (file, tensor, record, line), what to do.
 *   - The library never exits, aborts, prints or installs signal handlers.
 *   - "owned" = the callee or caller named must free it; "borrowed" = valid until the moment named.
 */
#ifndef MILLRACE_H
#define MILLRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MR_API __attribute__((visibility("default")))
#define MR_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define MR_API
#define MR_PRINTF(format_index, first_argument)
#endif

/* ---------------------------------------------------------------- status */

/* X(NAME, value, process exit code, text). Values are stable: they are stored and cross the ABI. */
#define MR_STATUS_LIST(X)                                                              \
    X(OK, 0, 0, "ok")                                                                  \
    X(END, 1, 0, "end of input")                                                       \
    X(INVALID_ARGUMENT, 2, 64, "invalid argument")                                     \
    X(BAD_RECORD, 3, 65, "bad input record")                                           \
    X(BAD_INPUT, 4, 65, "input data cannot be used")                                   \
    X(NO_INPUT, 5, 66, "no such input")                                                \
    X(NOT_FOUND, 6, 69, "model not found")                                             \
    X(WRONG_CAPABILITY, 7, 69, "model has another capability")                         \
    X(MODEL_FILES_MISSING, 8, 69, "model files missing")                               \
    X(MODEL_CORRUPT, 9, 69, "model files corrupt")                                     \
    X(MODEL_UNSUPPORTED, 10, 69, "model not supported")                                \
    X(MEMORY_EXHAUSTED, 11, 69, "memory limit reached")                                \
    X(OUT_OF_MEMORY, 12, 70, "allocation failed")                                      \
    X(QUEUE_FULL, 13, 70, "queue full")                                                \
    X(TIMEOUT, 14, 70, "timed out")                                                    \
    X(CANCELLED, 15, 75, "cancelled")                                                  \
    X(CIRCUIT_OPEN, 16, 69, "circuit breaker open")                                    \
    X(SHUTTING_DOWN, 17, 75, "shutting down")                                          \
    X(WORKER_DIED, 18, 70, "worker died")                                              \
    X(NON_FINITE, 19, 70, "non-finite output")                                         \
    X(CANNOT_CREATE, 20, 73, "cannot create output")                                   \
    X(OUTPUT_DIFFERS, 21, 73, "output belongs to another job")                         \
    X(IO, 22, 74, "input/output error")                                                \
    X(NO_SPACE, 23, 74, "no space left on device")                                     \
    X(CONFIG, 24, 78, "configuration error")                                           \
    X(NETWORK, 25, 69, "network error")                                                \
    X(INCOMPLETE, 26, 75, "stopped early; run the same command again to resume")       \
    X(RECORDS_FAILED, 27, 3, "done, some records failed")                              \
    X(INTERNAL, 28, 70, "internal error")

typedef enum mr_status {
#define MR_STATUS_ENUM(name, value, exit_code, text) MR_##name = value,
    MR_STATUS_LIST(MR_STATUS_ENUM)
#undef MR_STATUS_ENUM
} mr_status;

#define MR_ERROR_TEXT_MAX 1024

/* Caller storage. Zero-initialise (`mr_error error = {0}`) or leave it: every setter overwrites. */
typedef struct mr_error {
    mr_status status;
    char text[MR_ERROR_TEXT_MAX];
} mr_error;

MR_API const char *mr_status_name(mr_status status); /* "MODEL_CORRUPT"; "UNKNOWN" for other values */
MR_API const char *mr_status_text(mr_status status); /* "model files corrupt" */
MR_API int mr_status_exit_code(mr_status status);

MR_API const char *mr_version(void); /* "0.1.0" */

/* Text with its length; may hold U+0000. A borrowed view. */
typedef struct mr_str {
    const char *data;
    size_t length;
} mr_str;

/* Chooses the compute kernels: NULL = $MILLRACE_ISA, else the best this CPU has. Optional; call once before anything else.
 * CONFIG names the choices. */
MR_API mr_status mr_use_isa(const char *isa, mr_error *error);

/* ---------------------------------------------------------------- what models run in */

/* One memory account and, for each model in it, workers as its load asks for. Embedders share one to serve several models to many
 * threads; an embedder or a job on its own makes its own, with the same share of the memory each. Thread-safe, close excepted. */
typedef struct mr_runtime mr_runtime;

/* `settings` [count] are "key=value" as in a job file: pool.NAME, resources.memory, .memory_reserve, .cache, .cache_size, .metrics,
 * .metrics_listen and .numa (`millrace run --settings` explains them). CONFIG names the nearest key. */
MR_API mr_status mr_runtime_open(const char *const *settings, size_t count, mr_runtime **out, mr_error *error);
/* What it has done and is doing, in Prometheus' text format. malloc'ed: the caller frees it. */
MR_API mr_status mr_runtime_metrics(mr_runtime *runtime, char **out, mr_error *error);

typedef struct mr_shutdown_report {
    double seconds;
    uint64_t drained; /* requests answered since the shutdown began */
    uint64_t dropped; /* queued requests answered SHUTTING_DOWN at the timeout */
    size_t stuck;     /* workers still running at the end */
} mr_shutdown_report;

/* From any thread: calls get SHUTTING_DOWN from now on, those accepted before go on. */
MR_API void mr_runtime_begin_shutdown(mr_runtime *runtime);
/* Begins if need be and waits at most pool.shutdown_timeout, then drops what is queued. OK when everything ended by itself, else
 * TIMEOUT. `report` may be NULL. A second call reports again. */
MR_API mr_status mr_runtime_shutdown(mr_runtime *runtime, mr_shutdown_report *report);
/* Shuts down if that was not done. After its embedders have been closed. NULL is fine. */
MR_API void mr_runtime_close(mr_runtime *runtime);

/* ---------------------------------------------------------------- texts -> vectors, on demand */

typedef struct mr_embedder mr_embedder;

/* Zero-initialise: the model's own settings. Strings are borrowed during open. */
typedef struct mr_embedder_options {
    const char *model;       /* catalogue key or model directory */
    const char *prompt_name; /* NULL: the model's default prompt */
    const char *prompt_text;
    bool is_query;           /* no prompt given: use the model's "query" prompt when there is one */
    const char *pooling;     /* "mean", ...; NULL: the model's */
    const char *normalize;   /* "true", "false"; NULL: the model's */
    const char *precision;   /* NULL: auto */
    size_t dim;              /* 0: all */
    size_t max_tokens;       /* 0: the model's */
    size_t threads;          /* cores that work on one call, 0: all; calls of as many threads as the others suffice for run at once */
    mr_runtime *runtime;     /* borrowed until close. NULL: one of its own, without time limits */
    bool urgent;             /* calls are served before those that wait */
    bool no_wait;            /* QUEUE_FULL rather than wait for a worker or for room in its queue */
} mr_embedder_options;

/* Loads nothing yet: the first run does. */
MR_API mr_status mr_embedder_open(const mr_embedder_options *options, mr_embedder **out, mr_error *error);
MR_API void mr_embedder_close(mr_embedder *embedder); /* NULL is fine */
MR_API size_t mr_embedder_dimension(const mr_embedder *embedder);

/* vectors [count, dimension], caller storage. `statuses` [count] receives OK, BAD_RECORD or NON_FINITE per text; with NULL
 * the first text that fails fails the call. Thread-safe: calls of many threads are spread over the model's workers. Besides what the
 * texts and the model give rise to: TIMEOUT, QUEUE_FULL, MEMORY_EXHAUSTED, CIRCUIT_OPEN after repeated failures, SHUTTING_DOWN. */
MR_API mr_status mr_embedder_run(mr_embedder *embedder, const mr_str *texts, size_t count, float *vectors, mr_status *statuses, mr_error *error);

/* ---------------------------------------------------------------- jobs: corpus -> file */

typedef struct mr_batch_job mr_batch_job;

/* A job file, or with NULL an empty job to be filled by mr_batch_job_set. */
MR_API mr_status mr_batch_job_open(const char *path, mr_batch_job **out, mr_error *error);
/* Any key of a job file: "embedding.dim=256", "input.paths=corpus.jsonl". */
MR_API mr_status mr_batch_job_set(mr_batch_job *job, const char *assignment, mr_error *error);

typedef struct mr_batch_job_counts {
    uint64_t ok, truncated, failed; /* of this run */
    uint64_t resumed;               /* rows earlier runs had committed */
    uint64_t tokens;
} mr_batch_job_counts;

/* Blocks until the job has ended. OK (also when it was complete before), RECORDS_FAILED, INCOMPLETE after a stop: run it
 * again to go on. `counts` may be NULL. */
MR_API mr_status mr_batch_job_run(mr_batch_job *job, mr_batch_job_counts *counts, mr_error *error);
/* From any thread: the run finishes what is in flight, commits and returns. */
MR_API void mr_batch_job_stop(mr_batch_job *job);
MR_API void mr_batch_job_close(mr_batch_job *job); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
