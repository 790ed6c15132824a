#include "embed/text_embedder.h"

#include <string.h>

#include "core/fault.h"
#include "core/mem.h"
#include "core/trace.h"
#include "embed/embed_worker.h"
#include "embed/module_chain.h"
#include "embed/precision.h"
#include "embed/sentence_config.h"
#include "models/encoder.h"

typedef struct text_model {
    mr_sentence_config *config;
    mr_encoder *encoder;
    mr_module_chain *chain;
} text_model;

/* Buffers of one request; everything the encoder takes comes on top. */
typedef struct request_buffers {
    int32_t *ids, *positions; /* [tokens] */
    size_t *starts;           /* [inputs + 1] */
    float *hidden;            /* [tokens, hidden_size] */
    mr_module_buffers modules;
} request_buffers;

/* ---------------------------------------------------------------- the model */

static void close_model(void *opaque)
{
    text_model *model = opaque;
    if (!model) return;
    mr_module_chain_close(model->chain);
    mr_encoder_close(model->encoder);
    mr_sentence_config_close(model->config);
    mr_mem_free(model);
}

static mr_status open_parts(const char *path, const mr_model_options *options, bool measure, text_model **out, mr_error *error)
{
    const mr_params_options params = { .measure = measure, .format = mr_embed_linear_format(options->precision), .cache = options->cache };
    mr_params_options exact = params;
    exact.format = MR_LINEAR_F32; /* the heads: one row per text, precision is free */
    text_model *model = mr_mem_calloc(1, sizeof *model, MR_MEM_WEIGHTS);
    if (!model) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a model", path);
    mr_status status;
    MR_TRY_OR(status, mr_sentence_config_open(path, options->capability_options, &model->config, error), fail);
    MR_TRY_OR(status, mr_encoder_open(model->config->backbone_directory, &params, &model->encoder, error), fail);
    MR_TRY_OR(status, mr_module_chain_open(model->config, &exact, &model->chain, error), fail);
    *out = model;
    return MR_OK;
fail:
    close_model(model);
    return status;
}

static mr_status open_model(const char *path, const mr_model_options *options, void **out, mr_error *error)
{
    text_model *model = NULL;
    MR_TRY(open_parts(path, options, false, &model, error));
    *out = model;
    return MR_OK;
}

static size_t model_bytes(const void *opaque)
{
    const text_model *model = opaque;
    return mr_encoder_bytes(model->encoder) + mr_module_chain_bytes(model->chain);
}

/* ---------------------------------------------------------------- memory of a worker */

static void lay_out(const text_model *model, size_t tokens, size_t inputs, mr_scratch *scratch, request_buffers *out)
{
    out->ids = mr_scratch_take(scratch, tokens, sizeof *out->ids);
    out->positions = mr_scratch_take(scratch, tokens, sizeof *out->positions);
    out->starts = mr_scratch_take(scratch, inputs + 1, sizeof *out->starts);
    out->hidden = mr_scratch_take(scratch, tokens, model->config->hidden_size * sizeof *out->hidden);
    mr_module_chain_lay_out(model->chain, scratch, &out->modules);
}

/* A batch of full size, or one input of the longest kind. */
static size_t most_tokens(const text_model *model, const mr_model_options *options)
{
    return model->config->max_tokens > options->max_batch_tokens ? model->config->max_tokens : options->max_batch_tokens;
}

static mr_status worker_scratch(const text_model *model, const mr_model_options *options, size_t *out, mr_error *error)
{
    size_t tokens = most_tokens(model, options);
    mr_scratch scratch = { 0 };
    request_buffers buffers;
    lay_out(model, tokens, options->max_batch_inputs, &scratch, &buffers);
    size_t encoder = mr_encoder_scratch_bytes(model->encoder, tokens, options->threads_per_worker);
    if (scratch.failed || encoder > SIZE_MAX - scratch.bytes)
        return mr_error_set(error, MR_INVALID_ARGUMENT, "batches of %zu tokens are impossible", tokens);
    *out = scratch.bytes + encoder;
    return MR_OK;
}

static mr_status estimate(const char *path, const mr_model_options *options, mr_memory_estimate *out, mr_error *error)
{
    text_model *model = NULL;
    size_t scratch = 0;
    MR_TRY(open_parts(path, options, true, &model, error));
    mr_status status = worker_scratch(model, options, &scratch, error);
    if (status == MR_OK)
        *out = (mr_memory_estimate){ .shared_bytes = model_bytes(model), .worker_bytes = sizeof(mr_embed_worker) + scratch };
    if (status == MR_OK) mr_encoder_work(model->encoder, &out->work);
    close_model(model);
    return status;
}

