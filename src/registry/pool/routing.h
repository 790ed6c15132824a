/* Which worker gets a request, and what becomes of one whose worker is gone. Private to pool/. */
#ifndef MR_POOL_ROUTING_H
#define MR_POOL_ROUTING_H

#include "registry/pool/pool_model.h"

/* Power of two choices among the workers that serve; NULL when none does. Lock held. */
mr_worker *mr_routing_choose(mr_pool_model *model);
/* The chosen worker, or when its queue is full any other with room. NULL: all are full. Lock held. */
mr_worker *mr_routing_with_room(mr_pool_model *model, mr_worker *chosen, mr_lane lane);
/* Into the worker's queue, over its capacity if need be; wakes whoever may run it. Lock held. */
void mr_routing_enqueue(mr_worker *worker, mr_job *job);
/* Wakes one worker that has nothing to do, to steal. Lock held. */
void mr_routing_wake_idle(mr_pool_model *model);
/* Gives the jobs of a lost worker to siblings, or keeps them as orphans. Lock held; released while jobs that lost
 * their second worker are answered. */
void mr_routing_rehome(mr_pool_model *model, mr_job_list *jobs);
/* After something that should have brought a worker did not: answers the orphans, unless one is there or on its way. Lock held
 * on entry and on return. */
void mr_routing_fail_orphans(mr_pool_model *model, const mr_error *cause);

#endif
