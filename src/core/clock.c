#include "core/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* One thread inside mr_clock_wait on a virtual clock; lives on that thread's stack. */
typedef struct waiter {
    struct waiter *next;
    pthread_cond_t *condition;
    pthread_mutex_t *mutex;
    int64_t deadline_ns;
} waiter;

struct mr_clock {
    bool is_virtual;
    /* Lock order: a waiter's own mutex, then `lock`. advance() therefore never holds `lock` while it
     * takes a waiter's mutex; it pins the waiter by `visiting` instead. */
    pthread_mutex_t lock;
    pthread_cond_t visited;
    int64_t now_ns;
    waiter *waiters;
    const waiter *visiting;
};

static mr_clock monotonic_clock;

mr_clock *mr_clock_monotonic(void)
{
    return &monotonic_clock;
}

int64_t mr_clock_now(mr_clock *clock)
{
    if (!clock->is_virtual) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * MR_CLOCK_SECOND + now.tv_nsec;
    }
    pthread_mutex_lock(&clock->lock);
    int64_t now_ns = clock->now_ns;
    pthread_mutex_unlock(&clock->lock);
    return now_ns;
}

int64_t mr_clock_deadline(mr_clock *clock, int64_t delay_ns)
{
    int64_t now = mr_clock_now(clock);
    return delay_ns > MR_CLOCK_FOREVER - now ? MR_CLOCK_FOREVER : now + delay_ns;
}

int mr_clock_cond_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    int failed = pthread_condattr_init(&attributes);
    if (failed) return failed;
    failed = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (!failed) failed = pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return failed;
}

static bool wait_monotonic(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t deadline_ns)
{
    if (deadline_ns == MR_CLOCK_FOREVER) return pthread_cond_wait(condition, mutex) == 0;
    struct timespec until = { .tv_sec = (time_t)(deadline_ns / MR_CLOCK_SECOND), .tv_nsec = (long)(deadline_ns % MR_CLOCK_SECOND) };
    return pthread_cond_timedwait(condition, mutex, &until) != ETIMEDOUT;
}

static void leave(mr_clock *clock, waiter *self)
{
    pthread_mutex_lock(&clock->lock);
    while (clock->visiting == self) pthread_cond_wait(&clock->visited, &clock->lock);
    for (waiter **link = &clock->waiters; *link; link = &(*link)->next) {
        if (*link == self) {
            *link = self->next;
            break;
        }
    }
    pthread_mutex_unlock(&clock->lock);
}

bool mr_clock_wait(mr_clock *clock, pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t deadline_ns)
{
    if (!clock->is_virtual) return wait_monotonic(condition, mutex, deadline_ns);
    waiter self = { .condition = condition, .mutex = mutex, .deadline_ns = deadline_ns };
    pthread_mutex_lock(&clock->lock);
    bool due = clock->now_ns >= deadline_ns;
    if (!due) {
        self.next = clock->waiters;
        clock->waiters = &self;
    }
    pthread_mutex_unlock(&clock->lock);
    if (due) return false;
    pthread_cond_wait(condition, mutex);
    /* Unlock first: advance() may be about to take this mutex on our behalf. */
    pthread_mutex_unlock(mutex);
    leave(clock, &self);
    pthread_mutex_lock(mutex);
    return mr_clock_now(clock) < deadline_ns;
}

mr_status mr_clock_virtual_create(mr_clock **out, mr_error *error)
{
    mr_clock *clock = calloc(1, sizeof *clock);
    if (!clock) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a clock");
    clock->is_virtual = true;
    clock->now_ns = MR_CLOCK_SECOND; /* not 0, so that "never" timestamps of 0 lie in the past */
    pthread_mutex_init(&clock->lock, NULL);
    pthread_cond_init(&clock->visited, NULL);
    *out = clock;
    return MR_OK;
}

void mr_clock_virtual_destroy(mr_clock *clock)
{
    if (!clock) return;
    pthread_cond_destroy(&clock->visited);
    pthread_mutex_destroy(&clock->lock);
    free(clock);
}

/* Wakes one waiter while it is pinned: taking its mutex makes sure it really sleeps on the condition. */
static void wake(mr_clock *clock, waiter *sleeper)
{
    clock->visiting = sleeper;
    pthread_mutex_unlock(&clock->lock);
    pthread_mutex_lock(sleeper->mutex);
    pthread_cond_broadcast(sleeper->condition);
    pthread_mutex_unlock(sleeper->mutex);
    pthread_mutex_lock(&clock->lock);
    clock->visiting = NULL;
    pthread_cond_broadcast(&clock->visited);
}

void mr_clock_virtual_advance(mr_clock *clock, int64_t delta_ns)
{
    pthread_mutex_lock(&clock->lock);
    clock->now_ns += delta_ns;
    int64_t now = clock->now_ns;
    /* A woken waiter removes itself; it is enough to visit those now due, each until it is gone or re-queued later. */
    for (waiter *sleeper = clock->waiters; sleeper;) {
        if (sleeper->deadline_ns > now) {
            sleeper = sleeper->next;
            continue;
        }
        sleeper->deadline_ns = MR_CLOCK_FOREVER; /* visited: do not wake it again */
        wake(clock, sleeper);
        /* The list may have changed while unlocked: start over. Visited ones are skipped by their deadline. */
        sleeper = clock->waiters;
    }
    pthread_mutex_unlock(&clock->lock);
}

size_t mr_clock_virtual_waiters(mr_clock *clock)
{
    size_t count = 0;
    pthread_mutex_lock(&clock->lock);
    for (const waiter *sleeper = clock->waiters; sleeper; sleeper = sleeper->next)
        if (sleeper->deadline_ns != MR_CLOCK_FOREVER) count++;
    pthread_mutex_unlock(&clock->lock);
    return count;
}
