/* Worker pools: one generic implementation, one pool per capability, no model known by name.
 *
 *   pools   all five, with the maintenance thread and the one shutdown sequence
 *   model   what the pool knows of one model: its workers, its breaker, its counters
 *
 * Callers go through registry/registry.h, which finds the model of a key. */
#ifndef MR_POOL_POOL_H
#define MR_POOL_POOL_H

#include "core/clock.h"
#include "core/str.h"
#include "registry/pool/governor.h"
#include "registry/pool/loader.h"
#include "registry/pool/metrics.h"
#include "registry/pool/pool_settings.h"

typedef struct mr_pools mr_pools;
typedef struct mr_pool_model mr_pool_model;

/* `governor` and `clock` (NULL: the system's) are borrowed until destroy, the governor by these pools alone; `settings` is
 * copied. CONFIG naming a setting that cannot be. Starts no thread. */
mr_status mr_pools_create(const mr_pool_settings *settings, mr_governor *governor, mr_clock *clock, mr_pools **out, mr_error *error);
/* Shuts down first if that has not been done. NULL is fine. When a worker could not be stopped in time, what it uses
 * stays allocated: it is still running. */
void mr_pools_destroy(mr_pools *pools);

typedef struct mr_pool_model_spec {
    const char *key;  /* copied */
    const char *path; /* copied */
    const mr_model_vtable *vtable;
    mr_model_options options; /* copied; what it points to is borrowed until destroy */
    mr_loader loader;
    size_t max_workers; /* 0: max_workers_per_model of the settings */
} mr_pool_model_spec;

/* Costs nothing until the first call. *out lives as long as the pools. */
mr_status mr_pools_add_model(mr_pools *pools, const mr_pool_model_spec *spec, mr_pool_model **out, mr_error *error);

typedef enum mr_lane {
    MR_LANE_INTERACTIVE,
    MR_LANE_BATCH,    /* fills at most batch_queue_capacity of each queue */
    MR_LANE_PRIORITY  /* a queue of its own, served first */
} mr_lane;

/* How a call ended. Called exactly once for every call that was submitted with MR_OK, from a worker's thread or the
 * maintenance thread, with no lock held: it must not block. `error` is NULL on MR_OK and lives during the call only. */
typedef void mr_call_done(void *context, mr_status status, const mr_error *error);

/* One request to a model: copied by submit, except what it points to.
 * `request` and `response` are the structs of the capability and stay the pool's
 *   - without `released`: until done. A call that runs out of time while it runs is then answered (TIMEOUT) only when
 *     the run has ended, because the run still uses them.
 *   - with `released`: until released, which follows done once. Then TIMEOUT is answered on time. */
typedef struct mr_call {
    const void *request;
    void *response;
    mr_lane lane;
    int64_t timeout_ns;     /* wait + run; 0: request_timeout of the settings; MR_CLOCK_FOREVER: none */
    const char *stage;      /* who asks, for reports ("embed"); static or outliving the call; NULL is fine */
    uint64_t id;            /* which request, for reports: any number of the caller's */
    bool no_wait;           /* of mr_pool_call: as mr_pool_try_submit */
    bool idempotent;        /* may be run twice: of the workers that die it fails only with the second that was running it */
    mr_call_done *done;     /* not used by mr_pool_call */
    void (*released)(void *context);
    void *context;
} mr_call;

/* Brings the model up when it has no worker (and waits for the first at most worker_ready_timeout), waits while all
 * queues are full. On failure done is not called: MEMORY_EXHAUSTED, CIRCUIT_OPEN, SHUTTING_DOWN, TIMEOUT, or what
 * made the load fail. */
mr_status mr_pool_submit(mr_pool_model *model, const mr_call *call, mr_error *error);
/* Waits neither for room nor for a worker: QUEUE_FULL when all queues are full or no worker is ready yet (one is then on its
 * way; starting a model's first may evict idle workers of others). */
mr_status mr_pool_try_submit(mr_pool_model *model, const mr_call *call, mr_error *error);
/* Submits and waits for the answer. `released` follows in every case, also when nothing was submitted. */
mr_status mr_pool_call(mr_pool_model *model, const mr_call *call, mr_error *error);

/* Keeps `workers` workers alive until unpin, and starts them now: at least one, the others as memory allows. Pins add
 * up. Does not wait for them to be ready. */
mr_status mr_pool_pin(mr_pool_model *model, size_t workers, mr_error *error);
void mr_pool_unpin(mr_pool_model *model, size_t workers);

void mr_pool_model_metrics(mr_pool_model *model, mr_model_metrics *out);
/* All models, governor and pressure in Prometheus' text format. OUT_OF_MEMORY. */
mr_status mr_pools_format_metrics(mr_pools *pools, mr_buf *out, mr_error *error);
/* The same into a file, replaced atomically: what node_exporter's textfile collector reads. */
mr_status mr_pools_write_metrics(mr_pools *pools, const char *path, mr_error *error);

/* Started by the first call or pin; explicit start is idempotent. */
mr_status mr_pools_start_maintenance(mr_pools *pools, mr_error *error);

/* From now on submissions get SHUTTING_DOWN, waiting ones included, and nothing is spawned. What is queued goes on.
 * Callable from any thread, a signal thread included. */
void mr_pools_begin_shutdown(mr_pools *pools);
/* Begins if need be, drains for at most shutdown_timeout, then drops what is queued and stops the workers.
 * MR_OK when everything ended by itself, TIMEOUT otherwise. `report` may be NULL. A second call reports again. */
mr_status mr_pools_shutdown(mr_pools *pools, mr_shutdown_report *report);

#endif
