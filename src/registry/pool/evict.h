/* Which idle workers go. Private to pool/. */
#ifndef MR_POOL_EVICT_H
#define MR_POOL_EVICT_H

#include "registry/pool/pool_model.h"

/* Idle workers of all models that may go, for the governor. */
mr_idle_source mr_evict_idle_workers;
/* Asks those of a governor's plan to leave, and waits at most evict_timeout for them. No lock held. */
void mr_evict_all(mr_pools *pools, const mr_eviction *plan, const char *reason);
/* Asks the least recently used idle worker of all models to leave, without waiting. False when there is none. */
bool mr_evict_one(mr_pools *pools, const char *reason);
/* The cool-down tick: of a model whose workers have all been idle for idle_before_evict the least recently used leaves. */
void mr_evict_cool_down(mr_pool_model *model, int64_t now);

#endif
