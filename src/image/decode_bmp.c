/* Windows bitmaps without compression: palettes of 1, 4 and 8 bits, 16 bits (5-5-5, or masks), 24 and 32 bits. */
#include <string.h>

#include "image/decoders.h"

enum { FILE_HEADER = 14, CORE_HEADER = 12, INFO_HEADER = 40, BITFIELDS = 3 };

typedef struct layout {
    size_t width, height, bits;
    bool top_down;
    size_t stride, pixels_at;  /* of the rows in the file */
    uint32_t masks[3];         /* R, G, B; of 16 and 32 bits */
    uint8_t palette[256][3];
} layout;

static uint32_t number(const uint8_t *at, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = bytes; i-- > 0;) value = value << 8 | at[i];
    return value;
}

static mr_status truncated(mr_error *error) { return mr_error_set(error, MR_BAD_RECORD, "BMP: the file is cut off"); }

/* Colours that the file does not give are gray, as a palette of Pillow begins. */
static mr_status read_palette(const uint8_t *data, size_t size, size_t at, size_t colors, size_t entry, layout *l, mr_error *error)
{
    for (int i = 0; i < 256; i++) memset(l->palette[i], i, 3);
    const size_t most = (size_t)1 << l->bits;
    if (colors == 0 || colors > most) colors = most;
    if (at + colors * entry > size) return truncated(error);
    for (size_t i = 0; i < colors; i++) {
        for (size_t c = 0; c < 3; c++) l->palette[i][c] = data[at + i * entry + 2 - c];
    }
    return MR_OK;
}

static mr_status read_masks(const uint8_t *data, size_t size, size_t compression, layout *l, mr_error *error)
{
    static const uint32_t usual16[3] = {0x7c00, 0x03e0, 0x001f}, usual32[3] = {0xff0000, 0xff00, 0xff};
    memcpy(l->masks, l->bits == 16 ? usual16 : usual32, sizeof l->masks);
    if (compression != BITFIELDS) return MR_OK;
    const size_t at = FILE_HEADER + INFO_HEADER; /* behind a short header, inside a longer one */
    if (size < at + 12) return truncated(error);
    for (size_t c = 0; c < 3; c++) {
        l->masks[c] = number(data + at + 4 * c, 4);
        if (l->masks[c] == 0) return mr_error_set(error, MR_BAD_RECORD, "BMP with an empty colour mask");
    }
    return MR_OK;
}

static mr_status read_layout(const uint8_t *data, size_t size, const mr_decode_limits *limits, layout *l, mr_error *error)
{
    if (size < FILE_HEADER + CORE_HEADER) return truncated(error);
    const size_t header = number(data + FILE_HEADER, 4);
    const bool is_core = header == CORE_HEADER;
    if (!is_core && (header < INFO_HEADER || header > 124)) return mr_error_set(error, MR_BAD_RECORD, "BMP with a header of %zu bytes", header);
    if (size < FILE_HEADER + header) return truncated(error);

    const uint8_t *info = data + FILE_HEADER;
    const int64_t height = is_core ? (int64_t)number(info + 6, 2) : (int32_t)number(info + 8, 4);
    l->width = is_core ? number(info + 4, 2) : number(info + 4, 4);
    l->height = (size_t)(height < 0 ? -height : height);
    l->top_down = height < 0;
    l->bits = number(info + (is_core ? 10 : 14), 2);
    l->pixels_at = number(data + 10, 4);
    MR_TRY(mr_decode_check_size("BMP", l->width, l->height, limits, error));
    l->stride = (l->width * l->bits + 31) / 32 * 4;

    const size_t compression = is_core ? 0 : number(info + 16, 4);
    if (compression != 0 && compression != BITFIELDS) return mr_error_set(error, MR_BAD_RECORD, "compressed BMP is not read: convert it to PNG");
    switch (l->bits) {
    case 1:
    case 4:
    case 8: return read_palette(data, size, FILE_HEADER + header, is_core ? 0 : number(info + 32, 4), is_core ? 3 : 4, l, error);
    case 16:
    case 32: return read_masks(data, size, compression, l, error);
    case 24: return MR_OK;
    default: return mr_error_set(error, MR_BAD_RECORD, "BMP of %zu bits a pixel", l->bits);
    }
}

static uint8_t channel(uint32_t word, uint32_t mask)
{
    const int shift = __builtin_ctz(mask);
    return (uint8_t)((uint64_t)((word & mask) >> shift) * 255 / (mask >> shift));
}

static void read_row(const layout *l, const uint8_t *from, uint8_t *rgb)
{
    const size_t bytes = l->bits / 8;
    for (size_t x = 0; x < l->width; x++, rgb += 3) {
        if (l->bits <= 8) {
            const size_t bit = x * l->bits, shift = 8 - l->bits - bit % 8;
            memcpy(rgb, l->palette[from[bit / 8] >> shift & ((1u << l->bits) - 1)], 3);
        } else if (l->bits == 24) {
            for (size_t c = 0; c < 3; c++) rgb[c] = from[3 * x + 2 - c];
        } else {
            const uint32_t word = number(from + x * bytes, bytes);
            for (size_t c = 0; c < 3; c++) rgb[c] = channel(word, l->masks[c]);
        }
    }
}

mr_status mr_decode_bmp(const uint8_t *data, size_t size, const mr_decode_limits *limits, mr_bitmap *out, int *orientation,
                        mr_error *error)
{
    (void)orientation; /* the format has none */
    layout l = {0};
    MR_TRY(read_layout(data, size, limits, &l, error));
    if (l.pixels_at > size || (size - l.pixels_at) / l.stride < l.height) return truncated(error);
    MR_TRY(mr_bitmap_alloc(l.width, l.height, out, error));
    for (size_t y = 0; y < l.height; y++) {
        const size_t line = l.top_down ? y : l.height - 1 - y;
        read_row(&l, data + l.pixels_at + line * l.stride, out->pixels + 3 * y * l.width);
    }
    return MR_OK;
}
