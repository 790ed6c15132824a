/* The Llama family used as encoders: embeddings, a pre-norm stack (nn/pre_norm.h), a final norm. An architecture's file says what the
 * tensors are called and what config.json means; opening and running them is the same for all. */
#ifndef MR_MODELS_PRE_NORM_ENCODER_H
#define MR_MODELS_PRE_NORM_ENCODER_H

#include "models/encoder.h"
#include "models/layer_tensors.h"
#include "nn/pre_norm.h"

typedef struct mr_pre_norm_names {
    const char *words;          /* [V, H] */
    const char *embedding_norm; /* NULL: none; then layer 0 has its attention_norm */
    const char *final_norm;
    const char *layers;         /* layer N's names start with <layers>.N. */
    mr_layer_names layer;
} mr_pre_norm_names;

extern const mr_pre_norm_names mr_llama_names; /* encoder_qwen.c: those of Llama, Mistral and Qwen */

typedef struct mr_pre_norm_encoder {
    const mr_tensor *words;
    const mr_tensor *positions; /* table of absolute positions, added to the words; NULL: none. The caller's to set */
    float embedding_scale; /* 0 = 1 */
    mr_norm embedding_norm;
    mr_pre_norm_stack stack;
    mr_pre_norm_layer *layers;
} mr_pre_norm_encoder;

/* The tensors of one layer, in the params' scope. */
mr_status mr_pre_norm_layer_open(mr_params *params, const mr_layer_names *names, const mr_transformer_sizes *sizes, mr_pre_norm_layer *layer,
                                 mr_error *error);

/* Takes all tensors; attention is full, without rope: what else it is, is the caller's to set in out->stack and out->layers. */
mr_status mr_pre_norm_encoder_open(mr_params *params, const mr_pre_norm_names *names, const mr_transformer_sizes *sizes, bool rms_norm,
                                   mr_pre_norm_encoder *out, mr_error *error);

/* mr_encoder_architecture.forward of an mr_pre_norm_encoder. */
void mr_pre_norm_encoder_forward(const void *encoder, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                                 const mr_layer_trace *trace);

#endif
