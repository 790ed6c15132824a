/* What a worker does while it is there; spawn.h begins and ends it. Private to pool/. */
#ifndef MR_POOL_WORKER_H
#define MR_POOL_WORKER_H

#include "registry/pool/pool_model.h"

bool mr_worker_state_follows(mr_worker_state from, mr_worker_state to);
/* Lock held. */
void mr_worker_enter(mr_worker *self, mr_worker_state state);
/* Into FAILED. A load that failed ends every wait for a worker; a run that did concerns its request. Lock held. */
void mr_worker_fail(mr_worker *self, const mr_error *cause);
/* Loads the model and makes the instance. No lock held. */
mr_status mr_worker_bring_up(mr_worker *self, mr_error *error);
/* Runs requests until it is asked to leave, given up, or has failed. Lock held on entry and on return. */
void mr_worker_serve(mr_worker *self);
/* Asks it to go once it has finished the request it holds. Lock held. */
void mr_worker_evict(mr_worker *worker, const char *reason);

#endif
