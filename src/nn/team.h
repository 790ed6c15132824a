/* The OpenMP team of one worker: the only place where a forward pass splits its work.
 *
 * Items are independent and their results do not depend on the member that runs them, so a team of any size gives the
 * same bits. Without OpenMP (ThreadSanitizer builds) the calling thread does everything. */
#ifndef MR_NN_TEAM_H
#define MR_NN_TEAM_H

#include <stddef.h>

/* member: 0 .. threads - 1, for scratch memory of its own. */
typedef void mr_team_task(void *context, size_t item, size_t member);

/* Runs task(context, 0 .. items - 1), in any order, on at most `threads` threads; returns when all are done. */
void mr_team_run(size_t threads, size_t items, mr_team_task *task, void *context);

#endif
