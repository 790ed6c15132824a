/* A circuit breaker: after some consecutive failures calls are refused for a while, then a few are let through to see.
 *
 *   closed --failures--> open --time--> half-open --successes--> closed
 *                                        half-open --failure--> open
 *
 * Plain data without a lock: its model's lock protects it. */
#ifndef MR_POOL_BREAKER_H
#define MR_POOL_BREAKER_H

#include "core/clock.h"

/* X(NAME, text) */
#define MR_BREAKER_STATE_LIST(X) \
    X(CLOSED, "closed")          \
    X(OPEN, "open")              \
    X(HALF_OPEN, "half_open")

typedef enum mr_breaker_state {
#define MR_BREAKER_STATE_ENUM(name, text) MR_BREAKER_##name,
    MR_BREAKER_STATE_LIST(MR_BREAKER_STATE_ENUM)
#undef MR_BREAKER_STATE_ENUM
} mr_breaker_state;

typedef struct mr_breaker {
    size_t failures_to_open; /* settings */
    size_t probes;
    int64_t open_ns;
    mr_breaker_state state;
    size_t failures;    /* consecutive, while closed */
    size_t in_flight;   /* probes out, while half-open */
    size_t successes;   /* while half-open */
    int64_t closes_at;  /* end of open */
    uint64_t round;     /* counts openings: what was admitted before one says nothing after it */
} mr_breaker;

typedef enum mr_verdict {
    MR_VERDICT_SUCCESS,
    MR_VERDICT_FAILURE,
    MR_VERDICT_NONE /* cancelled, timed out, refused: says nothing about the model */
} mr_verdict;

void mr_breaker_init(mr_breaker *breaker, size_t failures_to_open, size_t probes, int64_t open_ns);
/* Whether a call may pass now. *round goes with the call, and back into record. */
bool mr_breaker_admit(mr_breaker *breaker, int64_t now, uint64_t *round);
/* How an admitted call ended; a failure that no call caused (a load) is recorded with the present round. True when the
 * state changed. */
bool mr_breaker_record(mr_breaker *breaker, int64_t now, uint64_t round, mr_verdict verdict);
/* As of now: an open breaker whose time is up is half-open. */
mr_breaker_state mr_breaker_state_at(const mr_breaker *breaker, int64_t now);
const char *mr_breaker_state_text(mr_breaker_state state);

#endif
