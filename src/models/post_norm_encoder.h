/* The BERT family: embeddings added up and normalised, then a post-norm stack (nn/post_norm.h). An architecture's file says what the
 * tensors are called and what config.json means; opening and running them is the same for all. */
#ifndef MR_MODELS_POST_NORM_ENCODER_H
#define MR_MODELS_POST_NORM_ENCODER_H

#include "models/encoder.h"
#include "models/layer_tensors.h"

typedef struct mr_post_norm_names {
    const char *words, *types, *positions; /* tables of H columns */
    const char *embedding_norm;            /* a LayerNorm with bias */
    const char *layers;                    /* layer N's names start with <layers>.N. */
    mr_layer_names layer;
} mr_post_norm_names;

typedef struct mr_post_norm_shape {
    mr_transformer_sizes sizes;
    size_t token_types; /* rows of their table, row 0 of which is added to every token; 0: no table */
    size_t positions;   /* rows of the table of positions; 0: no table */
    /* Positions count from the padding id p: a token has p + (number of tokens up to it whose id is not p), one with id p itself has p. */
    bool counts_from_padding;
    size_t padding;
    bool rms_norm; /* for LayerNorm in the layers */
} mr_post_norm_shape;

typedef struct mr_post_norm_encoder {
    mr_post_norm_shape shape;
    const mr_tensor *words, *types, *positions; /* the last two may be NULL */
    mr_norm embedding_norm;
    mr_post_norm_stack stack;
    mr_post_norm_layer *layers;
} mr_post_norm_encoder;

/* Takes all tensors; the attention is plain: what else it has (rope, alibi, ...) is the caller's to set in (*out)->stack. */
mr_status mr_post_norm_encoder_open(mr_params *params, const mr_post_norm_names *names, const mr_post_norm_shape *shape, mr_post_norm_encoder **out,
                                    mr_error *error);

/* mr_encoder_architecture.forward of an mr_post_norm_encoder. */
void mr_post_norm_encoder_forward(const void *encoder, const mr_token_batch *batch, size_t threads, mr_scratch *scratch, float *hidden,
                                  const mr_layer_trace *trace);

/* What BERT's descendants kept of it: names, sizes where config.json says none, keys. encoder_bert.c */
extern const mr_post_norm_names mr_bert_names;
extern const mr_transformer_sizes mr_bert_sizes;
mr_status mr_bert_read_config(const json_t *config, const char *where, mr_post_norm_shape *out, mr_error *error);

#endif
