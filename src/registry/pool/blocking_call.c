#include <stdlib.h>

#include "registry/pool/pool_model.h"

/* Outlives the caller when the call is answered ahead of the end of its run. */
typedef struct blocking {
    pthread_mutex_t lock; /* leaf */
    pthread_cond_t answered_condition;
    bool answered;
    int owners; /* the caller, and the pool until its last callback */
    mr_status status;
    mr_error error;
    void (*released)(void *context);
    void *context;
} blocking;

static void disown(blocking *call)
{
    bool last = --call->owners == 0;
    pthread_mutex_unlock(&call->lock);
    if (!last) return;
    pthread_cond_destroy(&call->answered_condition);
    pthread_mutex_destroy(&call->lock);
    free(call);
}

static void on_done(void *context, mr_status status, const mr_error *error)
{
    blocking *call = context;
    pthread_mutex_lock(&call->lock);
    call->status = status;
    if (error) call->error = *error;
    call->answered = true;
    pthread_cond_signal(&call->answered_condition);
    if (call->released) pthread_mutex_unlock(&call->lock);
    else disown(call);
}

static void on_released(void *context)
{
    blocking *call = context;
    call->released(call->context);
    pthread_mutex_lock(&call->lock);
    disown(call);
}

mr_status mr_pool_call(mr_pool_model *model, const mr_call *call, mr_error *error)
{
    blocking *own = calloc(1, sizeof *own);
    if (!own) {
        if (call->released) call->released(call->context);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a request", model->spec.key);
    }
    pthread_mutex_init(&own->lock, NULL);
    mr_clock_cond_init(&own->answered_condition);
    own->owners = 2;
    own->released = call->released;
    own->context = call->context;
    mr_call inner = *call;
    inner.done = on_done;
    inner.released = call->released ? on_released : NULL;
    inner.context = own;
    mr_status status = call->no_wait ? mr_pool_try_submit(model, &inner, error) : mr_pool_submit(model, &inner, error);
    pthread_mutex_lock(&own->lock);
    if (status != MR_OK) {
        own->owners = 1;
        disown(own);
        if (call->released) call->released(call->context);
        return status;
    }
    while (!own->answered) mr_clock_wait(model->pools->clock, &own->answered_condition, &own->lock, MR_CLOCK_FOREVER); /* ended by the pool */
    status = own->status;
    if (status != MR_OK && error) *error = own->error;
    disown(own);
    return status;
}
