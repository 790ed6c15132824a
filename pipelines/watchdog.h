/* Notices a stage that hangs: one that has a step to do and shows no sign of life for too long. */
#ifndef MR_PIPELINES_WATCHDOG_H
#define MR_PIPELINES_WATCHDOG_H

#include "core/clock.h"
#include "core/pulse.h"

/* X(NAME, what it does, for messages). A thread's stage has a pulse of its own; EMBED's is of the requests the pool has. */
#define MR_STAGE_LIST(X)             \
    X(READ, "reading the input")     \
    X(PREPARE, "preparing records")  \
    X(EMBED, "computing")            \
    X(WRITE, "writing the output")

typedef enum mr_stage {
#define MR_STAGE_ENUM(name, text) MR_STAGE_##name,
    MR_STAGE_LIST(MR_STAGE_ENUM)
#undef MR_STAGE_ENUM
    MR_STAGE_COUNT
} mr_stage;

typedef struct mr_watchdog {
    mr_pulse pulses[MR_STAGE_COUNT]; /* shared with the stages */
    int64_t limit_ns;
    size_t seen[MR_STAGE_COUNT];     /* beats at the last look; the rest belongs to who looks */
    int64_t since[MR_STAGE_COUNT];   /* when they last rose, or the stage had nothing to do */
} mr_watchdog;

void mr_watchdog_init(mr_watchdog *watchdog, int64_t limit_ns, int64_t now);
/* The stage that hangs, or MR_STAGE_COUNT. `excused` has good reason not to move now (MR_STAGE_COUNT: none has). */
mr_stage mr_watchdog_look(mr_watchdog *watchdog, mr_stage excused, int64_t now);
const char *mr_stage_text(mr_stage stage); /* "reading the input" */

#endif
