/* How close the process is to its memory, from what it really uses. */
#ifndef MR_POOL_PRESSURE_H
#define MR_POOL_PRESSURE_H

#include "registry/pool/memory_limits.h"

/* X(NAME, text, below this share of the total, in percent) */
#define MR_PRESSURE_LIST(X)    \
    X(LOW, "low", 50)          \
    X(NORMAL, "normal", 70)    \
    X(HIGH, "high", 85)        \
    X(CRITICAL, "critical", 100)

typedef enum mr_pressure {
#define MR_PRESSURE_ENUM(name, text, below) MR_PRESSURE_##name,
    MR_PRESSURE_LIST(MR_PRESSURE_ENUM)
#undef MR_PRESSURE_ENUM
} mr_pressure;

const char *mr_pressure_text(mr_pressure pressure);
/* `total` > 0: the memory this process may use. */
mr_pressure mr_pressure_of(const mr_memory_usage *usage, uint64_t total);

#endif
