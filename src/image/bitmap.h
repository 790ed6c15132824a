/* A decoded image: RGB, 8 bit, interleaved, rows top to bottom, no padding. */
#ifndef MR_IMAGE_BITMAP_H
#define MR_IMAGE_BITMAP_H

#include "core/error.h"

typedef struct mr_bitmap {
    uint8_t *pixels; /* [height, width, 3], owned; a few bytes behind them are readable, as resizing wants it */
    size_t width;
    size_t height;
    size_t full_width; /* of the image this is a smaller decoding of (mr_decode_options.shrink_to); else the same */
    size_t full_height;
} mr_bitmap;

/* Uninitialised pixels. width and height >= 1. OUT_OF_MEMORY */
mr_status mr_bitmap_alloc(size_t width, size_t height, mr_bitmap *out, mr_error *error);
void mr_bitmap_free(mr_bitmap *bitmap); /* zeroes it; fine on a zeroed one */

#endif
