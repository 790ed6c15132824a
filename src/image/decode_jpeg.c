/* libjpeg with all its defaults, as Pillow calls it; but for a source that ends where the data ends, so that a file cut off
 * is seen to be. */
#include <stdio.h>
#include <jerror.h>
#include <jpeglib.h>
#include <setjmp.h>
#include <string.h>

#include "image/decoders.h"

/* A progressive file can make a decoder go over all pixels once per scan of a few bytes. */
enum { MAX_SCANS = 500 };

typedef struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char text[JMSG_LENGTH_MAX];
} decoder;

static decoder *decoder_of(j_common_ptr jpeg) { return (decoder *)jpeg->client_data; }

static void fail(j_common_ptr jpeg)
{
    decoder *d = decoder_of(jpeg);
    jpeg->err->format_message(jpeg, d->text);
    longjmp(d->failed, 1);
}

static void stay_silent(j_common_ptr jpeg, int level)
{
    (void)jpeg, (void)level;
}

static void nothing(j_decompress_ptr jpeg) { (void)jpeg; }

static boolean no_more(j_decompress_ptr jpeg)
{
    (void)jpeg;
    return FALSE;
}

static void skip(j_decompress_ptr jpeg, long bytes)
{
    if (bytes <= 0) return;
    struct jpeg_source_mgr *source = jpeg->src;
    const size_t step = (size_t)bytes < source->bytes_in_buffer ? (size_t)bytes : source->bytes_in_buffer;
    source->next_input_byte += step;
    source->bytes_in_buffer -= step;
}

static void count_scans(j_common_ptr jpeg)
{
    if (((j_decompress_ptr)jpeg)->input_scan_number <= MAX_SCANS) return;
    snprintf(decoder_of(jpeg)->text, JMSG_LENGTH_MAX, "more than %d scans", MAX_SCANS);
    longjmp(decoder_of(jpeg)->failed, 1);
}

static void start(decoder *d, const uint8_t *data, size_t size)
{
    d->jpeg.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = fail;
    d->errors.emit_message = stay_silent;
    d->jpeg.client_data = d;
    jpeg_create_decompress(&d->jpeg);
    d->source = (struct jpeg_source_mgr){data, size, nothing, no_more, skip, jpeg_resync_to_restart, nothing};
    d->jpeg.src = &d->source;
    d->progress.progress_monitor = count_scans;
    d->jpeg.progress = &d->progress;
    jpeg_save_markers(&d->jpeg, JPEG_APP0 + 1, 0xffff);
}

static int read_orientation(const struct jpeg_decompress_struct *jpeg)
{
    static const char exif[6] = "Exif\0"; /* and one more 0 */
    for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker != NULL; marker = marker->next) {
        if (marker->data_length < sizeof exif || memcmp(marker->data, exif, sizeof exif) != 0) continue;
        return mr_exif_orientation(marker->data + sizeof exif, marker->data_length - sizeof exif);
    }
    return 1;
}

/* a * b / 255, rounded. */
static int scale(int a, int b)
{
    const int product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

/* Adobe's files hold 255 less the ink, whether they say so or not. */
static void inks_to_rgb(const uint8_t *inks, uint8_t *rgb, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int light = inks[4 * i + 3];
        for (size_t c = 0; c < 3; c++) {
            const int value = light - scale(255 - inks[4 * i + c], light);
            rgb[3 * i + c] = (uint8_t)(value < 0 ? 0 : value);
        }
    }
}

static void gray_to_rgb(const uint8_t *gray, uint8_t *rgb, size_t n)
{
    for (size_t i = 0; i < n; i++) memset(rgb + 3 * i, gray[i], 3);
}

static mr_status truncated(mr_error *error) { return mr_error_set(error, MR_BAD_RECORD, "JPEG: the file is cut off"); }

/* `line` is room for one row of 4 bytes a pixel. */
static mr_status read_rows(struct jpeg_decompress_struct *jpeg, const mr_bitmap *out, uint8_t *line, mr_error *error)
{
    const size_t width = out->width;
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *row = out->pixels + 3 * width * jpeg->output_scanline;
        JSAMPROW target = jpeg->out_color_space == JCS_RGB ? row : line;
        if (jpeg_read_scanlines(jpeg, &target, 1) != 1) return truncated(error);
        if (jpeg->out_color_space == JCS_CMYK) inks_to_rgb(line, row, width);
        if (jpeg->out_color_space == JCS_GRAYSCALE) gray_to_rgb(line, row, width);
    }
    return MR_OK;
}

/* By how much the image may be decoded smaller; libjpeg knows 1/2, 1/4 and 1/8. */
static unsigned shrinking(const struct jpeg_decompress_struct *jpeg, size_t shrink_to)
{
    const size_t shorter = jpeg->image_width < jpeg->image_height ? jpeg->image_width : jpeg->image_height;
    unsigned by = 1;
    while (shrink_to > 0 && by < 8 && shorter / (2 * by) >= shrink_to) by *= 2;
    return by;
}

static mr_status decode(decoder *d, const mr_decode_limits *limits, mr_bitmap *out, int *orientation, mr_error *error)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    if (jpeg_read_header(jpeg, TRUE) != JPEG_HEADER_OK) return truncated(error);
    MR_TRY(mr_decode_check_size("JPEG", jpeg->image_width, jpeg->image_height, limits, error));
    switch (jpeg->num_components) {
    case 1: jpeg->out_color_space = JCS_GRAYSCALE; break;
    case 3: jpeg->out_color_space = JCS_RGB; break;
    case 4: jpeg->out_color_space = JCS_CMYK; break;
    default: return mr_error_set(error, MR_BAD_RECORD, "JPEG with %d components", jpeg->num_components);
    }
    jpeg->scale_denom = shrinking(jpeg, limits->shrink_to);
    *orientation = read_orientation(jpeg);
    if (!jpeg_start_decompress(jpeg)) return truncated(error);
    MR_TRY(mr_bitmap_alloc(jpeg->output_width, jpeg->output_height, out, error));
    out->full_width = jpeg->image_width;
    out->full_height = jpeg->image_height;
    uint8_t *line = jpeg->mem->alloc_large((j_common_ptr)jpeg, JPOOL_IMAGE, 4 * (size_t)jpeg->output_width);
    MR_TRY(read_rows(jpeg, out, line, error));
    return jpeg_finish_decompress(jpeg) ? MR_OK : truncated(error);
}

static mr_status guarded(decoder *d, const uint8_t *data, size_t size, const mr_decode_limits *limits, mr_bitmap *out,
                         int *orientation, mr_error *error)
{
    if (setjmp(d->failed) != 0) return mr_error_set(error, MR_BAD_RECORD, "JPEG: %s", d->text);
    start(d, data, size);
    return decode(d, limits, out, orientation, error);
}

mr_status mr_decode_jpeg(const uint8_t *data, size_t size, const mr_decode_limits *limits, mr_bitmap *out, int *orientation,
                         mr_error *error)
{
    decoder d = {0};
    const mr_status status = guarded(&d, data, size, limits, out, orientation, error);
    jpeg_destroy_decompress(&d.jpeg);
    return status;
}
