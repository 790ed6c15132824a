#include "embed/image_embedder.h"

#include "core/mem.h"
#include "core/trace.h"
#include "embed/embed_worker.h"
#include "embed/precision.h"
#include "models/vision_tower.h"

typedef struct image_model {
    mr_image_embedding_shape shape;
    mr_vision_tower *tower;
    bool normalize;
} image_model;

static void close_model(void *opaque)
{
    image_model *model = opaque;
    if (!model) return;
    mr_vision_tower_close(model->tower);
    mr_mem_free(model);
}

static mr_status check_shape(const char *path, const mr_vision_tower *tower, mr_image_embedding_shape *shape, mr_error *error)
{
    const mr_vision_limits *limits = mr_vision_tower_limits(tower);
    const mr_image_processor *processor = &shape->processor;
    if (processor->width != limits->image_size || processor->height != limits->image_size)
        return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: preprocessor_config.json gives images of %zu x %zu pixels, config.json takes %zu x %zu", path,
                            processor->width, processor->height, limits->image_size, limits->image_size);
    shape->tokens = limits->tokens;
    shape->dimension = limits->dimension;
    return MR_OK;
}

static mr_status open_parts(const char *path, const mr_model_options *options, bool measure, image_model **out, mr_error *error)
{
    const mr_params_options params = { .measure = measure, .format = mr_embed_linear_format(options->precision), .cache = options->cache };
    const mr_embed_options *embed = options->capability_options;
    image_model *model = mr_mem_calloc(1, sizeof *model, MR_MEM_WEIGHTS);
    if (!model) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a model", path);
    model->normalize = !embed || embed->normalize != MR_CHOICE_NO;
    mr_status status = mr_image_processor_read(path, &model->shape.processor, error);
    if (status == MR_OK) status = mr_vision_tower_open(path, model->shape.processor.width, &params, &model->tower, error);
    if (status == MR_OK) status = check_shape(path, model->tower, &model->shape, error);
    if (status != MR_OK) {
        close_model(model);
        return status;
    }
    *out = model;
    return MR_OK;
}

static mr_status open_model(const char *path, const mr_model_options *options, void **out, mr_error *error)
{
    image_model *model = NULL;
    MR_TRY(open_parts(path, options, false, &model, error));
    *out = model;
    return MR_OK;
}

mr_status mr_image_embedding_shape_read(const char *directory, mr_image_embedding_shape *out, mr_error *error)
{
    static const mr_model_options any = { .precision = MR_PRECISION_F32 };
    image_model *model = NULL;
    MR_TRY(open_parts(directory, &any, true, &model, error));
    *out = model->shape;
    close_model(model);
    return MR_OK;
}

static size_t model_bytes(const void *opaque) { return mr_vision_tower_bytes(((const image_model *)opaque)->tower); }

static size_t worker_scratch(const image_model *model, const mr_model_options *options)
{
    mr_scratch scratch = { 0 };
    mr_scratch_take(&scratch, options->max_batch_inputs, sizeof(const uint8_t *));
    return scratch.bytes + mr_vision_tower_scratch_bytes(model->tower, options->max_batch_inputs, options->threads_per_worker);
}

static mr_status estimate(const char *path, const mr_model_options *options, mr_memory_estimate *out, mr_error *error)
{
    image_model *model = NULL;
    MR_TRY(open_parts(path, options, true, &model, error));
    *out = (mr_memory_estimate){ .shared_bytes = model_bytes(model), .worker_bytes = sizeof(mr_embed_worker) + worker_scratch(model, options) };
    mr_vision_tower_work(model->tower, &out->work);
    close_model(model);
    return MR_OK;
}

static mr_status create_worker(void *opaque, const mr_model_options *options, void **out, mr_error *error)
{
    const image_model *model = opaque;
    const mr_embed_worker settings = { .model = model, .dimension = model->shape.dimension, .threads = options->threads_per_worker, .max_inputs = options->max_batch_inputs };
    return mr_embed_worker_create(&settings, worker_scratch(model, options), out, error);
}

static mr_status check_sizes(const mr_image_embedding_shape *shape, const mr_image_embedding_request *request, mr_error *error)
{
    for (size_t i = 0; i < request->count; i++) {
        const mr_image *image = &request->images[i];
        if (image->width != shape->processor.width || image->height != shape->processor.height)
            return mr_error_set(error, MR_INVALID_ARGUMENT, "image %zu has %zu x %zu pixels, the model takes %zu x %zu", i, image->width, image->height,
                                shape->processor.width, shape->processor.height);
    }
    return MR_OK;
}

static mr_status finish_vector(const image_model *model, float *vector)
{
    size_t dimension = model->shape.dimension;
    if (model->normalize) mr_kernels_get()->l2_normalize_f32(vector, vector, dimension);
    return mr_embed_finish_vector(vector, dimension);
}

static mr_status run_batch(void *opaque, const void *opaque_request, void *opaque_response, mr_error *error)
{
    const mr_embed_worker *worker = opaque;
    const image_model *model = worker->model;
    const mr_image_embedding_request *request = opaque_request;
    mr_image_embedding_response *response = opaque_response;
    MR_TRY(mr_embed_worker_check(worker, request->count, response, error));
    MR_TRY(check_sizes(&model->shape, request, error));
    if (request->count == 0) return MR_OK;
    int64_t begin = mr_trace_begin();
    mr_trace_name_thread("worker");
    mr_arena_reset(worker->arena);
    mr_scratch scratch = { .arena = worker->arena };
    const uint8_t **pixels = mr_scratch_take(&scratch, request->count, sizeof *pixels);
    MR_TRY(mr_scratch_check(&scratch, error));
    for (size_t i = 0; i < request->count; i++) pixels[i] = request->images[i].pixels;
    const mr_pixel_batch batch = { .images = pixels, .count = request->count, .values = model->shape.processor.values };
    MR_TRY(mr_vision_tower_forward(model->tower, &batch, worker->threads, &scratch, response->vectors, NULL, error));
    for (size_t i = 0; i < request->count; i++) response->statuses[i] = finish_vector(model, response->vectors + i * response->dimension);
    mr_trace_end(begin, "batch", "images", request->count);
    return MR_OK;
}

const mr_model_vtable mr_image_embedder = {
    .capability = MR_CAPABILITY_IMAGE_EMBEDDING,
    .estimate = estimate,
    .open = open_model,
    .close = close_model,
    .worker_create = create_worker,
    .worker_destroy = mr_embed_worker_destroy,
    .run_batch = run_batch,
    .model_bytes = model_bytes,
    .worker_bytes = mr_embed_worker_bytes,
};
