/* Every number of the pools, with its default. */
#ifndef MR_POOL_SETTINGS_H
#define MR_POOL_SETTINGS_H

#include "core/clock.h"

/* X(kind, name, default, minimum, why). DURATION is nanoseconds in an int64_t, COUNT a size_t. */
#define MR_POOL_SETTING_LIST(X)                                                                                                      \
    X(DURATION, worker_ready_timeout, 30 * MR_CLOCK_SECOND, 0, "a caller waits this long for the first worker")                      \
    X(DURATION, load_timeout, 600 * MR_CLOCK_SECOND, MR_CLOCK_MILLISECOND, "a load slower than this has hung: 10 min reads 60 GB at 100 MB/s")          \
    X(DURATION, request_timeout, 30 * MR_CLOCK_SECOND, MR_CLOCK_MILLISECOND, "wait + run of a call that names no timeout itself")                       \
    X(DURATION, idle_before_evict, 60 * MR_CLOCK_SECOND, 0, "all workers of a model idle this long: one leaves per tick")            \
    X(DURATION, maintenance_interval, 60 * MR_CLOCK_SECOND, MR_CLOCK_MILLISECOND, "the cool-down tick")                              \
    X(DURATION, pressure_interval, 5 * MR_CLOCK_SECOND, MR_CLOCK_MILLISECOND, "between two looks at the real memory use")            \
    X(DURATION, ping_interval, 10 * MR_CLOCK_SECOND, MR_CLOCK_MILLISECOND, "between two health pings of a worker")                   \
    X(DURATION, ping_timeout, 5 * MR_CLOCK_SECOND, MR_CLOCK_MILLISECOND, "an idle worker that has not answered by then is replaced") \
    X(DURATION, stall_timeout, 120 * MR_CLOCK_SECOND, 0, "a request running longer is reported, once")                               \
    X(DURATION, evict_timeout, 5 * MR_CLOCK_SECOND, 0, "how long a caller in need of memory waits for idle workers to leave")        \
    X(DURATION, breaker_open, 60 * MR_CLOCK_SECOND, 0, "an open breaker rejects for this long")                                      \
    X(DURATION, shutdown_timeout, 5 * MR_CLOCK_SECOND, 0, "drain")                                                                   \
    X(DURATION, stop_timeout, MR_CLOCK_SECOND, 0, "after it, for workers that are still running")                                    \
    X(DURATION, metrics_interval, 15 * MR_CLOCK_SECOND, MR_CLOCK_MILLISECOND, "node_exporter's usual scrape interval")               \
    X(COUNT, breaker_failures, 5, 1, "consecutive failures that open the breaker")                                                   \
    X(COUNT, breaker_probes, 3, 1, "calls a half-open breaker lets through, and successes that close it")                            \
    X(COUNT, cold_start_workers, 2, 1, "workers of a model's first request: one to serve, one to hide a slow batch")                 \
    X(COUNT, max_workers_per_model, 0, 0, "0: allowed cores / threads per worker")                                                   \
    X(COUNT, queue_capacity, 0, 0, "requests queued per worker; 0: by capability")                                                   \
    X(COUNT, batch_queue_capacity, 50, 1, "share of a queue that batch jobs may fill; the rest stays free for interactive use")      \
    X(COUNT, measured_batches, 8, 0, "the account is checked after load, the first batch and this many batches")

typedef int64_t mr_setting_DURATION;
typedef size_t mr_setting_COUNT;

typedef struct mr_pool_settings {
#define MR_POOL_SETTING_FIELD(kind, name, value, minimum, why) mr_setting_##kind name;
    MR_POOL_SETTING_LIST(MR_POOL_SETTING_FIELD)
#undef MR_POOL_SETTING_FIELD
    const char *metrics_path; /* Prometheus text file, replaced each metrics_interval and at the end; NULL: none. Borrowed */
    bool pin_threads;         /* each worker to cores of its own */
    bool interleave_weights;  /* over the memory nodes, for machines with more than one */
} mr_pool_settings;

mr_pool_settings mr_pool_settings_default(void);

/* Sets one of the list by name: "30s", "250ms", "2min" for a duration ("none" = forever), digits for a count ("auto" = 0).
 * CONFIG naming what it cannot read or what is below the minimum. Error texts say "pool.NAME", the key users write. */
mr_status mr_pool_settings_set(mr_pool_settings *settings, const char *name, const char *value, mr_error *error);
#define MR_POOL_SETTING_TEXT_MAX 32
/* The value as text that set reads back. Returns `out`. */
const char *mr_pool_settings_text(const mr_pool_settings *settings, const char *name, char out[MR_POOL_SETTING_TEXT_MAX]);
/* CONFIG naming the first one below its minimum. */
mr_status mr_pool_settings_check(const mr_pool_settings *settings, mr_error *error);

#endif
