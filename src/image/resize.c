#include "image/resize.h"

#include <string.h>

#include "core/mem.h"
#include "image/resize_axis.h"
#include "kernels/kernels.h"

/* Interleaved RGB rows in somebody's memory. */
typedef struct view {
    const uint8_t *pixels;
    size_t ld; /* bytes from row to row */
} view;

static void copy_rows(view from, size_t bytes, size_t rows, uint8_t *out, size_t ld)
{
    for (size_t r = 0; r < rows; r++) memcpy(out + r * ld, from.pixels + r * from.ld, bytes);
}

/* Where sample i of a resized axis comes from; the position is summed up as the reference does. */
static void nearest_inputs(size_t in, size_t out, size_t offset, size_t count, size_t *inputs)
{
    const double scale = (double)(float)in / (double)out;
    double at = scale * 0.5;
    for (size_t i = 0; i < offset + count; i++, at += scale) {
        if (i >= offset) inputs[i - offset] = at < (double)in ? (size_t)at : in - 1;
    }
}

static mr_status resize_nearest(const mr_bitmap *image, const mr_resize *resize, const mr_window *window, uint8_t *out, size_t ld,
                                mr_error *error)
{
    size_t *xs = mr_mem_alloc_array(window->width + window->height, sizeof *xs, MR_MEM_RECORDS);
    if (xs == NULL) return mr_error_set(error, MR_OUT_OF_MEMORY, "resizing to %zu x %zu", window->width, window->height);
    size_t *ys = xs + window->width;
    nearest_inputs(image->width, resize->width, window->left, window->width, xs);
    nearest_inputs(image->height, resize->height, window->top, window->height, ys);
    for (size_t y = 0; y < window->height; y++) {
        for (size_t x = 0; x < window->width; x++) memcpy(out + y * ld + 3 * x, image->pixels + 3 * (ys[y] * image->width + xs[x]), 3);
    }
    mr_mem_free(xs);
    return MR_OK;
}

/* Rounded to bytes between the passes, as the reference does: so the order of the passes matters. */
static mr_status rows_then_columns(const mr_bitmap *image, const mr_resize_axis *across, const mr_resize_axis *down, uint8_t *out,
                                   size_t ld, mr_error *error)
{
    mr_bitmap between = {0};
    const size_t rows = down->to - down->from;
    MR_TRY(mr_bitmap_alloc(across->taps.count, rows, &between, error));
    const uint8_t *from = image->pixels + 3 * (down->from * image->width + across->from);
    const size_t width = across->taps.count * 3;
    mr_kernels_get()->resample_rows_u8(&across->taps, from, 3 * image->width, across->to - across->from, between.pixels, width, rows);
    mr_kernels_get()->resample_columns_u8(&down->taps, between.pixels, width, rows, out, ld, width);
    mr_bitmap_free(&between);
    return MR_OK;
}

static mr_status columns_then_rows(const mr_bitmap *image, const mr_resize_axis *across, const mr_resize_axis *down, uint8_t *out,
                                   size_t ld, mr_error *error)
{
    mr_bitmap between = {0};
    const size_t columns = across->to - across->from;
    MR_TRY(mr_bitmap_alloc(columns, down->taps.count, &between, error));
    const uint8_t *from = image->pixels + 3 * (down->from * image->width + across->from);
    mr_kernels_get()->resample_columns_u8(&down->taps, from, 3 * image->width, down->to - down->from, between.pixels, 3 * columns,
                                          3 * columns);
    mr_kernels_get()->resample_rows_u8(&across->taps, between.pixels, 3 * columns, columns, out, ld, down->taps.count);
    mr_bitmap_free(&between);
    return MR_OK;
}

/* Pillow 13.0 (PR 9549): H < h and h - H > 2 (w - W), signed. */
static bool is_vertical_first(const mr_bitmap *image, const mr_resize *resize)
{
    if (resize->always_horizontal_first || resize->height >= image->height) return false;
    return (int64_t)(image->height - resize->height) > 2 * ((int64_t)image->width - (int64_t)resize->width);
}

static mr_status resample(const mr_bitmap *image, const mr_resize *resize, const mr_resize_axis *across, const mr_resize_axis *down,
                          const mr_window *window, uint8_t *out, size_t ld, mr_error *error)
{
    const bool same_width = across->block == NULL, same_height = down->block == NULL;
    const size_t stride = 3 * image->width, bytes = 3 * window->width;
    const size_t left = same_width ? window->left : across->from, top = same_height ? window->top : down->from;
    const view from = {image->pixels + top * stride + 3 * left, stride};
    if (same_width && same_height) {
        copy_rows(from, bytes, window->height, out, ld);
    } else if (same_width) {
        mr_kernels_get()->resample_columns_u8(&down->taps, from.pixels, stride, down->to - down->from, out, ld, bytes);
    } else if (same_height) {
        mr_kernels_get()->resample_rows_u8(&across->taps, from.pixels, stride, across->to - across->from, out, ld, window->height);
    } else if (is_vertical_first(image, resize)) {
        return columns_then_rows(image, across, down, out, ld, error);
    } else {
        return rows_then_columns(image, across, down, out, ld, error);
    }
    return MR_OK;
}

mr_status mr_bitmap_resize(const mr_bitmap *image, const mr_resize *resize, const mr_window *window, uint8_t *out, size_t ld,
                           mr_error *error)
{
    if (resize->filter == MR_RESAMPLE_NEAREST) return resize_nearest(image, resize, window, out, ld, error);

    mr_resize_axis across = {0}, down = {0}; /* without a block: this size stays */
    mr_status status = MR_OK;
    if (resize->width != image->width) {
        MR_TRY_OR(status, mr_resize_axis_create(image->width, resize->width, resize->filter, window->left, window->width, &across, error),
                  done);
    }
    if (resize->height != image->height) {
        MR_TRY_OR(status, mr_resize_axis_create(image->height, resize->height, resize->filter, window->top, window->height, &down, error),
                  done);
    }
    status = resample(image, resize, &across, &down, window, out, ld, error);
done:
    mr_resize_axis_free(&across);
    mr_resize_axis_free(&down);
    return status;
}
