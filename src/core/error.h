/* Error text and control-flow helpers. Statuses themselves: millrace.h. */
#ifndef MR_CORE_ERROR_H
#define MR_CORE_ERROR_H

#include "millrace.h"

/* Sets status and text (cut at MR_ERROR_TEXT_MAX) and returns `status`, so callers write
 * `return mr_error_set(error, MR_IO, "%s: %s", path, strerror(errno));`. `error` may be NULL. */
mr_status mr_error_set(mr_error *error, mr_status status, const char *format, ...) MR_PRINTF(3, 4);

/* Puts context in front of the text: "<context>: <old text>". Keeps and returns the status. */
mr_status mr_error_prefix(mr_error *error, mr_status status, const char *format, ...) MR_PRINTF(3, 4);

/* errno -> status (ENOSPC/EDQUOT NO_SPACE, ENOENT NO_INPUT, else IO); text "<what>: <strerror>". */
mr_status mr_error_errno(mr_error *error, int saved_errno, const char *format, ...) MR_PRINTF(3, 4);

/* Forward a failure to the caller. */
#define MR_TRY(expression)                             \
    do {                                               \
        mr_status mr_try_status_ = (expression);       \
        if (mr_try_status_ != MR_OK) return mr_try_status_; \
    } while (0)

/* Forward a failure to the function's one cleanup label. */
#define MR_TRY_OR(status_variable, expression, label)  \
    do {                                               \
        (status_variable) = (expression);              \
        if ((status_variable) != MR_OK) goto label;    \
    } while (0)

#endif
