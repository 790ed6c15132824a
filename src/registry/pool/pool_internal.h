/* What the files of the pool share among themselves. Nobody else includes it.
 *
 * Lock order: pools->shutdown_lock, then model->lock, then the leaves (pools->lock, maintenance, load, and what core/ locks).
 * Callbacks of callers, loaders and model functions run with no lock held. Nobody holds two model locks. */
#ifndef MR_POOL_INTERNAL_H
#define MR_POOL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "registry/pool/affinity.h"
#include "registry/pool/breaker.h"
#include "registry/pool/pool.h"

#define MR_WORKERS_MAX 256 /* per model; more threads than that share no memory bandwidth worth having */
#define MR_POOL_LOG "pool"

typedef struct mr_worker mr_worker;
typedef struct mr_maintenance mr_maintenance;

/* ---------------------------------------------------------------- job.c: one submitted call */

typedef struct mr_job {
    struct mr_job *next;
    mr_call call;
    int64_t submitted_ns;
    int64_t deadline_ns;
    uint64_t breaker_round;
    bool moved;      /* lost one worker already: the next loss fails it, unless it is idempotent */
    bool rerun;      /* idempotent, and lost the worker that was running it */
    bool answered;   /* done was called, or is being called, ahead of the end of the run */
    bool answering;  /* the maintenance thread is inside done */
    bool ended;      /* the run ended while it was */
} mr_job;

typedef struct mr_job_list {
    mr_job *head;
    mr_job *tail;
    size_t count;
} mr_job_list;

void mr_job_list_push(mr_job_list *list, mr_job *job);
mr_job *mr_job_list_pop(mr_job_list *list); /* NULL when empty */
void mr_job_list_append(mr_job_list *list, mr_job_list *from); /* empties `from` */
/* Moves the jobs whose deadline has passed to *expired; returns the earliest deadline left. */
int64_t mr_job_list_expire(mr_job_list *list, int64_t now, mr_job_list *expired);

/* Tells the breaker how a run ended. Lock held. */
void mr_job_judge(mr_pool_model *model, const mr_job *job, mr_verdict verdict);
/* Counts the answer and judges. Lock held. */
void mr_job_account(mr_pool_model *model, const mr_job *job, mr_status status, mr_verdict verdict);
/* done, released, free. No lock held. */
void mr_job_finish(mr_job *job, mr_status status, const mr_error *error);
/* Account + finish every job of the list with the same end. Lock held on entry and on return, released in between. */
void mr_job_list_fail(mr_pool_model *model, mr_job_list *list, mr_status status, const mr_error *error);

/* ---------------------------------------------------------------- weights.c: what the workers of a model share */

typedef enum mr_weights_state { MR_WEIGHTS_NEW, MR_WEIGHTS_LOADING, MR_WEIGHTS_LOADED, MR_WEIGHTS_FAILED } mr_weights_state;

/* Under the model's lock, except `loaded_model` once LOADED. */
typedef struct mr_weights {
    size_t references; /* one per worker */
    mr_weights_state state;
    mr_guard guard;
    void *loaded_model;
    mr_load *waiting; /* loads of siblings, to be completed with the first one's */
    mr_error failure;
} mr_weights;

/* Takes the guard over. NULL when out of memory (the guard is untouched). */
mr_weights *mr_weights_create(mr_guard *guard);
/* Has the worker's model loaded: by the model's own loader for the first worker, by the preloaded one for the others, who
 * wait for the first. No lock held. */
mr_status mr_weights_load(mr_worker *worker, void **model, mr_error *error);
/* Gives one reference up. Lock held on entry and on return, released while the last one closes the model. */
void mr_weights_release(mr_pool_model *model, mr_weights *weights);

/* ---------------------------------------------------------------- loader.c */

