/* SIGINT and SIGTERM as calls in a thread of their own, never as handlers. */
#ifndef MR_CLI_SIGNALS_H
#define MR_CLI_SIGNALS_H

#include "core/error.h"

typedef struct mr_signals mr_signals;

/* `count` is 1 for the first signal; a program begins its shutdown there and exits at once at 2. Runs in an ordinary
 * thread: it may lock and allocate. */
typedef void mr_signal_received(void *context, int signal_number, unsigned count);

/* Blocks both signals in the calling thread, and so in all threads it starts later: call it before any other thread is
 * there. Stop in the same thread. */
mr_status mr_signals_start(mr_signal_received *received, void *context, mr_signals **out, mr_error *error);
/* Ends the thread, gives the signals their old disposition back. NULL is fine. */
void mr_signals_stop(mr_signals *signals);

#endif
