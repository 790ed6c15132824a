/* What the CPU and the kernel count of one thread: perf_event_open(2), user mode only.
 *
 * Each counter is there or not by itself: virtual machines offer no hardware events, containers often none at all
 * (kernel.perf_event_paranoid, seccomp). What is not offered reads as MR_COUNTER_ABSENT; nothing else changes. */
#ifndef MR_CORE_COUNTERS_H
#define MR_CORE_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

/* X(NAME, text, type and event of perf_event_open) */
#define MR_COUNTER_LIST(X)                                                             \
    X(CYCLES, "cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES)                  \
    X(INSTRUCTIONS, "instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS)    \
    X(LLC_MISSES, "LLC misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES)        \
    X(PAGE_FAULTS, "page faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS)       \
    X(CPU_NS, "CPU ns", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK)

typedef enum mr_counter {
#define MR_COUNTER_ENUM(name, text, type, event) MR_COUNTER_##name,
    MR_COUNTER_LIST(MR_COUNTER_ENUM)
#undef MR_COUNTER_ENUM
    MR_COUNTER_COUNT
} mr_counter;

const char *mr_counter_text(mr_counter counter);

#define MR_COUNTER_ABSENT UINT64_MAX

typedef struct mr_counters {
    int fds[MR_COUNTER_COUNT]; /* -1: not offered */
} mr_counters;

/* Starts counting the calling thread. Never fails: what is refused is absent. */
void mr_counters_open(mr_counters *counters);
/* Counts since open; scaled up where the CPU had to share its registers between events. From any thread, also after the
 * counted one has ended. */
void mr_counters_read(const mr_counters *counters, uint64_t values[MR_COUNTER_COUNT]);
void mr_counters_close(mr_counters *counters);

#endif
