/* The memory every transformer stack works in: one matrix of q, k, v and one of attention results for the whole batch, and per
 * thread what a row panel passes through. */
#ifndef MR_NN_LAYER_BUFFERS_H
#define MR_NN_LAYER_BUFFERS_H

#include "nn/ffn.h"
#include "nn/rope.h"
#include "nn/scratch.h"
#include "nn/self_attention.h"

#define MR_PANEL_ROWS ((size_t)MR_LINEAR_PANEL_ROWS)

typedef struct mr_layer_buffers {
    float *qkv;     /* [tokens, q + k + v] */
    float *context; /* [tokens, heads * head_dim] */
    size_t threads;
    float **wide;   /* [threads], each for one panel of the feed-forward part */
    float **narrow; /* [threads][panel, hidden] */
    void **linear;  /* [threads] scratch of linear layers */
    void **attention;
} mr_layer_buffers;

/* The layers all have the shapes of these three. */
void mr_layer_buffers_lay_out(const mr_linear *qkv, const mr_linear *out, const mr_ffn *ffn, size_t head_dim, size_t tokens, size_t threads,
                              mr_scratch *scratch, mr_layer_buffers *buffers);

/* A batch's rows in panels of at most MR_PANEL_ROWS, all about as high: each brings all weights into the core's caches again, which a
 * low one would hardly use. */
typedef struct mr_panel {
    size_t first, rows;
} mr_panel;

size_t mr_panel_count(size_t tokens);
mr_panel mr_panel_at(size_t tokens, size_t index);

/* For tests: called with x [tokens, hidden] before the first layer (k = 0) and after layer k. */
typedef struct mr_layer_trace {
    void (*layer)(void *context, size_t k, const float *x, size_t tokens, size_t hidden);
    void *context;
} mr_layer_trace;

#endif
