/* From a decoded image to the pixels a model sees: resize, centre crop, and the numbers that stand for 0 .. 255.
 * As transformers' CLIPImageProcessor (with Pillow) does it, from preprocessor_config.json. */
#ifndef MR_IMAGE_PROCESSOR_H
#define MR_IMAGE_PROCESSOR_H

#include "image/resize.h"

typedef struct mr_image_processor {
    size_t shortest_edge;               /* the shorter side becomes this long; 0: resized to width x height instead */
    size_t resize_width, resize_height; /* 0: not resized */
    size_t width, height;               /* of every result */
    mr_resample_filter filter;
    bool always_horizontal_first;       /* as Pillow up to 12.1 (resize.h) */
    float values[3][256];               /* what the model gets for a pixel's red, green and blue */
} mr_image_processor;

/* From a model directory's preprocessor_config.json. MODEL_FILES_MISSING, MODEL_CORRUPT, MODEL_UNSUPPORTED naming the key. */
mr_status mr_image_processor_read(const char *directory, mr_image_processor *out, mr_error *error);

/* The shorter side that an image is resized to: one decoded smaller than that has lost detail. */
size_t mr_image_processor_shortest(const mr_image_processor *processor);

/* `out` [height, width, 3]. BAD_RECORD for an image that cannot be resized so; OUT_OF_MEMORY. */
mr_status mr_image_processor_run(const mr_image_processor *processor, const mr_bitmap *image, uint8_t *out, mr_error *error);

#endif
