/* Places where a test build hangs, or loses the thread, on request; nothing elsewhere.
 *
 *   MILLRACE_FAULT=write:stall:100    the 100th time (from 0) a thread passes MR_FAULT("write"), it stays there for ever
 *   MILLRACE_FAULT=write:exit:100     ... it ends there and then
 *
 * Each name stands at one place. */
#ifndef MR_CORE_FAULT_H
#define MR_CORE_FAULT_H

#ifdef MILLRACE_FAULTS

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void mr_fault_pass(const char *name, atomic_ulong *passed)
{
    const char *wish = getenv("MILLRACE_FAULT");
    size_t length = strlen(name);
    if (!wish || strncmp(wish, name, length) != 0 || wish[length] != ':') return;
    const char *kind = wish + length + 1, *number = strchr(kind, ':');
    if (!number || atomic_fetch_add(passed, 1) != strtoul(number + 1, NULL, 10)) return;
    if (strncmp(kind, "exit:", 5) == 0) pthread_exit(NULL);
    while (strncmp(kind, "stall:", 6) == 0) pause();
}

#define MR_FAULT(name)                       \
    do {                                     \
        static atomic_ulong mr_fault_passed; \
        mr_fault_pass(name, &mr_fault_passed); \
    } while (0)

#else
#define MR_FAULT(name) ((void)0)
#endif

#endif
