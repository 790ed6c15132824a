#include "image/processor.h"

#include <string.h>

/* One axis of a centre crop: the part of an image that is seen, and where it lies in the result. */
typedef struct crop {
    size_t from, length, at;
} crop;

/* A short image lies in the middle of the result; the odd pixel is in front of it. */
static crop crop_centre(size_t size, size_t wanted)
{
    if (size >= wanted) return (crop){(size - wanted) / 2, wanted, 0};
    return (crop){0, size, (wanted - size + 1) / 2};
}

/* `edge` times the ratio of the sides, as the reference rounds it: the product in integers, the quotient in double. */
static size_t scale_edge(size_t edge, size_t longer, size_t shorter)
{
    return (size_t)((double)(edge * longer) / (double)shorter);
}

static mr_resize resized(const mr_image_processor *p, const mr_bitmap *image)
{
    const size_t w = image->width, h = image->height, edge = p->shortest_edge;
    mr_resize resize = {w, h, p->filter, p->always_horizontal_first};
    if (edge > 0) {
        resize.width = w <= h ? edge : scale_edge(edge, w, h);
        resize.height = w <= h ? scale_edge(edge, h, w) : edge;
    } else if (p->resize_width > 0) {
        resize.width = p->resize_width;
        resize.height = p->resize_height;
    }
    return resize;
}

size_t mr_image_processor_shortest(const mr_image_processor *p)
{
    if (p->shortest_edge > 0) return p->shortest_edge;
    const size_t width = p->resize_width > 0 ? p->resize_width : p->width, height = p->resize_height > 0 ? p->resize_height : p->height;
    return width > height ? width : height; /* stretched: the longer one decides */
}

mr_status mr_image_processor_run(const mr_image_processor *p, const mr_bitmap *image, uint8_t *out, mr_error *error)
{
    const mr_resize resize = resized(p, image);
    const crop across = crop_centre(resize.width, p->width), down = crop_centre(resize.height, p->height);
    const mr_window window = {across.from, down.from, across.length, down.length};
    const size_t ld = 3 * p->width;
    if (across.length < p->width || down.length < p->height) memset(out, 0, p->height * ld);
    return mr_bitmap_resize(image, &resize, &window, out + down.at * ld + 3 * across.at, ld, error);
}
