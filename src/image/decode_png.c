#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "image/decoders.h"

typedef struct decoder {
    png_structp png;
    png_infop info;
    const uint8_t *data; /* what is left */
    size_t size;
    void *raw; /* decoded rows that are not RGB yet, and pointers to rows */
    png_bytepp rows;
    jmp_buf failed;
    char text[128];
} decoder;

static void fail(png_structp png, png_const_charp text)
{
    decoder *d = png_get_error_ptr(png);
    snprintf(d->text, sizeof d->text, "%s", text);
    longjmp(d->failed, 1);
}

static void stay_silent(png_structp png, png_const_charp text)
{
    (void)png, (void)text;
}

static void read_data(png_structp png, png_bytep out, size_t length)
{
    decoder *d = png_get_io_ptr(png);
    if (length > d->size) png_error(png, "the file is cut off");
    memcpy(out, d->data, length);
    d->data += length;
    d->size -= length;
}

static mr_status start(decoder *d, mr_error *error)
{
    d->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, fail, stay_silent);
    d->info = d->png != NULL ? png_create_info_struct(d->png) : NULL;
    if (d->info == NULL) return mr_error_set(error, MR_OUT_OF_MEMORY, "reading a PNG");
    png_set_read_fn(d->png, d, read_data);
    /* Texts, profiles and gamma are not looked at: they cost time, and a damaged one is no reason to refuse. */
    png_set_keep_unknown_chunks(d->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(d->png, PNG_HANDLE_CHUNK_AS_DEFAULT, (png_const_bytep)"tRNS", 1);
    /* Read as one that libpng does not know: of those alone it takes no more memory than it is allowed before it sees that the file ends. */
    png_set_keep_unknown_chunks(d->png, PNG_HANDLE_CHUNK_ALWAYS, (png_const_bytep)"eXIf", 1);
    png_set_chunk_malloc_max(d->png, d->size);
    return MR_OK;
}

static void read_orientation(const decoder *d, int *orientation)
{
    png_unknown_chunkp chunks = NULL;
    const int count = png_get_unknown_chunks(d->png, d->info, &chunks);
    if (count > 0) *orientation = mr_exif_orientation(chunks[0].data, chunks[0].size);
}

/* 16-bit gray saturates at 255: the reference clips where one would expect the high byte. */
static void gray16_to_rgb(const uint8_t *gray, uint8_t *rgb, size_t n)
{
    for (size_t i = 0; i < n; i++) memset(rgb + 3 * i, gray[2 * i] > 0 ? 255 : gray[2 * i + 1], 3);
}

/* What libpng makes of its rows: RGB, or what `convert` turns into it. */
typedef void row_converter(const uint8_t *from, uint8_t *rgb, size_t n);

static row_converter *set_transformations(decoder *d, bool alpha_on_white)
{
    const int color = png_get_color_type(d->png, d->info);
    if (color == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(d->png, d->info) == 16) return gray16_to_rgb;

    const bool has_key = png_get_valid(d->png, d->info, PNG_INFO_tRNS) != 0 && color != PNG_COLOR_TYPE_GRAY;
    png_set_strip_16(d->png);
    if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(d->png);
    if (color == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(d->png);
    if ((color & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(d->png);
    if (alpha_on_white && ((color & PNG_COLOR_MASK_ALPHA) != 0 || has_key)) {
        if (has_key) png_set_tRNS_to_alpha(d->png);
        return mr_paint_on_white;
    }
    png_set_strip_alpha(d->png);
    return NULL;
}

/* The reference compares a gray image's key with the 8-bit pixels it has made, whatever the file's depth. -1 without a key. */
static int gray_key(const decoder *d)
{
    png_color_16p key = NULL;
    if (png_get_color_type(d->png, d->info) != PNG_COLOR_TYPE_GRAY) return -1;
    return png_get_tRNS(d->png, d->info, NULL, NULL, &key) != 0 ? key->gray & 0xff : -1;
}

static void paint_key_on_white(int key, const mr_bitmap *out)
{
    for (size_t i = 0; i < out->width * out->height; i++) {
        if (out->pixels[3 * i] == key) memset(out->pixels + 3 * i, 255, 3);
    }
}

static mr_status read_pixels(decoder *d, row_converter *convert, const mr_bitmap *out, mr_error *error)
{
    const size_t stride = convert != NULL ? png_get_rowbytes(d->png, d->info) : 3 * out->width;
    d->raw = convert != NULL ? mr_mem_alloc_array(out->height, stride, MR_MEM_RECORDS) : NULL;
    d->rows = mr_mem_alloc_array(out->height, sizeof *d->rows, MR_MEM_RECORDS);
    if (d->rows == NULL || (convert != NULL && d->raw == NULL)) {
        return mr_error_set(error, MR_OUT_OF_MEMORY, "a PNG of %zu x %zu pixels", out->width, out->height);
    }
    uint8_t *pixels = convert != NULL ? d->raw : out->pixels;
    for (size_t y = 0; y < out->height; y++) d->rows[y] = pixels + y * stride;
    png_read_image(d->png, d->rows);
    png_set_benign_errors(d->png, 0); /* a wrong checksum of the whole is no small thing */
    png_read_end(d->png, d->info);
    for (size_t y = 0; convert != NULL && y < out->height; y++) convert(d->rows[y], out->pixels + 3 * out->width * y, out->width);
    return MR_OK;
}

static mr_status decode(decoder *d, const mr_decode_limits *limits, mr_bitmap *out, int *orientation, mr_error *error)
{
    if (setjmp(d->failed) != 0) return mr_error_set(error, MR_BAD_RECORD, "PNG: %s", d->text);
    MR_TRY(start(d, error));
    png_read_info(d->png, d->info);
    const size_t width = png_get_image_width(d->png, d->info), height = png_get_image_height(d->png, d->info);
    MR_TRY(mr_decode_check_size("PNG", width, height, limits, error));
    const int key = limits->alpha_on_white ? gray_key(d) : -1;
    row_converter *convert = set_transformations(d, limits->alpha_on_white);
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    MR_TRY(mr_bitmap_alloc(width, height, out, error));
    MR_TRY(read_pixels(d, convert, out, error));
    if (key >= 0) paint_key_on_white(key, out);
    read_orientation(d, orientation);
    return MR_OK;
}

mr_status mr_decode_png(const uint8_t *data, size_t size, const mr_decode_limits *limits, mr_bitmap *out, int *orientation,
                        mr_error *error)
{
    decoder d = {.data = data, .size = size};
    const mr_status status = decode(&d, limits, out, orientation, error);
    png_destroy_read_struct(&d.png, &d.info, NULL);
    mr_mem_free(d.raw);
    mr_mem_free(d.rows);
    return status;
}
