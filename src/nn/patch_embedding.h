/* Images -> token rows: a convolution whose stride is its kernel, so a linear layer on flattened patches, plus positions.
 *
 *   row of patch (r, c) = W [channel, y, x of the patch] + bias + position[r * columns + c],   and in front of them rows of their own */
#ifndef MR_NN_PATCH_EMBEDDING_H
#define MR_NN_PATCH_EMBEDDING_H

#include "kernels/kernels.h"
#include "nn/scratch.h"

/* Pixels as models take them. All borrowed. */
typedef struct mr_pixel_batch {
    const uint8_t *const *images; /* [count], each RGB [height, width, 3] */
    size_t count;
    const float (*values)[256];   /* [3][256]: what a pixel's red, green and blue mean to the model */
} mr_pixel_batch;

typedef struct mr_patch_embedding {
    size_t width;          /* of the images, pixels; what does not fill a patch at the right and the bottom is left out */
    size_t patch;          /* side, pixels */
    size_t rows, columns;  /* of patches */
    mr_linear linear;      /* k = 3 * patch * patch */
    size_t leading_rows;    /* in front of the patches: 1 with a class token */
    const float *leading;   /* [leading_rows, hidden], positions added already */
    const float *positions; /* [rows * columns, hidden] */
} mr_patch_embedding;

typedef struct mr_patch_buffers {
    float **patches; /* [threads][panel, k] */
    void **linear;   /* [threads] */
} mr_patch_buffers;

/* Rows of x that an image takes. */
size_t mr_patch_embedding_tokens(const mr_patch_embedding *embedding);

void mr_patch_embedding_lay_out(const mr_patch_embedding *embedding, size_t threads, mr_scratch *scratch, mr_patch_buffers *out);

/* x [batch->count * tokens, hidden]. */
void mr_patch_embedding_run(const mr_patch_embedding *embedding, const mr_pixel_batch *batch, const mr_patch_buffers *buffers, size_t threads,
                            float *x);

#endif
