/* Pillow's Image.resize and crop, byte for byte (Pillow 13.0, libImaging/Resample.c). */
#ifndef MR_IMAGE_RESIZE_H
#define MR_IMAGE_RESIZE_H

#include "image/bitmap.h"

/* X(NAME, value, text): Pillow's numbers, as preprocessor_config.json has them. */
#define MR_RESAMPLE_FILTER_LIST(X) \
    X(NEAREST, 0, "nearest")       \
    X(LANCZOS, 1, "lanczos")       \
    X(BILINEAR, 2, "bilinear")     \
    X(BICUBIC, 3, "bicubic")       \
    X(BOX, 4, "box")               \
    X(HAMMING, 5, "hamming")

typedef enum mr_resample_filter {
#define MR_RESAMPLE_FILTER_ENUM(name, value, text) MR_RESAMPLE_##name = value,
    MR_RESAMPLE_FILTER_LIST(MR_RESAMPLE_FILTER_ENUM)
#undef MR_RESAMPLE_FILTER_ENUM
} mr_resample_filter;

/* A part of an image. */
typedef struct mr_window {
    size_t left;
    size_t top;
    size_t width;  /* >= 1 */
    size_t height; /* >= 1 */
} mr_window;

typedef struct mr_resize {
    size_t width; /* of the whole result, >= 1 */
    size_t height;
    mr_resample_filter filter;
    /* Pillow 12.1 and older never begin with the vertical pass; the results differ for tall images. */
    bool always_horizontal_first;
} mr_resize;

/* The part `window` of the resized image, into out [window->height, ld]: rows of window->width RGB pixels, ld bytes apart. Only
 * what the window needs is computed. BAD_RECORD for an image too long and thin to be squeezed so; OUT_OF_MEMORY. */
mr_status mr_bitmap_resize(const mr_bitmap *image, const mr_resize *resize, const mr_window *window, uint8_t *out, size_t ld,
                           mr_error *error);

#endif
