/* How much memory this process may really use: the least of RAM, its cgroups (v1 and v2, all parents) and RLIMIT_AS. */
#ifndef MR_POOL_MEMORY_LIMITS_H
#define MR_POOL_MEMORY_LIMITS_H

#include "core/error.h"

/* Bytes; UINT64_MAX = no such limit. */
typedef struct mr_memory_limits {
    uint64_t ram;
    uint64_t cgroup_v2;     /* least memory.max and memory.high of this cgroup and its parents */
    uint64_t cgroup_v1;     /* least memory.limit_in_bytes likewise */
    uint64_t address_space; /* RLIMIT_AS, soft, less what is mapped and takes no memory (code never run, stacks never grown) */
    uint64_t effective;     /* the least of them */
    const char *source;     /* which one that is, for messages: "RAM", "cgroup v2", ...; static */
} mr_memory_limits;

/* What is in use now, bytes. */
typedef struct mr_memory_usage {
    uint64_t resident;       /* of this process */
    uint64_t cgroup;         /* working set of the cgroup with the least limit: usage less inactive file cache; 0 without limit */
    uint64_t cgroup_limit;   /* UINT64_MAX without limit */
    double stalled_percent;  /* share of the last 10 s in which some task waited for memory (PSI); 0 where absent */
} mr_memory_usage;

/* `root` stands in front of /proc and /sys ("" or NULL for the real ones; a test gives a tree of its own).
 * IO when not even the RAM size can be read. */
mr_status mr_memory_limits_read(const char *root, mr_memory_limits *out, mr_error *error);
mr_status mr_memory_usage_read(const char *root, mr_memory_usage *out, mr_error *error);

#endif
