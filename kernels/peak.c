#include "kernels/peak.h"

#include <pthread.h>
#include <time.h>

#include "kernels/kernels.h"

#define TRIES 6
#define SECONDS_PER_TRY 0.005
#define ROUNDS 1000 /* between two looks at the clock: microseconds */

static double peaks[MR_LINEAR_FORMAT_COUNT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* leaf: peaks */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double mr_peak_try(const mr_kernels *kernels, mr_linear_format format, double seconds)
{
    static _Thread_local volatile float kept;
    float sink = 0.0f;
    double operations = 0.0, elapsed = 0.0;
    const double start = now();
    while (elapsed < seconds) {
        operations += kernels->probe[format](ROUNDS, &sink);
        elapsed = now() - start;
    }
    kept = sink;
    (void)kept;
    return operations / elapsed;
}

double mr_peak_flops(mr_linear_format format)
{
    pthread_mutex_lock(&lock);
    for (int i = peaks[format] > 0.0 ? TRIES : 0; i < TRIES; i++) {
        double rate = mr_peak_try(mr_kernels_get(), format, SECONDS_PER_TRY);
        if (rate > peaks[format]) peaks[format] = rate;
    }
    double peak = peaks[format];
    pthread_mutex_unlock(&lock);
    return peak;
}
