#include "fake_model.h"

#include <stdatomic.h>
#include <time.h>

#define FAKE_MAX 64

static fake_model *models[FAKE_MAX];
static size_t model_count;

typedef struct fake_worker {
    fake_model *model;
} fake_worker;

/* Longer than any correct test waits. */
static struct timespec patience(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    return until;
}

fake_model *fake_new(void)
{
    assert_true(model_count < FAKE_MAX);
    fake_model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    snprintf(model->path, sizeof model->path, "fake:%zu", model_count);
    pthread_mutex_init(&model->lock, NULL);
    pthread_cond_init(&model->changed, NULL);
    model->estimate = model->measured = (mr_memory_estimate){ .shared_bytes = 1000, .worker_bytes = 100 };
    model->bad_input = -1;
    models[model_count++] = model;
    return model;
}

void fake_reset(void)
{
    while (model_count > 0) {
        fake_model *model = models[--model_count];
        pthread_cond_destroy(&model->changed);
        pthread_mutex_destroy(&model->lock);
        free(model);
    }
}

static fake_model *find(const char *path)
{
    size_t index;
    return sscanf(path, "fake:%zu", &index) == 1 && index < model_count ? models[index] : NULL;
}

void fake_gate(fake_model *model, bool *gate, bool closed)
{
    pthread_mutex_lock(&model->lock);
    *gate = closed;
    pthread_cond_broadcast(&model->changed);
    pthread_mutex_unlock(&model->lock);
}

void fake_hold(fake_model *model, int32_t tag)
{
    pthread_mutex_lock(&model->lock);
    model->hold_tag = tag;
    pthread_cond_broadcast(&model->changed);
    pthread_mutex_unlock(&model->lock);
}

static void pass(fake_model *model, const bool *gate)
{
    while (*gate) pthread_cond_wait(&model->changed, &model->lock);
}

void fake_await(fake_model *model, const size_t *counter, size_t value)
{
    struct timespec until = patience();
    int late = 0;
    pthread_mutex_lock(&model->lock);
    while (*counter < value && !late) late = pthread_cond_timedwait(&model->changed, &model->lock, &until);
    size_t reached = *counter;
    pthread_mutex_unlock(&model->lock);
    assert_true(reached >= value);
}

size_t fake_read(fake_model *model, const size_t *counter)
{
    pthread_mutex_lock(&model->lock);
    size_t value = *counter;
    pthread_mutex_unlock(&model->lock);
    return value;
}

static void count(fake_model *model, size_t *counter)
{
    ++*counter;
    pthread_cond_broadcast(&model->changed);
}

/* ---------------------------------------------------------------- the vtable */

static mr_status estimate(const char *path, const mr_model_options *options, mr_memory_estimate *out, mr_error *error)
{
    (void)options;
    fake_model *model = find(path);
    if (!model) return mr_error_set(error, MR_MODEL_FILES_MISSING, "%s: no such fake", path);
    *out = model->estimate;
    return MR_OK;
}

static mr_status open_model(const char *path, const mr_model_options *options, void **out, mr_error *error)
{
    (void)options;
    fake_model *model = find(path);
    pthread_mutex_lock(&model->lock);
    count(model, &model->opens);
    pass(model, &model->load_closed);
    mr_status status = model->load_status;
    if (status != MR_OK) count(model, &model->closes); /* nothing to close later */
    pthread_mutex_unlock(&model->lock);
    if (status != MR_OK) return mr_error_set(error, status, "%s: tensor \"fake.weight\" will not load", path);
    *out = model;
    return MR_OK;
}

static void close_model(void *opaque)
{
    fake_model *model = opaque;
    if (!model) return;
    pthread_mutex_lock(&model->lock);
    count(model, &model->closes);
    pthread_mutex_unlock(&model->lock);
}

static mr_status worker_create(void *opaque, const mr_model_options *options, void **out, mr_error *error)
{
    (void)options;
    fake_model *model = opaque;
    pthread_mutex_lock(&model->lock);
    mr_status status = model->create_status;
    if (status == MR_OK) count(model, &model->creates);
    pthread_mutex_unlock(&model->lock);
    if (status != MR_OK) return mr_error_set(error, status, "%s: no scratch", model->path);
    fake_worker *worker = malloc(sizeof *worker);
    worker->model = model;
    *out = worker;
    return MR_OK;
}

static void worker_destroy(void *opaque)
{
    fake_worker *worker = opaque;
    if (!worker) return;
    pthread_mutex_lock(&worker->model->lock);
    pass(worker->model, &worker->model->destroy_closed);
    count(worker->model, &worker->model->destroys);
    pthread_mutex_unlock(&worker->model->lock);
    free(worker);
}

