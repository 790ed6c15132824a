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

#ifdef __cplusplus
}
#endif
#endif
