/* What the workers of a model share. Private to pool/. */
#ifndef MR_POOL_WEIGHTS_H
#define MR_POOL_WEIGHTS_H

#include "registry/pool/pool_model.h"

typedef enum mr_weights_state { MR_WEIGHTS_NEW, MR_WEIGHTS_LOADING, MR_WEIGHTS_LOADED, MR_WEIGHTS_FAILED } mr_weights_state;

/* Under the model's lock, except `loaded_model` once LOADED. */
struct mr_weights {
    size_t references; /* one per worker */
    mr_weights_state state;
    mr_guard guard;
    void *loaded_model;
    mr_load *waiting; /* loads of siblings, to be completed with the first one's */
    mr_error failure;
};

/* Takes the guard over. NULL when out of memory (the guard is untouched). */
mr_weights *mr_weights_create(mr_guard *guard);
/* Has the worker's model loaded: by the model's own loader for the first worker, by the preloaded one for the others, who
 * wait for the first. No lock held. */
mr_status mr_weights_load(mr_worker *worker, void **model, mr_error *error);
/* Gives one reference up. Lock held on entry and on return, released while the last one closes the model. */
void mr_weights_release(mr_pool_model *model, mr_weights *weights);

#endif
