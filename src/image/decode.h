/* JPEG, PNG, WebP, GIF and BMP files in memory -> RGB, with the pixels Pillow gives (open, exif_transpose, convert "RGB").
 *
 * The first frame of an animation. Colour profiles and gamma are left aside. Gray images are replicated; palettes looked
 * up; 16-bit colour keeps the high byte; 16-bit gray saturates at 255 (as the reference does); CMYK as Adobe writes it.
 * Files that Pillow refuses are refused; of damaged ones that it accepts some are refused too, never decoded otherwise. */
#ifndef MR_IMAGE_DECODE_H
#define MR_IMAGE_DECODE_H

#include "image/bitmap.h"

typedef struct mr_decode_options {
    uint64_t max_pixels;   /* width * height; 0: MR_DECODE_MAX_PIXELS */
    bool alpha_on_white;   /* transparent pixels are painted on white; else transparency is dropped and the stored colours stay */
    bool keep_orientation; /* as stored; else turned upright as EXIF says */
    size_t shrink_to;      /* > 0: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side stays this long: faster,
                              other pixels */
} mr_decode_options;

#define MR_DECODE_MAX_PIXELS 178956970 /* where Pillow suspects a decompression bomb */

/* BAD_RECORD saying why: unsupported (naming the format), too large (before anything is allocated), truncated, corrupt.
 * OUT_OF_MEMORY. `out` is freed by the caller. */
mr_status mr_image_decode(const uint8_t *data, size_t size, const mr_decode_options *options, mr_bitmap *out, mr_error *error);

#endif
