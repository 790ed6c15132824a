/* Leveled logging by module. The library itself never prints: lines go to the sink the program sets,
 * and nowhere without one. Levels: error and warn (job), info (job milestones), debug (batch), trace (record). */
#ifndef MR_CORE_LOG_H
#define MR_CORE_LOG_H

#include "core/error.h"

typedef enum mr_log_level { MR_LOG_OFF, MR_LOG_ERROR, MR_LOG_WARN, MR_LOG_INFO, MR_LOG_DEBUG, MR_LOG_TRACE } mr_log_level;

/* Called with one finished line (no newline), from any thread, never concurrently. */
typedef void mr_log_sink(void *context, mr_log_level level, const char *module, const char *line);

/* Call before threads start. */
void mr_log_set_sink(mr_log_sink *sink, void *context);

/* "info" or "pool=debug,io=info,warn" (a bare level is the default of all modules).
 * CONFIG on an unknown level, naming it. Call before threads start. */
mr_status mr_log_configure(const char *specification, mr_error *error);

void mr_log(mr_log_level level, const char *module, const char *format, ...) MR_PRINTF(3, 4);
const char *mr_log_level_name(mr_log_level level);

#endif
