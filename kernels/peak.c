#include "kernels/peak.h"

#include <pthread.h>
#include <time.h>

#include "kernels/kernels.h"

#define TRIES 6
#define SECONDS_PER_TRY 0.005

static double peak;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double one_try(size_t rounds, double *seconds)
{
    float sink = 0.0f;
    const double start = now(), operations = mr_kernels_get()->probe[MR_LINEAR_F32](rounds, &sink);
    *seconds = now() - start;
    return *seconds > 0.0 ? operations / *seconds : 0.0;
}

/* The best try counts: on a shared machine the others were disturbed. */
static void measure(void)
{
    double seconds = 0.0;
    size_t rounds = 1000;
    while (one_try(rounds, &seconds), seconds < SECONDS_PER_TRY / 2.0) rounds *= 2;
    for (int i = 0; i < TRIES; i++) {
        double rate = one_try(rounds, &seconds);
        if (rate > peak) peak = rate;
    }
}

double mr_peak_f32_flops(void)
{
    pthread_once(&once, measure);
    return peak;
}
