/* Memory accounting of the whole process: every worker, queue and large buffer asks here first.
 *
 * The account is a promise, not an allocation: a guard says "these bytes are mine", the sum of live guards never
 * exceeds the limit at any interleaving. Thread-safe; taking and releasing is one compare-and-swap loop. */
#ifndef MR_POOL_GOVERNOR_H
#define MR_POOL_GOVERNOR_H

#include "core/mem.h"
#include "core/error.h"
#include "registry/pool/pressure.h"

typedef struct mr_governor mr_governor;

typedef struct mr_governor_settings {
    const char *limit;   /* "80%" of the effective memory or bytes ("8G"); NULL: 80% */
    const char *reserve; /* bytes or percent of the limit kept out of the account for code, stacks, small
                          * allocations; NULL: 256 MiB or 5 %, the smaller */
    const char *root;    /* in front of /proc and /sys, for tests; NULL: the real ones */
} mr_governor_settings;

/* CONFIG when limit or reserve cannot be read or nothing would be left. `settings` is only read. */
mr_status mr_governor_create(const mr_governor_settings *settings, mr_governor **out, mr_error *error);
void mr_governor_destroy(mr_governor *governor); /* NULL is fine; every guard must be released */

/* Bytes promised to one owner. Zero-initialised = holds nothing. Not shared between threads. */
typedef struct mr_guard {
    mr_governor *governor;
    size_t bytes;
    mr_mem_tag tag;
} mr_guard;

/* An idle worker that could leave. `owner` and `id` are the idle source's; the governor only orders by time. */
typedef struct mr_idle_worker {
    void *owner;
    uint64_t id;
    size_t bytes; /* what its leaving gives back */
    int64_t last_used_ns;
} mr_idle_worker;

#define MR_EVICTION_MAX 64

typedef struct mr_eviction {
    mr_idle_worker workers[MR_EVICTION_MAX]; /* least recently used first */
    size_t count;                            /* 0: eviction would not help */
} mr_eviction;

/* Fills at most `capacity` idle workers of any model; returns how many. Takes its owner's locks: callers of
 * mr_governor_acquire with a non-NULL `eviction` hold none of them. */
typedef size_t mr_idle_source(void *context, mr_idle_worker *out, size_t capacity);
/* Before threads start; NULL removes it. */
void mr_governor_set_idle_source(mr_governor *governor, mr_idle_source *source, void *context);

/* MR_OK: *guard holds `bytes` (0 bytes is fine). MEMORY_EXHAUSTED with requested/available/limit in the text; then, with
 * `eviction` given, it names the idle workers whose leaving would make room, if any would. Never waits. */
mr_status mr_governor_acquire(mr_governor *governor, size_t bytes, mr_mem_tag tag, mr_guard *guard, mr_eviction *eviction, mr_error *error);
/* Gives everything back; a second call, or one on a zeroed guard, does nothing. */
void mr_guard_release(mr_guard *guard);
/* Moves `bytes`, at most what is there, into *out under another tag; the sum stays. */
void mr_guard_split(mr_guard *from, size_t bytes, mr_mem_tag tag, mr_guard *out);
/* Sets the account to what was measured. Growth stops at the limit; returns the bytes that did not fit. */
size_t mr_guard_correct(mr_guard *guard, size_t measured_bytes);

size_t mr_governor_limit(const mr_governor *governor);      /* what guards may sum up to */
size_t mr_governor_used(const mr_governor *governor);
size_t mr_governor_available(const mr_governor *governor);
size_t mr_governor_used_by(const mr_governor *governor, mr_mem_tag tag);
const mr_memory_limits *mr_governor_limits(const mr_governor *governor);

/* As of the last sample; LOW before the first. */
mr_pressure mr_governor_pressure(const mr_governor *governor);
/* Looks at the real usage now; logs a change at info. Keeps the old level when the system cannot be read. */
mr_pressure mr_governor_sample_pressure(mr_governor *governor);
/* A batch budget (tokens, pixels) under the present pressure: `planned`, at Critical half of it (at least 1). */
size_t mr_governor_batch_budget(const mr_governor *governor, size_t planned);

#endif
