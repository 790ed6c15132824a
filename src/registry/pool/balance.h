/* Which worker gets the next request. Pure functions: the lock that makes the numbers true is the caller's. */
#ifndef MR_POOL_BALANCE_H
#define MR_POOL_BALANCE_H

#include <stddef.h>
#include <stdint.h>

typedef struct mr_candidate {
    size_t pending;       /* queued + running */
    int64_t last_used_ns;
} mr_candidate;

/* Power of two choices (Mitzenmacher 2001): of two distinct candidates drawn at random the one with fewer pending
 * requests, of equals the one used longer ago. Returns an index; count >= 1. `random` is the generator's state. */
size_t mr_balance_pick(const mr_candidate *candidates, size_t count, uint64_t *random);

#endif
