/* What every thread was doing when: spans for Chrome's trace viewer and Perfetto (JSON "X" events).
 *
 * Off, a span costs one load and a branch. On, two clock reads and a store into the thread's own buffer; no lock, no
 * allocation but one block per 4096 spans. Memory is bounded: beyond MR_TRACE_MAX_SPANS spans are counted, not kept.
 * Round the spans of each thread lies one with the thread's name and its counters (counters.h) from its first span on.
 *
 *   int64_t begin = mr_trace_begin();
 *   ... work ...
 *   mr_trace_end(begin, "attention", "tokens", tokens);
 */
#ifndef MR_CORE_TRACE_H
#define MR_CORE_TRACE_H

#include "core/error.h"

#define MR_TRACE_MAX_SPANS ((size_t)2 << 20) /* 80 MiB: minutes of a busy machine, more than a viewer likes to open */

/* Before the threads to be seen start. Stop and write after they have ended. */
void mr_trace_start(void);
/* Writes what was recorded (replacing the file), frees it and switches off. */
mr_status mr_trace_write(const char *path, mr_error *error);

/* How this thread is called in the viewer: "worker". `text` is static or NULL, the number of threads of one name is added. */
void mr_trace_name_thread(const char *text);

/* Now, or 0 when tracing is off. */
int64_t mr_trace_begin(void);
/* Records a span from `begin` to now; nothing when begin is 0. `name` and `unit` are static; unit NULL: no value. */
void mr_trace_end(int64_t begin, const char *name, const char *unit, uint64_t value);

#endif
