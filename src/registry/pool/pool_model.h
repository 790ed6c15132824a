/* What a pool knows: models, their workers and their books. Private to pool/; the files above it each add one thing it can do.
 *
 * Lock order: pools->shutdown_lock, then model->lock, then the leaves (pools->lock, maintenance, load, and what core/ locks).
 * Callbacks of callers, loaders and model functions run with no lock held. Nobody holds two model locks. */
#ifndef MR_POOL_MODEL_H
#define MR_POOL_MODEL_H

#include <pthread.h>
#include <stdatomic.h>

#include "registry/pool/affinity.h"
#include "registry/pool/breaker.h"
#include "registry/pool/load.h"
#include "registry/pool/pool_job.h"

#define MR_WORKERS_MAX 256 /* per model; more threads than that share no memory bandwidth worth having */
#define MR_POOL_LOG "pool"

typedef struct mr_worker mr_worker;
typedef struct mr_weights mr_weights;
typedef struct mr_maintenance mr_maintenance;

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

/* One thread and what it owns; guarded by the lock of its model. worker.h has what it does. */
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

/* Tells the breaker how a run ended. Lock held. */
void mr_pool_judge(mr_pool_model *model, const mr_job *job, mr_verdict verdict);
/* Counts the answer and judges. Lock held. */
void mr_pool_account(mr_pool_model *model, const mr_job *job, mr_status status, mr_verdict verdict);
/* Account + finish every job of the list with the same end. Lock held on entry and on return, released in between. */
void mr_pool_fail_jobs(mr_pool_model *model, mr_job_list *list, mr_status status, const mr_error *error);

#endif
