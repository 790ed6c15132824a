/* The worker's half of a load; loader.h has the loader's. Private to pool/. */
#ifndef MR_POOL_LOAD_H
#define MR_POOL_LOAD_H

#include "core/clock.h"
#include "registry/pool/loader.h"

mr_status mr_load_create(const mr_model_vtable *vtable, mr_load **out, mr_error *error);
/* Waits for completion: the model, or TIMEOUT, CANCELLED, the loader's failure. */
mr_status mr_load_wait(mr_load *load, mr_clock *clock, int64_t deadline_ns, void **model, mr_error *error);
/* Ends the wait, from another thread, before leave. */
void mr_load_cancel(mr_load *load);
/* The worker's last touch: frees, or leaves it to the loader that still owes the completion. */
void mr_load_leave(mr_load *load);
/* The model will be a sibling's: not closed if nobody waits any more. Before anybody can complete it. */
void mr_load_borrow(mr_load *load);
void mr_load_link(mr_load **list, mr_load *load);
/* Completes all of a list. */
void mr_load_complete_all(mr_load *list, mr_status status, void *model, const mr_error *error);

#endif
