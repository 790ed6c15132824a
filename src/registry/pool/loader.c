#include "registry/pool/loader.h"

#include <pthread.h>
#include <stdlib.h>

#include "registry/pool/load.h"

/* Shared by the worker that waits and the loader that completes; whoever comes last frees it. */
struct mr_load {
    mr_load *next; /* in mr_weights.waiting */
    const mr_model_vtable *vtable;
    pthread_mutex_t lock; /* leaf */
    pthread_cond_t ended;
    bool completed;
    bool cancelled; /* the wait is to end */
    bool taken;     /* the waiting side has the model */
    bool abandoned; /* the waiting side is gone */
    bool borrowed;  /* the model is a sibling's: not ours to close */
    mr_status status;
    void *model;
    mr_error error;
};

mr_status mr_load_create(const mr_model_vtable *vtable, mr_load **out, mr_error *error)
{
    mr_load *load = calloc(1, sizeof *load);
    if (!load) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a load");
    load->vtable = vtable;
    pthread_mutex_init(&load->lock, NULL);
    mr_clock_cond_init(&load->ended);
    *out = load;
    return MR_OK;
}

static void end(mr_load *load)
{
    if (load->status == MR_OK && !load->taken && !load->borrowed) load->vtable->close(load->model);
    pthread_cond_destroy(&load->ended);
    pthread_mutex_destroy(&load->lock);
    free(load);
}

void mr_load_complete(mr_load *load, mr_status status, void *model, const mr_error *error)
{
    pthread_mutex_lock(&load->lock);
    bool abandoned = load->abandoned;
    load->completed = true;
    load->status = status;
    load->model = model;
    if (status != MR_OK) {
        if (error && error->status == status) load->error = *error;
        else mr_error_set(&load->error, status, "%s", mr_status_text(status));
    }
    pthread_cond_broadcast(&load->ended);
    pthread_mutex_unlock(&load->lock);
    if (abandoned) end(load);
}

mr_status mr_load_wait(mr_load *load, mr_clock *clock, int64_t deadline_ns, void **model, mr_error *error)
{
    bool in_time = true;
    pthread_mutex_lock(&load->lock);
    while (!load->completed && !load->cancelled && in_time) in_time = mr_clock_wait(clock, &load->ended, &load->lock, deadline_ns);
    mr_status status;
    if (load->completed) {
        status = load->status;
        if (status == MR_OK) *model = load->model;
        else if (error) *error = load->error;
        load->taken = true;
    } else {
        status = load->cancelled ? mr_error_set(error, MR_CANCELLED, "load given up: shutting down")
                                 : mr_error_set(error, MR_TIMEOUT, "load did not end within load_timeout");
    }
    pthread_mutex_unlock(&load->lock);
    return status;
}

void mr_load_leave(mr_load *load)
{
    pthread_mutex_lock(&load->lock);
    load->abandoned = true;
    bool completed = load->completed;
    pthread_mutex_unlock(&load->lock);
    if (completed) end(load);
}

void mr_load_cancel(mr_load *load)
{
    pthread_mutex_lock(&load->lock);
    load->cancelled = true;
    pthread_cond_broadcast(&load->ended);
    pthread_mutex_unlock(&load->lock);
}

void mr_load_borrow(mr_load *load)
{
    load->borrowed = true;
}

void mr_load_link(mr_load **list, mr_load *load)
{
    load->next = *list;
    *list = load;
}

void mr_load_complete_all(mr_load *list, mr_status status, void *model, const mr_error *error)
{
    while (list) {
        mr_load *load = list;
        list = load->next;
        mr_load_complete(load, status, model, error);
    }
}

void mr_load_synchronously(void *context, const mr_load_request *request, mr_load *load)
{
    (void)context;
    void *model = NULL;
    mr_error error = { 0 };
    mr_status status = request->vtable->open(request->path, &request->options, &model, &error);
    mr_load_complete(load, status, model, &error);
}
