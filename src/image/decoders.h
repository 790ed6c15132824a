/* One decoder per format; decode.c chooses. */
#ifndef MR_IMAGE_DECODERS_H
#define MR_IMAGE_DECODERS_H

#include "image/decode.h"

/* Options with defaults filled in. */
typedef struct mr_decode_limits {
    uint64_t max_pixels;
    bool alpha_on_white;
    size_t shrink_to;
} mr_decode_limits;

/* `out` comes zeroed; on failure it may hold a bitmap, which the caller frees. `orientation`: EXIF's 1 .. 8, or 1 where the
 * file says nothing. */
typedef mr_status mr_decoder(const uint8_t *data, size_t size, const mr_decode_limits *limits, mr_bitmap *out, int *orientation,
                             mr_error *error);

mr_decoder mr_decode_jpeg;
mr_decoder mr_decode_png;
mr_decoder mr_decode_webp;
mr_decoder mr_decode_gif;
mr_decoder mr_decode_bmp;

/* BAD_RECORD for sizes of 0 or beyond the limit. */
mr_status mr_decode_check_size(const char *format, uint64_t width, uint64_t height, const mr_decode_limits *limits, mr_error *error);

/* EXIF's orientation from a TIFF block ("II*\0..." or "MM\0*..."); 1 where it has none or is malformed. */
int mr_exif_orientation(const uint8_t *data, size_t size);

/* n pixels: RGBA painted on white, as Pillow rounds it. `rgb` may be `rgba`. */
void mr_paint_on_white(const uint8_t *rgba, uint8_t *rgb, size_t n);
/* n pixels: RGBA without its A. `rgb` may be `rgba`. */
void mr_drop_alpha(const uint8_t *rgba, uint8_t *rgb, size_t n);

/* Turns the image upright: orientation 2 .. 8. */
mr_status mr_bitmap_orient(mr_bitmap *bitmap, int orientation, mr_error *error);

#endif
