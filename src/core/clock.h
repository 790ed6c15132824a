/* Time behind an interface, so that tests can own it.
 *
 * Every wait in the project goes through mr_clock_wait and has a deadline; MR_CLOCK_FOREVER is for waits
 * that another thread of ours is bound to end (a closed queue, a joined worker). */
#ifndef MR_CORE_CLOCK_H
#define MR_CORE_CLOCK_H

#include <pthread.h>

#include "core/error.h"

typedef struct mr_clock mr_clock;

#define MR_CLOCK_FOREVER INT64_MAX
#define MR_CLOCK_MILLISECOND INT64_C(1000000)
#define MR_CLOCK_SECOND INT64_C(1000000000)

/* The system's monotonic clock; never freed. */
mr_clock *mr_clock_monotonic(void);

/* Nanoseconds since an arbitrary start. */
int64_t mr_clock_now(mr_clock *clock);

/* `now + delay`, saturating at MR_CLOCK_FOREVER. */
int64_t mr_clock_deadline(mr_clock *clock, int64_t delay_ns);

/* pthread_cond_wait with a deadline on this clock. `mutex` must be held; it is held again on return.
 * False when the deadline passed. Spurious wake-ups happen: call in a loop over the predicate.
 * `condition` must have been made by mr_clock_cond_init. */
bool mr_clock_wait(mr_clock *clock, pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t deadline_ns);
int mr_clock_cond_init(pthread_cond_t *condition);

/* A clock that stands still until the test moves it. Owned by the caller; destroy after every waiter left. */
mr_status mr_clock_virtual_create(mr_clock **out, mr_error *error);
void mr_clock_virtual_destroy(mr_clock *clock);
/* Moves time forward and wakes every waiter so that it re-reads the clock. */
void mr_clock_virtual_advance(mr_clock *clock, int64_t delta_ns);
/* How many threads wait with a finite deadline now: lets a test advance only once they all sleep. */
size_t mr_clock_virtual_waiters(mr_clock *clock);

#endif
