#include "pipelines/watchdog.h"

const char *mr_stage_text(mr_stage stage)
{
    static const char *const texts[] = {
#define TEXT(name, text) text,
        MR_STAGE_LIST(TEXT)
#undef TEXT
    };
    return texts[stage];
}

void mr_watchdog_init(mr_watchdog *watchdog, int64_t limit_ns, int64_t now)
{
    *watchdog = (mr_watchdog){ .limit_ns = limit_ns };
    for (int i = 0; i < MR_STAGE_COUNT; i++) watchdog->since[i] = now;
}

mr_stage mr_watchdog_look(mr_watchdog *watchdog, mr_stage excused, int64_t now)
{
    mr_stage hanging = MR_STAGE_COUNT;
    for (mr_stage i = 0; i < MR_STAGE_COUNT; i++) {
        size_t beats = atomic_load(&watchdog->pulses[i].beats);
        bool idle = atomic_load(&watchdog->pulses[i].busy) == 0 || i == excused;
        if (idle || beats != watchdog->seen[i]) watchdog->since[i] = now;
        watchdog->seen[i] = beats;
        if (hanging == MR_STAGE_COUNT && now - watchdog->since[i] >= watchdog->limit_ns) hanging = i;
    }
    return hanging;
}
