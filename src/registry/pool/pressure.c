#include "registry/pool/pressure.h"

/* Tasks that wait for memory a tenth of the time are already slower than a smaller batch would make them. */
#define STALLED_HIGH_PERCENT 10.0

static mr_pressure level_of(double percent)
{
#define LEVEL(name, text, below) \
    if (percent < (below)) return MR_PRESSURE_##name;
    MR_PRESSURE_LIST(LEVEL)
#undef LEVEL
    return MR_PRESSURE_CRITICAL;
}

mr_pressure mr_pressure_of(const mr_memory_usage *usage, uint64_t total)
{
    double percent = 100.0 * (double)usage->resident / (double)total;
    if (usage->cgroup_limit != UINT64_MAX && usage->cgroup_limit > 0) {
        double of_group = 100.0 * (double)usage->cgroup / (double)usage->cgroup_limit;
        if (of_group > percent) percent = of_group;
    }
    mr_pressure level = level_of(percent);
    return level < MR_PRESSURE_HIGH && usage->stalled_percent >= STALLED_HIGH_PERCENT ? MR_PRESSURE_HIGH : level;
}

const char *mr_pressure_text(mr_pressure pressure)
{
    static const char *const texts[] = {
#define TEXT(name, text, below) text,
        MR_PRESSURE_LIST(TEXT)
#undef TEXT
    };
    return texts[pressure];
}
