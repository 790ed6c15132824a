/* Encoders: token ids -> one vector per token (the "last hidden state"). One file encoder_<name>.c per architecture, each
 * defining `const mr_encoder_architecture mr_encoder_<name>`; the build makes the table of all of them from the file names. */
#ifndef MR_MODELS_ENCODER_H
#define MR_MODELS_ENCODER_H

#include <jansson.h>

#include "nn/params.h"
#include "nn/post_norm.h"
#include "nn/scratch.h"
#include "nn/token_batch.h"

/* Text towers of models that embed images too make a vector of a text without a modules.json: the last row of what counts, projected,
 * of length 1. */
typedef struct mr_text_tower {
    const char *projection; /* <projection>.weight [outputs, hidden_size]; NULL: this encoder is no such tower */
    size_t outputs;
    bool has_bias;
    /* A text ends with its first token that is the end: the one with this id, or (-1) the largest id of all. */
    int32_t end_id;
    bool has_end;
    /* Or it is filled up with this token to this length; 0: it is not. */
    size_t padded_length;
    int32_t padding_id;
} mr_text_tower;

/* What config.json alone says. */
typedef struct mr_encoder_limits {
    size_t hidden_size;
    size_t vocab_size;
    size_t max_tokens; /* longest sequence the weights have positions for; 0 = any */
    mr_text_tower tower;
} mr_encoder_limits;

typedef struct mr_encoder_architecture {
    const char *name;
    bool (*matches)(const json_t *config);
    /* MODEL_CORRUPT or MODEL_UNSUPPORTED, naming `where` and the key. */
    mr_status (*limits)(const json_t *config, const char *where, mr_encoder_limits *out, mr_error *error);
    /* Checks and takes every tensor. *model lives in `params`; it holds sizes only when params measure. */
    mr_status (*open)(const json_t *config, const char *where, mr_params *params, void **model, mr_error *error);
    /* One pass: takes its buffers from `scratch` and writes hidden [batch->tokens, hidden_size]. With scratch->arena NULL it
     * only counts what it would take, and only batch->tokens and ->count are read. The batch is checked before. */
    void (*forward)(const void *model, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                    const mr_layer_trace *trace);
} mr_encoder_architecture;

/* NULL-terminated, by name. */
extern const mr_encoder_architecture *const mr_encoder_architectures[];

typedef struct mr_encoder mr_encoder; /* immutable once open */

/* Reads <directory>/config.json. MODEL_FILES_MISSING, MODEL_CORRUPT, MODEL_UNSUPPORTED naming what is known. */
mr_status mr_encoder_read_limits(const char *directory, mr_encoder_limits *out, mr_error *error);

/* Opens config.json and the weights of a directory. With options->measure only headers are read: then bytes and scratch can be
 * asked for, forward not. */
mr_status mr_encoder_open(const char *directory, const mr_params_options *options, mr_encoder **out, mr_error *error);
void mr_encoder_close(mr_encoder *encoder);

size_t mr_encoder_bytes(const mr_encoder *encoder); /* weights, shared by all workers */
void mr_encoder_work(const mr_encoder *encoder, mr_work *out);

/* Arena capacity for one forward pass of at most `tokens` tokens. */
size_t mr_encoder_scratch_bytes(const mr_encoder *encoder, size_t tokens, size_t threads);

/* hidden [batch->tokens, hidden_size], caller's memory. Everything else comes from `scratch`'s arena and is the caller's to
 * release. INVALID_ARGUMENT for an id outside the vocabulary or a sequence that is empty or too long, MEMORY_EXHAUSTED when the
 * arena is too small. trace may be NULL. */
mr_status mr_encoder_forward(const mr_encoder *encoder, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                             const mr_layer_trace *trace, mr_error *error);

#endif