static size_t model_bytes(const void *opaque) { return ((const fake_model *)opaque)->measured.shared_bytes; }
static size_t worker_bytes(const void *opaque) { return ((const fake_worker *)opaque)->model->measured.worker_bytes; }

static mr_status run(fake_model *model, int32_t tag, mr_status *statuses, size_t inputs, mr_error *error)
{
    pthread_mutex_lock(&model->lock);
    model->running++;
    if (model->running > model->peak_running) model->peak_running = model->running;
    count(model, &model->runs);
    while (model->run_closed && (model->hold_tag == 0 || model->hold_tag == tag)) pthread_cond_wait(&model->changed, &model->lock);
    int64_t delay = model->run_ns;
    mr_status status = model->run_failures > 0 ? model->run_status : MR_OK;
    if (status != MR_OK && model->run_failures != SIZE_MAX) model->run_failures--;
    for (size_t i = 0; i < inputs; i++)
        statuses[i] = model->non_finite ? MR_NON_FINITE : (int64_t)i == model->bad_input ? MR_BAD_RECORD : MR_OK;
    pthread_mutex_unlock(&model->lock);
    if (delay > 0) nanosleep(&(struct timespec){ delay / MR_CLOCK_SECOND, delay % MR_CLOCK_SECOND }, NULL);
    pthread_mutex_lock(&model->lock);
    model->running--;
    pthread_cond_broadcast(&model->changed);
    pthread_mutex_unlock(&model->lock);
    return status == MR_OK ? MR_OK : mr_error_set(error, status, "%s: run %d broke", model->path, (int)tag);
}

static mr_status run_text_embedding(void *worker, const void *opaque_request, void *opaque_response, mr_error *error)
{
    const mr_text_embedding_request *request = opaque_request;
    mr_text_embedding_response *response = opaque_response;
    for (size_t i = 0; i < request->count; i++) response->vectors[i * response->dimension] = (float)request->inputs[i].ids[0];
    return run(((fake_worker *)worker)->model, request->inputs[0].ids[0], response->statuses, request->count, error);
}

static mr_status run_text_to_text(void *worker, const void *opaque_request, void *opaque_response, mr_error *error)
{
    const mr_text_to_text_request *request = opaque_request;
    mr_text_to_text_response *response = opaque_response;
    for (size_t i = 0; i < request->count; i++) {
        response->outputs[i].ids[0] = request->inputs[i].ids[0];
        response->outputs[i].count = 1;
        response->outputs[i].finish = MR_FINISH_STOP;
    }
    return run(((fake_worker *)worker)->model, request->inputs[0].ids[0], response->statuses, request->count, error);
}

static mr_status run_image_embedding(void *worker, const void *opaque_request, void *opaque_response, mr_error *error)
{
    const mr_image_embedding_request *request = opaque_request;
    mr_image_embedding_response *response = opaque_response;
    for (size_t i = 0; i < request->count; i++) response->vectors[i * response->dimension] = request->images[i].pixels[0];
    return run(((fake_worker *)worker)->model, request->images[0].pixels[0], response->statuses, request->count, error);
}

static mr_status run_vision(void *worker, const void *opaque_request, void *opaque_response, mr_error *error)
{
    const mr_vision_request *request = opaque_request;
    mr_vision_response *response = opaque_response;
    for (size_t i = 0; i < request->count; i++) {
        response->outputs[i].ids[0] = request->inputs[i].ids[0];
        response->outputs[i].count = 1;
        response->outputs[i].finish = MR_FINISH_STOP;
    }
    return run(((fake_worker *)worker)->model, request->inputs[0].ids[0], response->statuses, request->count, error);
}

static mr_status run_text_to_image(void *worker, const void *opaque_request, void *opaque_response, mr_error *error)
{
    const mr_text_to_image_request *request = opaque_request;
    mr_text_to_image_response *response = opaque_response;
    for (size_t i = 0; i < request->count; i++) response->images[i].pixels[0] = (uint8_t)request->inputs[i].ids[0];
    return run(((fake_worker *)worker)->model, request->inputs[0].ids[0], response->statuses, request->count, error);
}

