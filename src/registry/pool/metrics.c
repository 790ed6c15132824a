#include "registry/pool/metrics.h"

/* A short query on a small model takes milliseconds, a long generation minutes: two to three buckets a decade. */
static const double latency_bounds[MR_LATENCY_BUCKETS] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30, 120 };

double mr_latency_bound_seconds(size_t bucket) { return latency_bounds[bucket]; }

const char *mr_worker_state_text(mr_worker_state state)
{
    static const char *const texts[] = {
#define TEXT(name, text) text,
        MR_WORKER_STATE_LIST(TEXT)
#undef TEXT
    };
    return texts[state];
}

void mr_metrics_count_latency(mr_model_metrics *metrics, double seconds)
{
    size_t bucket = 0;
    while (bucket < MR_LATENCY_BUCKETS && seconds > mr_latency_bound_seconds(bucket)) bucket++;
    metrics->latency[bucket]++;
    metrics->latency_seconds += seconds;
}
