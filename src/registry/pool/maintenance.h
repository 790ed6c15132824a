/* The thread that looks after all pools: requests out of time, pings, cool-down, pressure, metrics. Private to pool/. */
#ifndef MR_POOL_MAINTENANCE_H
#define MR_POOL_MAINTENANCE_H

#include "registry/pool/pool_model.h"

mr_status mr_maintenance_create(mr_pools *pools, mr_maintenance **out, mr_error *error);
mr_status mr_maintenance_start(mr_maintenance *maintenance, mr_error *error);
void mr_maintenance_stop(mr_maintenance *maintenance); /* joins; idempotent */
void mr_maintenance_destroy(mr_maintenance *maintenance);
/* Into the file of the settings, if there is one; a failure is logged. */
void mr_maintenance_write_metrics(mr_pools *pools);
/* Makes sure it looks no later than at this time. Any lock may be held. */
void mr_maintenance_expect(mr_maintenance *maintenance, int64_t deadline_ns);

#endif
