/* How many cores this process may keep busy. */
#ifndef MR_CORE_CORES_H
#define MR_CORE_CORES_H

#include <stddef.h>

/* The least of the affinity mask (taskset, Slurm) and the CPU quota of this cgroup and its parents (containers; rounded
 * up). At least 1. `root` stands in front of /proc and /sys: NULL for the real ones, a folder for tests. */
size_t mr_cores_allowed(const char *root);

#endif
