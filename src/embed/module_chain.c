#include "embed/module_chain.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"

/* One module's weights; a Normalize has none. */
typedef struct chain_step {
    mr_checkpoint *checkpoint;
    mr_params *params;
    mr_linear linear;
    mr_linear residual; /* n = 0: none, or the input itself */
    mr_norm norm;
} chain_step;

struct mr_module_chain {
    const mr_sentence_config *config;
    const mr_kernels *kernels;
    size_t widest;
    chain_step steps[];
};

/* torch.nn.LayerNorm's default, which the LayerNorm module uses. */
#define LAYER_NORM_EPS 1e-5

typedef struct opening {
    const mr_sentence_module *module;
    chain_step *step;
} opening;

static mr_status take_weights(void *context, mr_params *params, mr_error *error)
{
    const opening *o = context;
    const mr_sentence_module *module = o->module;
    if (module->kind == MR_SENTENCE_LAYER_NORM) return mr_params_norm(params, "norm", module->inputs, LAYER_NORM_EPS, true, &o->step->norm, error);
    const mr_linear_part part = { .name = module->tensor, .rows = module->outputs, .has_bias = module->has_bias };
    const mr_linear_part residual = { .name = "residual", .rows = module->outputs };
    MR_TRY(mr_params_linear(params, &part, 1, module->inputs, &o->step->linear, error));
    if (!module->has_residual || module->inputs == module->outputs) return MR_OK;
    return mr_params_linear(params, &residual, 1, module->inputs, &o->step->residual, error);
}

static mr_status open_step(const mr_sentence_module *module, const mr_params_options *options, chain_step *step, mr_error *error)
{
    if (module->kind == MR_SENTENCE_NORMALIZE) return MR_OK;
    opening context = { module, step };
    MR_TRY(mr_checkpoint_open(module->directory, &step->checkpoint, error));
    return mr_params_open(step->checkpoint, options, take_weights, &context, &step->params, error);
}

mr_status mr_module_chain_open(const mr_sentence_config *config, const mr_params_options *options, mr_module_chain **out, mr_error *error)
{
    mr_module_chain *chain = mr_mem_calloc(1, sizeof *chain + config->module_count * sizeof *chain->steps, MR_MEM_WEIGHTS);
    if (!chain) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the modules behind the encoder");
    *chain = (mr_module_chain){ .config = config, .kernels = mr_kernels_get(), .widest = config->hidden_size * config->pooling_count };
    mr_status status = MR_OK;
    for (size_t i = 0; status == MR_OK && i < config->module_count; i++) {
        status = open_step(&config->modules[i], options, &chain->steps[i], error);
        if (config->modules[i].outputs > chain->widest) chain->widest = config->modules[i].outputs;
    }
    if (status != MR_OK) {
        mr_module_chain_close(chain);
        return status;
    }
    *out = chain;
    return MR_OK;
}

void mr_module_chain_close(mr_module_chain *chain)
{
    if (!chain) return;
    for (size_t i = 0; i < chain->config->module_count; i++) {
        mr_params_destroy(chain->steps[i].params);
        mr_checkpoint_close(chain->steps[i].checkpoint);
    }
    mr_mem_free(chain);
}

size_t mr_module_chain_bytes(const mr_module_chain *chain)
{
    size_t bytes = 0;
    for (size_t i = 0; i < chain->config->module_count; i++)
        if (chain->steps[i].params) bytes += mr_params_bytes(chain->steps[i].params);
    return bytes;
}

void mr_module_chain_lay_out(const mr_module_chain *chain, mr_scratch *scratch, mr_module_buffers *out)
{
    size_t linear = 0;
    for (size_t i = 0; i < chain->config->module_count; i++) {
        if (chain->config->modules[i].kind != MR_SENTENCE_DENSE) continue;
        size_t bytes = mr_linear_scratch_bytes(&chain->steps[i].linear, 1);
        if (bytes > linear) linear = bytes;
    }
    out->from = mr_scratch_take(scratch, chain->widest, sizeof(float));
    out->to = mr_scratch_take(scratch, chain->widest, sizeof(float));
    out->linear = mr_scratch_take(scratch, linear, 1);
}

static void run_dense(const mr_sentence_module *module, const chain_step *step, const mr_module_buffers *buffers)
{
    const mr_epilogue activate = { .activation = module->activation }, add = { .residual = buffers->to, .ld_residual = module->outputs };
    mr_linear_run(&step->linear, buffers->from, module->inputs, buffers->to, module->outputs, 1, &activate, buffers->linear);
    for (size_t i = 0; module->sigmoid && i < module->outputs; i++) buffers->to[i] = 1.0F / (1.0F + expf(-buffers->to[i]));
    if (!module->has_residual) return;
    if (step->residual.n > 0) mr_linear_run(&step->residual, buffers->from, module->inputs, buffers->to, module->outputs, 1, &add, buffers->linear);
    else for (size_t i = 0; i < module->outputs; i++) buffers->to[i] += buffers->from[i];
}

static void run_step(const mr_module_chain *chain, size_t index, const mr_module_buffers *buffers)
{
    const mr_sentence_module *module = &chain->config->modules[index];
    const chain_step *step = &chain->steps[index];
    if (module->kind == MR_SENTENCE_NORMALIZE) {
        chain->kernels->l2_normalize_f32(buffers->from, buffers->to, module->inputs);
    } else if (module->kind == MR_SENTENCE_LAYER_NORM) {
        chain->kernels->layer_norm_f32(&step->norm, buffers->from, module->inputs, NULL, 0, buffers->to, module->outputs, 1);
    } else {
        run_dense(module, step, buffers);
    }
}

void mr_module_chain_run(const mr_module_chain *chain, const mr_module_buffers *buffers, const float *hidden, size_t tokens, size_t prompt_tokens,
                         float *vector, float *pooled)
{
    const mr_sentence_config *config = chain->config;
    size_t width = config->hidden_size, first = config->include_prompt ? 0 : prompt_tokens;
    mr_module_buffers now = *buffers;
    for (size_t i = 0; i < config->pooling_count; i++)
        chain->kernels->pool_f32(config->poolings[i], hidden, width, tokens, first, width, now.from + i * width);
    if (pooled) memcpy(pooled, now.from, width * config->pooling_count * sizeof *pooled);
    for (size_t i = 0; i < config->module_count; i++) {
        run_step(chain, i, &now);
        float *done = now.to;
        now.to = now.from;
        now.from = done;
    }
    if (config->normalize_at_end) chain->kernels->l2_normalize_f32(now.from, now.from, config->dimension);
    memcpy(vector, now.from, config->dimension * sizeof *vector);
}
