/* Pixels as they travel between stages and models: RGB, 8 bit, interleaved, rows top to bottom, no padding. */
#ifndef MR_CAPABILITY_IMAGE_H
#define MR_CAPABILITY_IMAGE_H

#include "core/error.h"

typedef struct mr_image {
    const uint8_t *pixels; /* [height, width, 3]; borrowed until run_batch returns */
    size_t width;          /* >= 1 */
    size_t height;         /* >= 1 */
} mr_image;

/* Caller storage for a result of exactly this size. */
typedef struct mr_image_out {
    uint8_t *pixels; /* [height, width, 3] */
    size_t width;
    size_t height;
} mr_image_out;

#endif
