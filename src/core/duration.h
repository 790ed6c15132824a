/* Durations as people write them: 250ms, 30s, 2min, 1h, none. */
#ifndef MR_CORE_DURATION_H
#define MR_CORE_DURATION_H

#include "core/error.h"

#define MR_DURATION_TEXT_MAX 32

/* Nanoseconds; MR_CLOCK_FOREVER for "none". False when it is none of these, *out unchanged. */
bool mr_duration_parse(const char *text, int64_t *out);
/* In the largest unit that needs no fraction. */
const char *mr_duration_text(int64_t duration_ns, char out[MR_DURATION_TEXT_MAX]);

#endif
