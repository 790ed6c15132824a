/* Where threads run and where their memory lies: disjoint core sets for workers, weights spread over the memory nodes. */
#ifndef MR_POOL_AFFINITY_H
#define MR_POOL_AFFINITY_H

#include "core/error.h"

typedef struct mr_affinity mr_affinity;

/* Reads the machine's topology, less what this process may not use. Where it cannot be read nothing is ever bound.
 * OUT_OF_MEMORY. */
mr_status mr_affinity_create(mr_affinity **out, mr_error *error);
void mr_affinity_destroy(mr_affinity *affinity); /* NULL is fine */
size_t mr_affinity_cores(const mr_affinity *affinity);

/* The cores one thread got. */
typedef struct mr_core_set {
    size_t first; /* of mr_affinity_cores, in the order of the topology */
    size_t count; /* 0: not bound */
} mr_core_set;

/* Binds the calling thread, and the team it will start, to `threads` free neighbouring cores, whichever hardware thread
 * of them; leaves it alone when there is no such run. Thread-safe. */
mr_core_set mr_affinity_bind(mr_affinity *affinity, size_t threads);
/* When the thread ends. */
void mr_affinity_release(mr_affinity *affinity, mr_core_set cores);

/* From now on new memory of the calling thread is spread over all memory nodes, page by page; off: next to the core that
 * touches it first. For loading weights that workers on all nodes will read. False when the system refuses. */
bool mr_affinity_interleave(mr_affinity *affinity, bool on);

#endif
