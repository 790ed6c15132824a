#include "core/duration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"

static const struct { const char *name; int64_t ns; } units[] = { /* rising */
    { "ms", MR_CLOCK_MILLISECOND }, { "s", MR_CLOCK_SECOND }, { "min", 60 * MR_CLOCK_SECOND }, { "h", 3600 * MR_CLOCK_SECOND }
};

#define UNIT_COUNT (sizeof units / sizeof *units)

bool mr_duration_parse(const char *text, int64_t *out)
{
    if (strcmp(text, "none") == 0) {
        *out = MR_CLOCK_FOREVER;
        return true;
    }
    if (*text < '0' || *text > '9') return false;
    char *unit;
    errno = 0;
    unsigned long long number = strtoull(text, &unit, 10);
    for (size_t i = 0; errno == 0 && i < UNIT_COUNT; i++) {
        if (strcmp(unit, units[i].name) != 0) continue;
        if (number > (unsigned long long)(INT64_MAX / units[i].ns)) return false;
        *out = (int64_t)number * units[i].ns;
        return true;
    }
    return false;
}

const char *mr_duration_text(int64_t duration_ns, char out[MR_DURATION_TEXT_MAX])
{
    size_t unit = UNIT_COUNT - 1;
    while (unit > 0 && duration_ns % units[unit].ns != 0) unit--;
    if (duration_ns == MR_CLOCK_FOREVER) snprintf(out, MR_DURATION_TEXT_MAX, "none");
    else snprintf(out, MR_DURATION_TEXT_MAX, "%lld%s", (long long)(duration_ns / units[unit].ns), units[unit].name);
    return out;
}
