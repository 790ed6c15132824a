/* Checked size arithmetic. Each returns false on overflow and then leaves *out alone. */
#ifndef MR_CORE_CHECKED_H
#define MR_CORE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool mr_checked_add(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}

static inline bool mr_checked_mul(size_t a, size_t b, size_t *out)
{
    if (a != 0 && b > SIZE_MAX / a) return false;
    *out = a * b;
    return true;
}

/* Rounds up to a power of two `alignment`. */
static inline bool mr_checked_align(size_t value, size_t alignment, size_t *out)
{
    if (value > SIZE_MAX - (alignment - 1)) return false;
    *out = (value + alignment - 1) & ~(alignment - 1);
    return true;
}

#endif
