#include "models/encoder.h"

#include "core/mem.h"
#include "core/str.h"
#include "models/config_file.h"
#include "models/vision_tower.h"

struct mr_encoder {
    const mr_encoder_architecture *architecture;
    mr_encoder_limits limits;
    mr_checkpoint *checkpoint;
    mr_params *params;
    void *model;
    bool measured_only;
};

static mr_status find_architecture(const mr_config_file *file, const mr_encoder_architecture **out, mr_error *error)
{
    const char *type = json_string_value(json_object_get(file->config, "model_type"));
    mr_buf known = { 0 };
    for (size_t i = 0; mr_encoder_architectures[i]; i++) {
        *out = mr_encoder_architectures[i];
        if ((*out)->matches(file->config)) {
            mr_buf_fini(&known);
            return MR_OK;
        }
        mr_buf_printf(&known, "%s%s", i > 0 ? ", " : "", (*out)->name);
    }
    mr_status status = MR_MODEL_UNSUPPORTED;
    if (mr_vision_tower_matches(file->config)) mr_error_set(error, status, "%s: a model of type \"%s\" sees images, it reads no texts", file->path, type);
    else mr_error_set(error, status, "%s: model_type \"%s\" is no encoder known here (known: %s)", file->path, type ? type : "", known.data ? known.data : "");
    mr_buf_fini(&known);
    return status;
}

mr_status mr_encoder_read_limits(const char *directory, mr_encoder_limits *out, mr_error *error)
{
    mr_config_file file = { 0 };
    const mr_encoder_architecture *architecture = NULL;
    MR_TRY(mr_config_file_read(directory, &file, error));
    mr_status status = find_architecture(&file, &architecture, error);
    if (status == MR_OK) status = architecture->limits(file.config, file.path, out, error);
    mr_config_file_free(&file);
    return status;
}

typedef struct opening {
    const mr_config_file *file;
    mr_encoder *encoder;
} opening;

static mr_status take_weights(void *context, mr_params *params, mr_error *error)
{
    const opening *o = context;
    return o->encoder->architecture->open(o->file->config, o->file->path, params, &o->encoder->model, error);
}

static mr_status open_parts(const char *directory, const mr_config_file *file, const mr_params_options *options, mr_encoder *encoder, mr_error *error)
{
    MR_TRY(find_architecture(file, &encoder->architecture, error));
    MR_TRY(encoder->architecture->limits(file->config, file->path, &encoder->limits, error));
    MR_TRY(mr_checkpoint_open(directory, &encoder->checkpoint, error));
    opening context = { file, encoder };
    return mr_params_open(encoder->checkpoint, options, take_weights, &context, &encoder->params, error);
}

mr_status mr_encoder_open(const char *directory, const mr_params_options *options, mr_encoder **out, mr_error *error)
{
    mr_config_file file = { 0 };
    mr_encoder *encoder = mr_mem_calloc(1, sizeof *encoder, MR_MEM_WEIGHTS);
    if (!encoder) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate an encoder", directory);
    encoder->measured_only = options->measure;
    mr_status status = mr_config_file_read(directory, &file, error);
    if (status == MR_OK) status = open_parts(directory, &file, options, encoder, error);
    mr_config_file_free(&file);
    if (status != MR_OK) {
        mr_encoder_close(encoder);
        return status;
    }
    *out = encoder;
    return MR_OK;
}

void mr_encoder_close(mr_encoder *encoder)
{
    if (!encoder) return;
    mr_params_destroy(encoder->params);
    mr_checkpoint_close(encoder->checkpoint);
    mr_mem_free(encoder);
}

size_t mr_encoder_bytes(const mr_encoder *encoder) { return mr_params_bytes(encoder->params); }

size_t mr_encoder_scratch_bytes(const mr_encoder *encoder, size_t tokens, size_t threads)
{
    mr_scratch scratch = { 0 };
    const mr_token_batch batch = { .tokens = tokens, .count = tokens };
    encoder->architecture->forward(encoder->model, &batch, threads, &scratch, NULL, NULL);
    return scratch.failed ? SIZE_MAX : scratch.bytes;
}

void mr_encoder_work(const mr_encoder *encoder, mr_work *out)
{
    *out = *mr_params_work(encoder->params);
    mr_scratch scratch = { .work = out };
    const mr_token_batch batch = { .tokens = 1, .count = 1 };
    encoder->architecture->forward(encoder->model, &batch, 1, &scratch, NULL, NULL);
}

static mr_status check_batch(const mr_encoder *encoder, const mr_token_batch *batch, mr_error *error)
{
    const mr_encoder_limits *limits = &encoder->limits;
    for (size_t s = 0; s < batch->count; s++) {
        size_t length = batch->starts[s + 1] - batch->starts[s];
        if (length == 0) return mr_error_set(error, MR_INVALID_ARGUMENT, "input %zu has no tokens", s);
        if (limits->max_tokens > 0 && length > limits->max_tokens)
            return mr_error_set(error, MR_INVALID_ARGUMENT, "input %zu has %zu tokens, the model takes at most %zu", s, length, limits->max_tokens);
        for (size_t t = batch->starts[s]; t < batch->starts[s + 1]; t++)
            if (batch->ids[t] < 0 || (size_t)batch->ids[t] >= limits->vocab_size)
                return mr_error_set(error, MR_INVALID_ARGUMENT, "input %zu: token id %d is outside the model's vocabulary of %zu", s, (int)batch->ids[t],
                                    limits->vocab_size);
    }
    return MR_OK;
}

mr_status mr_encoder_forward(const mr_encoder *encoder, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                             const mr_layer_trace *trace, mr_error *error)
{
    if (encoder->measured_only || !scratch->arena) return mr_error_set(error, MR_INTERNAL, "a forward pass without weights or memory");
    MR_TRY(check_batch(encoder, batch, error));
    encoder->architecture->forward(encoder->model, batch, threads, scratch, hidden, trace);
    return mr_scratch_check(scratch, error);
}
