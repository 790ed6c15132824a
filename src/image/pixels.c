/* What happens to decoded pixels: transparency and orientation. */
#include <string.h>

#include "image/decoders.h"

static uint8_t on_white(uint8_t color, uint8_t alpha)
{
    const unsigned sum = (unsigned)color * alpha + 255u * (255u - alpha) + 128u;
    return (uint8_t)((sum + (sum >> 8)) >> 8);
}

void mr_paint_on_white(const uint8_t *rgba, uint8_t *rgb, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t alpha = rgba[4 * i + 3];
        for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = on_white(rgba[4 * i + c], alpha);
    }
}

void mr_drop_alpha(const uint8_t *rgba, uint8_t *rgb, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = rgba[4 * i + c];
    }
}

/* Where a result's pixel comes from, after EXIF 2.3's table of orientations: rows and columns exchanged or not, then
 * counted from the far end or not. */
typedef struct turn {
    bool transposed, from_right, from_bottom;
} turn;

static const turn turns[9] = {
    [2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true}, [5] = {true, false, false},
    [6] = {true, false, true},  [7] = {true, true, true},  [8] = {true, true, false},
};

mr_status mr_bitmap_orient(mr_bitmap *bitmap, int orientation, mr_error *error)
{
    const turn t = turns[orientation];
    const size_t width = bitmap->width, height = bitmap->height;
    mr_bitmap upright = {0};
    MR_TRY(mr_bitmap_alloc(t.transposed ? height : width, t.transposed ? width : height, &upright, error));
    for (size_t y = 0; y < upright.height; y++) {
        uint8_t *row = upright.pixels + 3 * y * upright.width;
        for (size_t x = 0; x < upright.width; x++) {
            const size_t column = t.transposed ? y : x, line = t.transposed ? x : y;
            const size_t from_x = t.from_right ? width - 1 - column : column, from_y = t.from_bottom ? height - 1 - line : line;
            memcpy(row + 3 * x, bitmap->pixels + 3 * (from_y * width + from_x), 3);
        }
    }
    upright.full_width = t.transposed ? bitmap->full_height : bitmap->full_width;
    upright.full_height = t.transposed ? bitmap->full_width : bitmap->full_height;
    mr_bitmap_free(bitmap);
    *bitmap = upright;
    return MR_OK;
}
