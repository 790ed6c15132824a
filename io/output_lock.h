/* One process at a time writes the parts of a job. Private to io/. */
#ifndef MR_IO_OUTPUT_LOCK_H
#define MR_IO_OUTPUT_LOCK_H

#include "core/error.h"

typedef struct mr_output_lock mr_output_lock;

/* Takes DIRECTORY/NAME.lock; a lock whose process died is free by itself. CANNOT_CREATE naming the process that holds
 * it, without waiting. */
mr_status mr_output_lock_acquire(const char *directory, const char *name, mr_output_lock **out, mr_error *error);
/* Who holds any lock in the directory: true and "process 123 on host". */
bool mr_output_lock_holder(const char *directory, char *holder, size_t size);
/* Removes the lock file and gives the lock back. NULL is fine. */
void mr_output_lock_release(mr_output_lock *lock);

#endif
