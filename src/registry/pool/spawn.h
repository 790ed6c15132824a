/* How many workers there are: they begin and end here. Private to pool/. */
#ifndef MR_POOL_SPAWN_H
#define MR_POOL_SPAWN_H

#include "registry/pool/pool_model.h"

/* From none to cold_start_workers, or as many as memory allows but at least one. Evicts idle workers of others when it
 * must. Lock held on entry and on return, released in between; a failure has been reported to all waiters. */
mr_status mr_spawn_cold(mr_pool_model *model, size_t wanted, mr_error *error);
/* One more, unless one is on its way, the cap is reached, or memory is short. Lock held throughout. */
void mr_spawn_warm(mr_pool_model *model);
/* One in place of a lost worker: `always`, or only if requests or pins need it; never while the breaker is open. Orphans that
 * are then left without any worker are answered with the reason. Lock held on entry and on return. */
void mr_spawn_replacement(mr_pool_model *model, bool always);
/* Takes a worker that does not answer out of the pool, without its doing: its requests go to siblings, and it cleans up if it ever
 * comes back. Lock held on entry and on return, as in mr_routing_rehome. */
void mr_spawn_give_up(mr_worker *worker);

#endif
