#include "core/cores.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/str.h"

static size_t cores_of_affinity(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1; /* more cores than a cpu_set_t: the quota decides */
    int count = CPU_COUNT(&set);
    return count > 0 ? (size_t)count : 1;
}

/* "max 100000" or "150000 100000": microseconds per period. */
static double read_quota(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) return INFINITY;
    double quota, period;
    int fields = fscanf(file, "%lf %lf", &quota, &period);
    fclose(file);
    return fields == 2 && quota > 0.0 && period > 0.0 ? quota / period : INFINITY;
}

/* The path behind "0::" in /proc/self/cgroup: this process in the unified hierarchy (cgroup v2). */
static char *unified_cgroup(const char *root)
{
    char *name = mr_strf("%s/proc/self/cgroup", root), line[4096], *path = NULL;
    FILE *file = name ? fopen(name, "re") : NULL;
    free(name);
    while (file && !path && fgets(line, sizeof line, file))
        if (strncmp(line, "0::", 3) == 0) path = mr_strndup(line + 3, strcspn(line + 3, "\n"));
    if (file) fclose(file);
    return path;
}

static double least_quota(const char *root)
{
    char *path = unified_cgroup(root);
    double least = INFINITY;
    while (path) {
        char *name = mr_strf("%s/sys/fs/cgroup%s/cpu.max", root, path);
        if (name) least = fmin(least, read_quota(name));
        free(name);
        char *slash = strrchr(path, '/');
        if (!slash) break;
        *slash = '\0'; /* the parent; "" is the root group, the last */
    }
    free(path);
    return least;
}

size_t mr_cores_allowed(const char *root)
{
    size_t cores = cores_of_affinity();
    double quota = ceil(least_quota(root ? root : ""));
    return quota < (double)cores ? (size_t)fmax(quota, 1.0) : cores;
}