/* The worker's half of a load. */
mr_status mr_load_create(const mr_model_vtable *vtable, mr_load **out, mr_error *error);
/* Waits for completion: the model, or TIMEOUT, CANCELLED, the loader's failure. */
mr_status mr_load_wait(mr_load *load, mr_clock *clock, int64_t deadline_ns, void **model, mr_error *error);
/* Ends the wait, from another thread, before leave. */
void mr_load_cancel(mr_load *load);
/* The worker's last touch: frees, or leaves it to the loader that still owes the completion. */
void mr_load_leave(mr_load *load);
/* The model will be a sibling's: not closed if nobody waits any more. Before anybody can complete it. */
void mr_load_borrow(mr_load *load);
void mr_load_link(mr_load **list, mr_load *load);
/* Completes all of a list. */
void mr_load_complete_all(mr_load *list, mr_status status, void *model, const mr_error *error);

/* ---------------------------------------------------------------- worker.c */

struct mr_worker {
    mr_pool_model *model;
    uint64_t id; /* never used twice within a model */
    pthread_cond_t wake;
    mr_worker_state state;
    bool leave;  /* asked to go */
    bool lost;   /* given up: no longer in model->workers, its thread cleans up when it ever comes back */
    mr_job_list queue;
    mr_job_list priority;
    mr_job *current;
    mr_weights *weights;
    mr_load *load; /* while loading */
    bool brought_weights; /* by the model's own loader: one load is one failure for the breaker, whoever shares it */
    mr_guard guard; /* scratch */
    void *instance; /* the vtable's worker */
    int64_t last_used_ns;
    int64_t busy_since_ns;
    int64_t pinged_ns; /* 0: no ping unanswered */
    bool stall_reported;
    size_t batches;
};

bool mr_worker_state_follows(mr_worker_state from, mr_worker_state to);
/* Starts the thread of a worker that holds `guard` (taken over on MR_OK) and a new reference of model->weights. Lock held. */
mr_status mr_worker_start(mr_pool_model *model, mr_guard *guard, mr_error *error);
/* Asks it to go once it has finished the request it holds. Lock held. */
void mr_worker_evict(mr_worker *worker, const char *reason);
/* Takes it out of the pool without its doing: it does not answer. Lock held. */
void mr_worker_give_up(mr_worker *worker);

static inline size_t mr_worker_queued(const mr_worker *worker) { return worker->queue.count + worker->priority.count; }
static inline size_t mr_worker_pending(const mr_worker *worker) { return mr_worker_queued(worker) + (worker->current != NULL); }
static inline bool mr_worker_serves(const mr_worker *worker)
{
    return !worker->leave && (worker->state == MR_WORKER_READY || worker->state == MR_WORKER_PROCESSING || worker->state == MR_WORKER_IDLE);
}
static inline bool mr_worker_comes(const mr_worker *worker)
{
    return !worker->leave && (worker->state == MR_WORKER_SPAWNING || worker->state == MR_WORKER_LOADING);
}

/* ---------------------------------------------------------------- pool.c */

typedef struct mr_pool {
    mr_capability capability;
    size_t queue_capacity;
    size_t batch_capacity;
    mr_pool_model *models; /* newest first; only ever grows */
} mr_pool;

struct mr_pool_model {
    mr_pools *pools;
    const mr_pool *pool;
    mr_pool_model *next;
    mr_load_request spec; /* key and path owned */
    mr_loader loader;
    size_t max_workers;

    pthread_mutex_t lock;   /* everything below; see the order on top */
    pthread_cond_t changed; /* any change a submitter or the shutdown may wait for */
    mr_worker *workers[MR_WORKERS_MAX];
    size_t worker_count;
    size_t threads; /* workers whose thread has not ended, given-up ones included */
    bool has_ended;    /* `ended` is to be joined: by the next worker that ends, or by the shutdown */
    pthread_t ended;   /* the worker thread that ended last */
    uint64_t next_id;
    bool spawning; /* somebody is deciding about workers, maybe with the lock released */
    size_t pinned;
    mr_weights *weights;
    bool estimated;
    mr_memory_estimate estimate;
    mr_job_list orphans; /* of lost workers, with no sibling to go to */
    mr_breaker breaker;
    uint64_t failures; /* counts reports of failure; `failure` is the last */
    mr_error failure;
    int64_t last_request_ns;
    uint64_t random;
    mr_model_metrics metrics;
};

