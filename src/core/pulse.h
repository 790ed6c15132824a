/* Signs of life of a piece of work, for somebody who watches it from outside: busy and without a beat for long, it hangs. */
#ifndef MR_CORE_PULSE_H
#define MR_CORE_PULSE_H

#include <stdatomic.h>
#include <stddef.h>

typedef struct mr_pulse {
    atomic_size_t busy;  /* steps begun and not ended, over all threads: 0 = waits for others */
    atomic_size_t beats; /* rises with every sign of life */
} mr_pulse;

/* From any thread; the one that ends a step need not be the one that began it. */
void mr_pulse_begin(mr_pulse *pulse);
void mr_pulse_end(mr_pulse *pulse);

/* What this thread works for; NULL: nothing anybody watches. Borrowed until the thread's end or the next attach. */
void mr_pulse_attach(mr_pulse *pulse);
mr_pulse *mr_pulse_attached(void);
/* In the middle of a long step: something came of it, such as a block read or written. */
void mr_pulse_beat(void);

#endif
