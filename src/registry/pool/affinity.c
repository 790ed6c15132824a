#include "registry/pool/affinity.h"

#include <hwloc.h>
#include <pthread.h>
#include <stdlib.h>

struct mr_affinity {
    hwloc_topology_t topology;
    size_t cores; /* 0: the topology could not be read */
    pthread_mutex_t lock; /* leaf: `taken` */
    bool taken[];
};

static bool load(hwloc_topology_t *topology)
{
    if (hwloc_topology_init(topology) != 0) return false;
    /* Nothing but cores and nodes is looked at: leave out what takes time. */
    hwloc_topology_set_io_types_filter(*topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (hwloc_topology_load(*topology) == 0) return true;
    hwloc_topology_destroy(*topology);
    return false;
}

mr_status mr_affinity_create(mr_affinity **out, mr_error *error)
{
    hwloc_topology_t topology = NULL;
    int cores = load(&topology) ? hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) : 0;
    if (cores < 0) cores = 0;
    mr_affinity *affinity = calloc(1, sizeof *affinity + (size_t)cores * sizeof *affinity->taken);
    if (!affinity) {
        if (topology) hwloc_topology_destroy(topology);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the core sets");
    }
    affinity->topology = topology;
    affinity->cores = (size_t)cores;
    pthread_mutex_init(&affinity->lock, NULL);
    *out = affinity;
    return MR_OK;
}

void mr_affinity_destroy(mr_affinity *affinity)
{
    if (!affinity) return;
    if (affinity->cores > 0) hwloc_topology_destroy(affinity->topology);
    pthread_mutex_destroy(&affinity->lock);
    free(affinity);
}

size_t mr_affinity_cores(const mr_affinity *affinity) { return affinity->cores; }

/* The first run of `count` free cores; `cores` when there is none. Lock held. */
static size_t find_run(const mr_affinity *affinity, size_t count)
{
    size_t run = 0;
    for (size_t core = 0; core < affinity->cores; core++) {
        run = affinity->taken[core] ? 0 : run + 1;
        if (run == count) return core + 1 - count;
    }
    return affinity->cores;
}

/* Lock held. */
static void mark(mr_affinity *affinity, mr_core_set cores, bool taken)
{
    for (size_t core = cores.first; core < cores.first + cores.count; core++) affinity->taken[core] = taken;
}

static bool bind_thread(mr_affinity *affinity, mr_core_set cores)
{
    hwloc_cpuset_t set = hwloc_bitmap_alloc();
    if (!set) return false;
    for (size_t core = cores.first; core < cores.first + cores.count; core++) {
        hwloc_obj_t object = hwloc_get_obj_by_type(affinity->topology, HWLOC_OBJ_CORE, (unsigned)core);
        hwloc_bitmap_or(set, set, object->cpuset);
    }
    bool bound = hwloc_set_cpubind(affinity->topology, set, HWLOC_CPUBIND_THREAD) == 0;
    hwloc_bitmap_free(set);
    return bound;
}

mr_core_set mr_affinity_bind(mr_affinity *affinity, size_t threads)
{
    mr_core_set cores = { 0 };
    pthread_mutex_lock(&affinity->lock);
    size_t first = threads > 0 ? find_run(affinity, threads) : affinity->cores;
    if (first < affinity->cores) cores = (mr_core_set){ first, threads };
    mark(affinity, cores, true);
    pthread_mutex_unlock(&affinity->lock);
    if (cores.count == 0 || bind_thread(affinity, cores)) return cores;
    mr_affinity_release(affinity, cores);
    return (mr_core_set){ 0 };
}

void mr_affinity_release(mr_affinity *affinity, mr_core_set cores)
{
    pthread_mutex_lock(&affinity->lock);
    mark(affinity, cores, false);
    pthread_mutex_unlock(&affinity->lock);
}

bool mr_affinity_interleave(mr_affinity *affinity, bool on)
{
    if (affinity->cores == 0) return false;
    hwloc_const_nodeset_t all = hwloc_topology_get_topology_nodeset(affinity->topology);
    hwloc_membind_policy_t policy = on ? HWLOC_MEMBIND_INTERLEAVE : HWLOC_MEMBIND_DEFAULT;
    return hwloc_set_membind(affinity->topology, all, policy, HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET) == 0;
}
