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

/* A lone thread takes a batch in slices of whole texts, each through all layers, so that what passes from layer to layer stays in
 * L2; the weights come from L3 for every row panel either way. all-MiniLM-L6-v2, us a token in slices of 128 / all 1,539 tokens at
 * once: f32 218 / 224, bf16 119 / 123, int8 70 / 74. Texts of 32 tokens in int8: 58 to 62 at 32 to 384 tokens, 66 at 1,024. */
enum { SLICE_TOKENS = 128 };

/* Buffers of one slice; everything the encoder takes comes on top. */
typedef struct slice_buffers {
    int32_t *ids, *positions; /* [tokens] */
    size_t *starts;           /* [inputs + 1] */
    float *hidden;            /* [tokens, hidden_size] */
    mr_module_buffers modules;
} slice_buffers;

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

static void lay_out(const text_model *model, size_t tokens, size_t inputs, mr_scratch *scratch, slice_buffers *out)
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

/* A team shares the whole batch: it needs many row panels to be busy, and its members do not meet the same rows again. */
static size_t slice_tokens(const mr_model_options *options)
{
    return options->threads_per_worker == 1 && options->max_batch_tokens > SLICE_TOKENS ? SLICE_TOKENS : options->max_batch_tokens;
}

static mr_status worker_scratch(const text_model *model, const mr_model_options *options, size_t *out, mr_error *error)
{
    size_t slice = slice_tokens(options), longest = model->config->max_tokens > 0 ? model->config->max_tokens : options->max_batch_tokens;
    size_t tokens = longest > slice ? longest : slice;
    mr_scratch scratch = { 0 };
    slice_buffers buffers;
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
                                       .batch_tokens = options->max_batch_tokens, .slice_tokens = slice_tokens(options) };
    return mr_embed_worker_create(&settings, scratch, out, error);
}

void mr_text_embedder_set_trace(void *opaque, const mr_layer_trace *trace, float *pooled)
{
    mr_embed_worker *worker = opaque;
    worker->trace = trace;
    worker->pooled = pooled;
}

/* ---------------------------------------------------------------- a request */

static mr_status check_tokens(const mr_embed_worker *worker, const mr_text_embedding_request *request, mr_error *error)
{
    const text_model *model = worker->model;
    size_t total = 0, longest = model->config->max_tokens;
    for (size_t i = 0; i < request->count; i++) {
        if (request->inputs[i].count > worker->max_tokens - total)
            return mr_error_set(error, MR_INVALID_ARGUMENT, "a batch of more than %zu tokens, the most that was agreed", worker->max_tokens);
        if (longest > 0 && request->inputs[i].count > longest)
            return mr_error_set(error, MR_INVALID_ARGUMENT, "input %zu has %zu tokens, the model takes at most %zu", i, request->inputs[i].count, longest);
        total += request->inputs[i].count;
    }
    return MR_OK;
}

/* Inputs [first, first + count) of a request, `tokens` in all. */
typedef struct slice {
    size_t first, count, tokens;
} slice;

static slice next_slice(const mr_text_embedding_request *request, size_t first, size_t most)
{
    slice out = { first, 1, request->inputs[first].count };
    while (first + out.count < request->count && out.tokens + request->inputs[first + out.count].count <= most) {
        out.tokens += request->inputs[first + out.count].count;
        out.count++;
    }
    return out;
}

static mr_token_batch pack(const mr_text_embedding_input *inputs, const slice *part, const slice_buffers *buffers)
{
    size_t row = 0;
    for (size_t i = 0; i < part->count; i++) {
        buffers->starts[i] = row;
        for (size_t t = 0; t < inputs[i].count; t++, row++) {
            buffers->ids[row] = inputs[i].ids[t];
            buffers->positions[row] = (int32_t)t;
        }
    }
    buffers->starts[part->count] = row;
    return (mr_token_batch){ .ids = buffers->ids, .positions = buffers->positions, .starts = buffers->starts, .tokens = row, .count = part->count };
}

/* Input `index` of the request, whose rows are `hidden`. */
static void finish_input(const mr_embed_worker *worker, const mr_text_embedding_request *request, size_t index, const float *hidden,
                         const mr_module_buffers *modules, mr_text_embedding_response *response)
{
    const text_model *model = worker->model;
    const mr_sentence_config *config = model->config;
    const mr_text_embedding_input *input = &request->inputs[index];
    float *vector = response->vectors + index * config->dimension;
    float *pooled = worker->pooled ? worker->pooled + index * config->hidden_size * config->pooling_count : NULL;
    size_t prompt = input->prompt_tokens < input->count ? input->prompt_tokens : input->count;
    mr_module_chain_run(model->chain, modules, hidden, input->count, prompt, vector, pooled);
    response->statuses[index] = mr_embed_finish_vector(vector, config->dimension);
}

static mr_status run_slice(const mr_embed_worker *worker, const mr_text_embedding_request *request, const slice *part,
                           mr_text_embedding_response *response, mr_error *error)
{
    const text_model *model = worker->model;
    mr_arena_reset(worker->arena);
    mr_scratch scratch = { .arena = worker->arena };
    slice_buffers buffers;
    lay_out(model, part->tokens, part->count, &scratch, &buffers);
    MR_TRY(mr_scratch_check(&scratch, error));
    mr_token_batch batch = pack(request->inputs + part->first, part, &buffers);
    MR_TRY(mr_encoder_forward(model->encoder, &batch, worker->threads, &scratch, buffers.hidden, worker->trace, error));
    int64_t pooling = mr_trace_begin();
    for (size_t i = 0; i < part->count; i++) {
        const float *hidden = buffers.hidden + buffers.starts[i] * model->config->hidden_size;
        finish_input(worker, request, part->first + i, hidden, &buffers.modules, response);
    }
    mr_trace_end(pooling, "pooling", "texts", part->count);
    return MR_OK;
}

static mr_status run_batch(void *opaque, const void *opaque_request, void *opaque_response, mr_error *error)
{
    const mr_embed_worker *worker = opaque;
    const mr_text_embedding_request *request = opaque_request;
    mr_text_embedding_response *response = opaque_response;
    size_t tokens = 0;
    MR_TRY(mr_embed_worker_check(worker, request->count, response, error));
    MR_TRY(check_tokens(worker, request, error));
    MR_FAULT("embed");
    int64_t begin = mr_trace_begin();
    mr_trace_name_thread("worker");
    for (size_t first = 0; first < request->count;) {
        const slice part = next_slice(request, first, worker->slice_tokens);
        MR_TRY(run_slice(worker, request, &part, response, error));
        first += part.count;
        tokens += part.tokens;
    }
    if (tokens > worker->batch_tokens) mr_arena_give_back(worker->arena); /* such a text is rare, and seconds of work */
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
