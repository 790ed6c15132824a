/* What a pool has done and is doing, as seen from outside. */
#ifndef MR_POOL_METRICS_H
#define MR_POOL_METRICS_H

#include "capability/model.h"
#include "registry/pool/breaker.h"

/* X(NAME, text). Transitions: worker.c. */
#define MR_WORKER_STATE_LIST(X) \
    X(SPAWNING, "spawning")     \
    X(LOADING, "loading")       \
    X(READY, "ready")           \
    X(PROCESSING, "processing") \
    X(IDLE, "idle")             \
    X(EVICTING, "evicting")     \
    X(FAILED, "failed")         \
    X(DEAD, "dead")

typedef enum mr_worker_state {
#define MR_WORKER_STATE_ENUM(name, text) MR_WORKER_##name,
    MR_WORKER_STATE_LIST(MR_WORKER_STATE_ENUM)
#undef MR_WORKER_STATE_ENUM
    MR_WORKER_STATE_COUNT
} mr_worker_state;

const char *mr_worker_state_text(mr_worker_state state);

#define MR_STATUS_ONE(name, value, exit_code, text) +1
enum { MR_STATUS_COUNT = 0 MR_STATUS_LIST(MR_STATUS_ONE) }; /* their values have no gaps */
#undef MR_STATUS_ONE

#define MR_LATENCY_BUCKETS 14 /* bounds: mr_latency_bound_seconds; one more, unbounded, follows */

/* X(name, help): counters of one model, from its first use on. */
#define MR_COUNTER_LIST(X)                                                                     \
    X(requests, "Requests accepted into a queue.")                                             \
    X(rejected_by_breaker, "Requests refused because the circuit breaker was open.")           \
    X(rejected_full, "Requests refused because every queue was full.")                         \
    X(timeouts, "Requests that ran out of time, queued or running.")                           \
    X(inputs, "Inputs in requests that were run.")                                             \
    X(inputs_failed, "Inputs that failed alone.")                                              \
    X(inputs_non_finite, "Inputs whose output was not finite.")                                \
    X(workers_spawned, "Workers started.")                                                     \
    X(workers_evicted, "Workers asked to leave.")                                              \
    X(workers_failed, "Workers lost to a failed load, a failed run or silence.")               \
    X(requests_moved, "Requests moved from a lost worker to a sibling.")                       \
    X(requests_stolen, "Requests taken from a sibling's queue by a worker that had run dry.")  \
    X(requests_dropped, "Requests dropped by a shutdown that ran out of time.")

typedef struct mr_model_metrics {
    const char *key; /* borrowed from the model */
    mr_capability capability;
#define MR_COUNTER_FIELD(name, help) uint64_t name;
    MR_COUNTER_LIST(MR_COUNTER_FIELD)
#undef MR_COUNTER_FIELD
    uint64_t finished[MR_STATUS_COUNT]; /* answered requests by status */
    uint64_t latency[MR_LATENCY_BUCKETS + 1]; /* submission to answer; not cumulative */
    double latency_seconds;
    /* now */
    size_t workers[MR_WORKER_STATE_COUNT];
    size_t queued;
    size_t pending; /* queued + running; 0 when nothing is under way, whatever way the requests ended */
    mr_breaker_state breaker;
} mr_model_metrics;

double mr_latency_bound_seconds(size_t bucket);
void mr_metrics_count_latency(mr_model_metrics *metrics, double seconds); /* submission to answer */

#endif
