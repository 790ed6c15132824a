/* The packed linear layers of one model: one block, in the order in which they are opened.
 *
 * Packing turns weights into what the kernels read; the result depends on nothing but the weights, the layers asked for, the
 * format and the kernels, so it is kept in the cache under all of these, and the next process copies or maps it instead. */
#ifndef MR_NN_PACKED_IMAGE_H
#define MR_NN_PACKED_IMAGE_H

#include "core/cache.h"
#include "kernels/kernels.h"
#include "weights/checkpoint.h"

typedef struct mr_packed_image {
    unsigned char *data; /* [bytes] */
    size_t bytes;
    size_t used;         /* what mr_packed_image_take gave out */
    bool is_packed;      /* the layers are in it already; take it for read-only */
    const mr_checkpoint *checkpoint; /* borrowed */
    const mr_cache *cache;           /* borrowed */
    char *key;           /* under which it is to be kept; NULL: not at all */
    void *block;
    mr_cache_entry entry;
} mr_packed_image;

/* `recipe` says which layers are packed, from which tensors, in which order: one line for each. cache NULL: always packed anew. */
mr_status mr_packed_image_open(const mr_checkpoint *checkpoint, const mr_cache *cache, mr_linear_format format, const char *recipe, size_t bytes,
                               mr_packed_image *out, mr_error *error);
/* The next `bytes`, a multiple of 64; NULL when there are not so many. */
void *mr_packed_image_take(mr_packed_image *image, size_t bytes);
/* All layers are packed: puts them into the cache, unless the files have changed meanwhile. */
void mr_packed_image_keep(mr_packed_image *image);
void mr_packed_image_close(mr_packed_image *image); /* zeroes it; fine on a zeroed one */

#endif
