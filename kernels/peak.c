#include "kernels/peak.h"

#include <pthread.h>
#include <time.h>

#include "kernels/kernels.h"

#define TRIES 6
#define SECONDS_PER_TRY 0.005

static double peaks[MR_LINEAR_FORMAT_COUNT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* leaf: peaks */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double one_try(mr_linear_format format, size_t rounds, double *seconds)
{
    float sink = 0.0f;
    const double start = now(), operations = mr_kernels_get()->probe[format](rounds, &sink);
    *seconds = now() - start;
    return *seconds > 0.0 ? operations / *seconds : 0.0;
}

/* The best try counts: on a shared machine the others were disturbed. */
static double measure(mr_linear_format format)
{
    double seconds = 0.0, best = 0.0;
    size_t rounds = 1000;
    while (one_try(format, rounds, &seconds), seconds < SECONDS_PER_TRY / 2.0) rounds *= 2;
    for (int i = 0; i < TRIES; i++) {
        double rate = one_try(format, rounds, &seconds);
        if (rate > best) best = rate;
    }
    return best;
}

double mr_peak_flops(mr_linear_format format)
{
    pthread_mutex_lock(&lock);
    if (peaks[format] == 0.0) peaks[format] = measure(format);
    double peak = peaks[format];
    pthread_mutex_unlock(&lock);
    return peak;
}
