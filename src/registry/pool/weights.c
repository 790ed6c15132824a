#include "registry/pool/weights.h"

#include <stdlib.h>

#include "core/log.h"

mr_weights *mr_weights_create(mr_guard *guard)
{
    mr_weights *weights = calloc(1, sizeof *weights);
    if (!weights) return NULL;
    weights->guard = *guard;
    *guard = (mr_guard){ 0 };
    return weights;
}

void mr_weights_release(mr_pool_model *model, mr_weights *weights)
{
    if (--weights->references > 0) return;
    if (model->weights == weights) model->weights = NULL;
    pthread_mutex_unlock(&model->lock);
    if (weights->loaded_model) model->spec.vtable->close(weights->loaded_model);
    mr_guard_release(&weights->guard);
    free(weights);
    pthread_mutex_lock(&model->lock);
}

/* The third kind of loader: a sibling has the weights, or is getting them. `context` is the worker. */
static void load_preloaded(void *context, const mr_load_request *request, mr_load *load)
{
    (void)request;
    mr_worker *worker = context;
    mr_pool_model *model = worker->model;
    mr_weights *weights = worker->weights;
    mr_load_borrow(load);
    pthread_mutex_lock(&model->lock);
    bool on_its_way = weights->state == MR_WEIGHTS_LOADING;
    if (on_its_way) mr_load_link(&weights->waiting, load);
    bool loaded = weights->state == MR_WEIGHTS_LOADED;
    pthread_mutex_unlock(&model->lock);
    if (on_its_way) return;
    mr_load_complete(load, loaded ? MR_OK : weights->failure.status, weights->loaded_model, &weights->failure);
}

/* What the first load brought is now everybody's. Lock held; released while the siblings are told. */
static void publish(mr_pool_model *model, mr_weights *weights, mr_status status, void *loaded_model, const mr_error *error)
{
    weights->state = status == MR_OK ? MR_WEIGHTS_LOADED : MR_WEIGHTS_FAILED;
    weights->loaded_model = loaded_model;
    if (status != MR_OK) {
        weights->failure = *error;
        if (model->weights == weights) model->weights = NULL; /* the next attempt starts afresh */
    }
    mr_load *waiting = weights->waiting;
    weights->waiting = NULL;
    pthread_mutex_unlock(&model->lock);
    mr_load_complete_all(waiting, status, loaded_model, error);
    pthread_mutex_lock(&model->lock);
}

mr_status mr_weights_load(mr_worker *worker, void **loaded_model, mr_error *error)
{
    mr_pool_model *model = worker->model;
    mr_weights *weights = worker->weights;
    mr_load *load;
    MR_TRY(mr_load_create(model->spec.vtable, &load, error));

    pthread_mutex_lock(&model->lock);
    bool first = weights->state == MR_WEIGHTS_NEW;
    if (first) weights->state = MR_WEIGHTS_LOADING;
    worker->brought_weights = first;
    worker->load = load;
    if (worker->leave) mr_load_cancel(load);
    pthread_mutex_unlock(&model->lock);

    bool wanted = first && model->pools->settings.interleave_weights, spread = wanted && mr_affinity_interleave(model->pools->affinity, true);
    if (wanted && !spread) mr_log(MR_LOG_WARN, MR_POOL_LOG, "%s: the system refuses to interleave memory; weights lie where they are first used", model->spec.key);
    mr_loader loader = first ? model->loader : (mr_loader){ load_preloaded, worker };
    loader.start(loader.context, &model->spec, load);
    if (spread) (void)mr_affinity_interleave(model->pools->affinity, false); /* scratch stays near its worker */
    int64_t deadline = mr_clock_deadline(model->pools->clock, model->pools->settings.load_timeout);
    *loaded_model = NULL;
    mr_status status = mr_load_wait(load, model->pools->clock, deadline, loaded_model, error);

    pthread_mutex_lock(&model->lock);
    worker->load = NULL;
    if (first) publish(model, weights, status, *loaded_model, error);
    pthread_mutex_unlock(&model->lock);
    mr_load_leave(load);
    return status;
}