static mr_status create_worker(void *opaque, const mr_model_options *options, void **out, mr_error *error)
{
    const text_model *model = opaque;
    size_t scratch = 0;
    MR_TRY(worker_scratch(model, options, &scratch, error));
    const mr_embed_worker settings = { .model = model, .dimension = model->config->dimension, .threads = options->threads_per_worker,
                                       .max_inputs = options->max_batch_inputs, .max_tokens = most_tokens(model, options),
                                       .batch_tokens = options->max_batch_tokens };
    return mr_embed_worker_create(&settings, scratch, out, error);
}

void mr_text_embedder_set_trace(void *opaque, const mr_layer_trace *trace, float *pooled)
{
    mr_embed_worker *worker = opaque;
    worker->trace = trace;
    worker->pooled = pooled;
}

/* ---------------------------------------------------------------- a request */

static mr_status count_tokens(const mr_embed_worker *worker, const mr_text_embedding_request *request, size_t *tokens, mr_error *error)
{
    size_t total = 0;
    for (size_t i = 0; i < request->count; i++) {
        if (request->inputs[i].count > worker->max_tokens - total)
            return mr_error_set(error, MR_INVALID_ARGUMENT, "a batch of more than %zu tokens, the most that was agreed", worker->max_tokens);
        total += request->inputs[i].count;
    }
    *tokens = total;
    return MR_OK;
}

static mr_token_batch pack(const mr_text_embedding_request *request, size_t tokens, const request_buffers *buffers)
{
    size_t row = 0;
    for (size_t i = 0; i < request->count; i++) {
        buffers->starts[i] = row;
        for (size_t t = 0; t < request->inputs[i].count; t++, row++) {
            buffers->ids[row] = request->inputs[i].ids[t];
            buffers->positions[row] = (int32_t)t;
        }
    }
    buffers->starts[request->count] = row;
    return (mr_token_batch){ .ids = buffers->ids, .positions = buffers->positions, .starts = buffers->starts, .tokens = tokens, .count = request->count };
}

static void finish_input(const mr_embed_worker *worker, const mr_text_embedding_request *request, size_t index, const request_buffers *buffers,
                         mr_text_embedding_response *response)
{
    const text_model *model = worker->model;
    const mr_sentence_config *config = model->config;
    const mr_text_embedding_input *input = &request->inputs[index];
    float *vector = response->vectors + index * config->dimension;
    float *pooled = worker->pooled ? worker->pooled + index * config->hidden_size * config->pooling_count : NULL;
    size_t prompt = input->prompt_tokens < input->count ? input->prompt_tokens : input->count;
    mr_module_chain_run(model->chain, &buffers->modules, buffers->hidden + buffers->starts[index] * config->hidden_size, input->count, prompt, vector, pooled);
    response->statuses[index] = mr_embed_finish_vector(vector, config->dimension);
}

static mr_status run_batch(void *opaque, const void *opaque_request, void *opaque_response, mr_error *error)
{
    const mr_embed_worker *worker = opaque;
    const text_model *model = worker->model;
    const mr_text_embedding_request *request = opaque_request;
    mr_text_embedding_response *response = opaque_response;
    size_t tokens = 0;
    MR_TRY(mr_embed_worker_check(worker, request->count, response, error));
    MR_TRY(count_tokens(worker, request, &tokens, error));
    if (request->count == 0) return MR_OK;
    MR_FAULT("embed");
    int64_t begin = mr_trace_begin();
    mr_trace_name_thread("worker");
    mr_arena_reset(worker->arena);
    mr_scratch scratch = { .arena = worker->arena };
    request_buffers buffers;
    lay_out(model, tokens, request->count, &scratch, &buffers);
    MR_TRY(mr_scratch_check(&scratch, error));
    mr_token_batch batch = pack(request, tokens, &buffers);
    MR_TRY(mr_encoder_forward(model->encoder, &batch, worker->threads, &scratch, buffers.hidden, worker->trace, error));
    int64_t pooling = mr_trace_begin();
    for (size_t i = 0; i < request->count; i++) finish_input(worker, request, i, &buffers, response);
    if (tokens > worker->batch_tokens) mr_arena_give_back(worker->arena); /* such a text is rare, and seconds of work */
    mr_trace_end(pooling, "pooling", "texts", request->count);
    mr_trace_end(begin, "batch", "tokens", tokens);
    return MR_OK;
}

const mr_model_vtable mr_text_embedder = {
    .capability = MR_CAPABILITY_TEXT_EMBEDDING,
    .estimate = estimate,
    .open = open_model,
    .close = close_model,
    .worker_create = create_worker,
    .worker_destroy = mr_embed_worker_destroy,
    .run_batch = run_batch,
    .model_bytes = model_bytes,
    .worker_bytes = mr_embed_worker_bytes,
};
