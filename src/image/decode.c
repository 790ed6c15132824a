#include "image/decode.h"

#include <string.h>

#include "image/decoders.h"

/* How a format's files begin. Those without a decoder are there to be named. */
typedef struct format {
    const char *name;
    size_t at;
    const char *magic;
    size_t length;
    mr_decoder *decode;
} format;

#define MAGIC(text) text, sizeof text - 1

static const format formats[] = {
    {"JPEG", 0, MAGIC("\xff\xd8\xff"), mr_decode_jpeg},
    {"PNG", 0, MAGIC("\x89PNG\r\n\x1a\n"), mr_decode_png},
    {"WebP", 8, MAGIC("WEBP"), mr_decode_webp},
    {"GIF", 0, MAGIC("GIF87a"), mr_decode_gif},
    {"GIF", 0, MAGIC("GIF89a"), mr_decode_gif},
    {"BMP", 0, MAGIC("BM"), mr_decode_bmp},
    {"TIFF", 0, MAGIC("II*\0"), NULL},
    {"TIFF", 0, MAGIC("MM\0*"), NULL},
    {"AVIF", 4, MAGIC("ftypavi"), NULL},
    {"HEIC", 4, MAGIC("ftyphei"), NULL},
    {"HEIC", 4, MAGIC("ftyphev"), NULL},
    {"HEIF", 4, MAGIC("ftypmif1"), NULL},
    {"HEIF", 4, MAGIC("ftypmsf1"), NULL},
    {"JPEG XL", 0, MAGIC("\xff\x0a"), NULL},
    {"JPEG XL", 4, MAGIC("JXL "), NULL},
    {"JPEG 2000", 4, MAGIC("jP  "), NULL},
    {"PDF", 0, MAGIC("%PDF"), NULL},
    {"SVG", 0, MAGIC("<svg"), NULL},
    {"XML", 0, MAGIC("<?xml"), NULL},
    {"HTML", 0, MAGIC("<!DOCTYPE"), NULL},
};

static const format *recognise(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const format *f = &formats[i];
        if (size >= f->at + f->length && memcmp(data + f->at, f->magic, f->length) == 0) return f;
    }
    return NULL;
}

mr_status mr_decode_check_size(const char *name, uint64_t width, uint64_t height, const mr_decode_limits *limits, mr_error *error)
{
    if (width == 0 || height == 0) return mr_error_set(error, MR_BAD_RECORD, "%s without pixels", name);
    if (width > limits->max_pixels / height) {
        return mr_error_set(error, MR_BAD_RECORD, "%s of %llu x %llu pixels: more than %llu", name, (unsigned long long)width,
                            (unsigned long long)height, (unsigned long long)limits->max_pixels);
    }
    return MR_OK;
}

mr_status mr_image_decode(const uint8_t *data, size_t size, const mr_decode_options *options, mr_bitmap *out, mr_error *error)
{
    const format *f = recognise(data, size);
    if (size == 0) return mr_error_set(error, MR_BAD_RECORD, "empty image file");
    if (f == NULL) return mr_error_set(error, MR_BAD_RECORD, "not an image: JPEG, PNG, WebP, GIF and BMP are read");
    if (f->decode == NULL) return mr_error_set(error, MR_BAD_RECORD, "%s is not read: convert it to JPEG, PNG or WebP", f->name);

    const mr_decode_limits limits = {options->max_pixels > 0 ? options->max_pixels : MR_DECODE_MAX_PIXELS, options->alpha_on_white,
                                     options->shrink_to};
    mr_bitmap bitmap = {0};
    int orientation = 1;
    mr_status status = f->decode(data, size, &limits, &bitmap, &orientation, error);
    if (status == MR_OK && orientation != 1 && !options->keep_orientation) status = mr_bitmap_orient(&bitmap, orientation, error);
    if (status != MR_OK) {
        mr_bitmap_free(&bitmap);
        return status;
    }
    *out = bitmap;
    return MR_OK;
}
