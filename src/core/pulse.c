#include "core/pulse.h"

static _Thread_local mr_pulse *attached;

void mr_pulse_begin(mr_pulse *pulse)
{
    atomic_fetch_add_explicit(&pulse->beats, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&pulse->busy, 1, memory_order_relaxed);
}

void mr_pulse_end(mr_pulse *pulse)
{
    atomic_fetch_add_explicit(&pulse->beats, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&pulse->busy, 1, memory_order_relaxed);
}

void mr_pulse_attach(mr_pulse *pulse)
{
    attached = pulse;
}

mr_pulse *mr_pulse_attached(void)
{
    return attached;
}

void mr_pulse_beat(void)
{
    if (attached) atomic_fetch_add_explicit(&attached->beats, 1, memory_order_relaxed);
}