struct mr_pools {
    mr_pool_settings settings;
    mr_governor *governor;
    mr_clock *clock;
    mr_maintenance *maintenance;
    mr_affinity *affinity; /* NULL: threads and memory go where the system puts them */
    atomic_bool shutting_down;
    atomic_uint_least64_t drained; /* answered since then */
    pthread_mutex_t shutdown_lock; /* first in the order: one sequence at a time */
    bool shut_down;
    mr_shutdown_report report;
    pthread_mutex_t lock; /* the lists of models; nothing is locked under it */
    mr_pool pool[MR_CAPABILITY_COUNT];
};

typedef void mr_pool_visitor(mr_pool_model *model, void *context);
/* Every model of every pool, no lock held. */
void mr_pools_each(mr_pools *pools, mr_pool_visitor *visit, void *context);

static inline int64_t mr_pool_now(const mr_pool_model *model) { return mr_clock_now(model->pools->clock); }
static inline bool mr_pool_shutting_down(const mr_pool_model *model) { return atomic_load(&model->pools->shutting_down); }
size_t mr_pool_live(const mr_pool_model *model);    /* workers that serve or will; lock held */
size_t mr_pool_pending(const mr_pool_model *model); /* requests queued or running; lock held */
/* Makes sure that *error says `status`, whatever a model's function left in it. */
void mr_pool_explain(const mr_pool_model *model, mr_status status, mr_error *error);
/* A failure that ends every wait for a worker. Lock held. */
void mr_pool_report_failure(mr_pool_model *model, const mr_error *cause);
/* SHUTTING_DOWN, with its text. */
mr_status mr_pool_refuse(const mr_pool_model *model, mr_error *error);
/* CIRCUIT_OPEN, likewise. Lock held. */
mr_status mr_pool_refuse_open(const mr_pool_model *model, mr_error *error);

/* ---------------------------------------------------------------- routing.c: which worker gets a request */

/* Wakes one worker that has nothing to do, to steal. Lock held. */
void mr_pool_wake_idle(mr_pool_model *model);
/* Gives the jobs of a lost worker to siblings, or keeps them as orphans. Lock held; released while jobs that lost
 * their second worker are answered. */
void mr_pool_rehome(mr_pool_model *model, mr_job_list *jobs);
/* After something that should have brought a worker did not: answers the orphans, unless one is there or on its way. Lock held
 * on entry and on return. */
void mr_pool_fail_orphans(mr_pool_model *model, const mr_error *cause);

/* ---------------------------------------------------------------- spawn.c: how many workers there are */

/* From none to cold_start_workers, or as many as memory allows but at least one. Evicts idle workers of others when it
 * must. Lock held on entry and on return, released in between; a failure has been reported to all waiters. */
mr_status mr_spawn_cold(mr_pool_model *model, size_t wanted, mr_error *error);
/* One more, unless one is on its way, the cap is reached, or memory is short. Lock held throughout. */
void mr_spawn_warm(mr_pool_model *model);
/* One in place of a lost worker: `always`, or only if requests or pins need it; never while the breaker is open. Orphans that
 * are then left without any worker are answered with the reason. Lock held on entry and on return. */
void mr_spawn_replacement(mr_pool_model *model, bool always);
/* The cool-down tick: of a model whose workers have all been idle for idle_before_evict the least recently used leaves. */
void mr_spawn_cool_down(mr_pool_model *model, int64_t now);
/* Asks the least recently used idle worker of all models to leave, without waiting. False when there is none. */
bool mr_spawn_evict_one(mr_pools *pools, const char *reason);
/* Idle workers of all models, for the governor. */
mr_idle_source mr_spawn_idle_workers;

/* ---------------------------------------------------------------- maintenance.c */

mr_status mr_maintenance_create(mr_pools *pools, mr_maintenance **out, mr_error *error);
mr_status mr_maintenance_start(mr_maintenance *maintenance, mr_error *error);
void mr_maintenance_stop(mr_maintenance *maintenance); /* joins; idempotent */
void mr_maintenance_destroy(mr_maintenance *maintenance);
/* Into the file of the settings, if there is one; a failure is logged. */
void mr_maintenance_write_metrics(mr_pools *pools);
/* Makes sure it looks no later than at this time. Any lock may be held. */
void mr_maintenance_expect(mr_maintenance *maintenance, int64_t deadline_ns);

#endif
