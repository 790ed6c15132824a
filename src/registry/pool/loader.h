/* How a model's weights get into memory: one signature for every kind.
 *
 *   synchronous   opens the files at once                           mr_load_synchronously, the default
 *   asynchronous  fetch, verify, then load; completes later, from a thread of its own
 *   preloaded     a sibling has the weights, or is about to: takes a reference (the pool's own, loader.c)
 *
 * A loader runs in the thread of the worker that needs the model, never in a pool's or the maintenance thread. */
#ifndef MR_POOL_LOADER_H
#define MR_POOL_LOADER_H

#include "capability/model.h"

typedef struct mr_load mr_load;

typedef struct mr_load_request {
    const char *key;
    const char *path;
    const mr_model_vtable *vtable;
    mr_model_options options;
} mr_load_request;

/* Must bring about exactly one mr_load_complete(load, ...), before it returns or later from any thread. `request` lives
 * until then. */
typedef void mr_load_function(void *context, const mr_load_request *request, mr_load *load);

typedef struct mr_loader {
    mr_load_function *start; /* NULL: mr_load_synchronously */
    void *context;           /* borrowed as long as the model's pool */
} mr_loader;

void mr_load_synchronously(void *context, const mr_load_request *request, mr_load *load);

/* MR_OK hands `model` over; a failure carries its cause (`error` may be NULL). When nobody waits any more the model is
 * closed again. `load` is gone afterwards. */
void mr_load_complete(mr_load *load, mr_status status, void *model, const mr_error *error);

#endif
