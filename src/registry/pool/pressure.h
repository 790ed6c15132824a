/* How close the process is to its memory, from what it really uses. Levels: governor.h. */
#ifndef MR_POOL_PRESSURE_H
#define MR_POOL_PRESSURE_H

#include "registry/pool/governor.h"

/* `total` > 0: the memory this process may use. */
mr_pressure mr_pressure_of(const mr_memory_usage *usage, uint64_t total);

#endif
