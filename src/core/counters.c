#include "core/counters.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *text;
    uint32_t type;
    uint64_t config;
} events[MR_COUNTER_COUNT] = {
#define EVENT(name, text, type, event) { text, type, event },
    MR_COUNTER_LIST(EVENT)
#undef EVENT
};

const char *mr_counter_text(mr_counter counter)
{
    return events[counter].text;
}

void mr_counters_open(mr_counters *counters)
{
    for (int i = 0; i < MR_COUNTER_COUNT; i++) {
        struct perf_event_attr attributes = {
            .type = events[i].type,
            .size = sizeof attributes,
            .config = events[i].config,
            .exclude_kernel = 1, /* what perf_event_paranoid 2 leaves to ordinary users */
            .exclude_hv = 1,
            .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
        };
        counters->fds[i] = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    }
}

void mr_counters_read(const mr_counters *counters, uint64_t values[MR_COUNTER_COUNT])
{
    for (int i = 0; i < MR_COUNTER_COUNT; i++) {
        struct { uint64_t value, enabled, running; } now;
        values[i] = MR_COUNTER_ABSENT;
        if (counters->fds[i] < 0 || read(counters->fds[i], &now, sizeof now) != sizeof now) continue;
        if (now.running == 0 && now.enabled > 0) continue; /* never got a register */
        values[i] = now.running == now.enabled ? now.value : (uint64_t)((double)now.value * (double)now.enabled / (double)now.running);
    }
}

void mr_counters_close(mr_counters *counters)
{
    for (int i = 0; i < MR_COUNTER_COUNT; i++)
        if (counters->fds[i] >= 0) close(counters->fds[i]);
}