#define VTABLE(NAME, name)                                                                                        \
    [MR_CAPABILITY_##NAME] = { .capability = MR_CAPABILITY_##NAME, .estimate = estimate, .open = open_model,      \
                               .close = close_model, .worker_create = worker_create, .worker_destroy = worker_destroy, \
                               .run_batch = run_##name, .model_bytes = model_bytes, .worker_bytes = worker_bytes }
static const mr_model_vtable vtables[MR_CAPABILITY_COUNT] = {
    VTABLE(TEXT_EMBEDDING, text_embedding), VTABLE(TEXT_TO_TEXT, text_to_text), VTABLE(IMAGE_EMBEDDING, image_embedding),
    VTABLE(VISION, vision), VTABLE(TEXT_TO_IMAGE, text_to_image),
};

const mr_model_vtable *fake_vtable(mr_capability capability) { return &vtables[capability]; }

/* ---------------------------------------------------------------- requests */

static void point(fake_request *request, size_t inputs)
{
    switch (request->capability) {
    case MR_CAPABILITY_TEXT_EMBEDDING:
        request->request.text_embedding = (mr_text_embedding_request){ request->inputs.text, inputs };
        request->response.text_embedding = (mr_text_embedding_response){ request->vectors, 1, request->statuses };
        break;
    case MR_CAPABILITY_TEXT_TO_TEXT:
        request->request.text_to_text = (mr_text_to_text_request){ request->inputs.prompt, inputs };
        request->response.text_to_text = (mr_text_to_text_response){ request->outputs.text, request->statuses };
        break;
    case MR_CAPABILITY_IMAGE_EMBEDDING:
        request->request.image_embedding = (mr_image_embedding_request){ request->inputs.image, inputs };
        request->response.image_embedding = (mr_image_embedding_response){ request->vectors, 1, request->statuses };
        break;
    case MR_CAPABILITY_VISION:
        request->request.vision = (mr_vision_request){ request->inputs.vision, inputs };
        request->response.vision = (mr_vision_response){ request->outputs.text, request->statuses };
        break;
    case MR_CAPABILITY_TEXT_TO_IMAGE:
        request->request.text_to_image = (mr_text_to_image_request){ request->inputs.imagine, inputs };
        request->response.text_to_image = (mr_text_to_image_response){ request->outputs.image, request->statuses };
        break;
    case MR_CAPABILITY_COUNT: fail();
    }
}

void fake_request_init(fake_request *request, mr_capability capability, int32_t tag, size_t inputs)
{
    *request = (fake_request){ .capability = capability, .ids = { tag } };
    request->pixels[0] = (uint8_t)tag;
    for (size_t i = 0; i < inputs; i++) {
        mr_image image = { request->pixels, 1, 1 };
        switch (capability) {
        case MR_CAPABILITY_TEXT_EMBEDDING: request->inputs.text[i] = (mr_text_embedding_input){ .ids = request->ids, .count = 1 }; break;
        case MR_CAPABILITY_TEXT_TO_TEXT: request->inputs.prompt[i] = (mr_text_to_text_input){ .ids = request->ids, .count = 1 }; break;
        case MR_CAPABILITY_IMAGE_EMBEDDING: request->inputs.image[i] = image; break;
        case MR_CAPABILITY_VISION: request->inputs.vision[i] = (mr_vision_input){ .image = image, .ids = request->ids, .count = 1 }; break;
        case MR_CAPABILITY_TEXT_TO_IMAGE: request->inputs.imagine[i] = (mr_text_to_image_input){ .ids = request->ids, .count = 1, .steps = 1 }; break;
        case MR_CAPABILITY_COUNT: fail();
        }
        if (capability == MR_CAPABILITY_TEXT_TO_IMAGE) request->outputs.image[i] = (mr_image_out){ request->pixels, 1, 1 };
        else request->outputs.text[i] = (mr_generated){ .ids = &request->tokens[i], .capacity = 1 };
    }
    point(request, inputs);
    pthread_mutex_init(&request->lock, NULL);
    pthread_cond_init(&request->changed, NULL);
}

void fake_request_fini(fake_request *request)
{
    pthread_cond_destroy(&request->changed);
    pthread_mutex_destroy(&request->lock);
}

static atomic_size_t answers;

static void on_done(void *context, mr_status status, const mr_error *error)
{
    fake_request *request = context;
    pthread_mutex_lock(&request->lock);
    request->done++;
    request->order = atomic_fetch_add(&answers, 1) + 1;
    request->status = status;
    if (error) request->error = *error;
    pthread_cond_broadcast(&request->changed);
    pthread_mutex_unlock(&request->lock);
}

mr_call fake_call(fake_request *request)
{
    return (mr_call){ .request = &request->request, .response = &request->response, .done = on_done, .context = request, .stage = "test",
                      .id = (uint64_t)request->ids[0], .timeout_ns = MR_CLOCK_FOREVER };
}

mr_status fake_request_await(fake_request *request)
{
    struct timespec until = patience();
    int late = 0;
    pthread_mutex_lock(&request->lock);
    while (request->done == 0 && !late) late = pthread_cond_timedwait(&request->changed, &request->lock, &until);
    size_t done = request->done;
    mr_status status = request->status;
    pthread_mutex_unlock(&request->lock);
    assert_int_equal(done, 1);
    return status;
}

bool fake_request_ended(fake_request *request)
{
    pthread_mutex_lock(&request->lock);
    bool ended = request->done > 0;
    pthread_mutex_unlock(&request->lock);
    return ended;
}
