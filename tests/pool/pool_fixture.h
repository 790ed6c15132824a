/* Pools on a governor and a clock of the test's own, and ways to wait for what they do. */
#ifndef POOL_FIXTURE_H
#define POOL_FIXTURE_H

#include "fake_model.h"

#define SECOND MR_CLOCK_SECOND

typedef struct fixture {
    mr_pool_settings settings; /* change before fixture_start */
    const char *root;          /* of /proc and /sys; NULL: the real ones */
    const char *limit;         /* NULL: 1M, no reserve */
    bool real_clock;
    mr_clock *clock;
    mr_governor *governor;
    mr_pools *pools;
} fixture;

/* Defaults, except that nobody is pinged: a test that moves the clock would have to wait for every answer. */
fixture fixture_default(void);
void fixture_start(fixture *f);
/* Shuts down, checks that every guard is released and every model closed. */
void fixture_end(fixture *f);
mr_pool_model *fixture_add(fixture *f, fake_model *model, mr_capability capability, const char *key, size_t max_workers);

/* Moves the virtual clock once maintenance and `others` more threads wait with a deadline; returns when as many do again. */
void fixture_advance(fixture *f, int64_t delta_ns, size_t others);
void fixture_await_waiters(fixture *f, size_t count);

/* Until so many workers are in the state; fails after 10 s. */
void await_workers(mr_pool_model *model, mr_worker_state state, size_t count);
mr_model_metrics metrics_of(mr_pool_model *model);
size_t workers_of(mr_pool_model *model); /* in any state but dead */
void await_left(mr_pool_model *model, size_t count); /* until no more are there */
void await_answers(mr_pool_model *model);             /* until no ping is unanswered */
void await_pending(mr_pool_model *model, size_t count);
void await_queued(mr_pool_model *model, size_t count);

/* One blocking call with one input. */
mr_status call_once(mr_pool_model *model, mr_capability capability, mr_error *error);
/* Submits an initialised request and asserts that it was taken. */
void submit(mr_pool_model *model, fake_request *request);

/* `count` threads that each make one blocking call at once. */
typedef struct crowd crowd;
crowd *crowd_start(mr_pool_model *model, mr_capability capability, size_t count);
/* Joins; how many ended with `status`; *error (may be NULL) is one of theirs. */
size_t crowd_end(crowd *crowd, mr_status status, mr_error *error);

/* What was logged since the last call of log_start. */
void log_start(void);
bool log_has(const char *text);
size_t log_lines(void);

#endif
