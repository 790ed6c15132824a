#include <gif_lib.h>
#include <string.h>

#include "core/mem.h"
#include "image/decoders.h"

typedef struct reader {
    const uint8_t *data; /* what is left */
    size_t size;
} reader;

static int read_data(GifFileType *gif, GifByteType *out, int length)
{
    reader *r = gif->UserData;
    const size_t step = (size_t)length < r->size ? (size_t)length : r->size;
    memcpy(out, r->data, step);
    r->data += step;
    r->size -= step;
    return (int)step;
}

static mr_status corrupt(const GifFileType *gif, mr_error *error)
{
    const char *text = GifErrorString(gif->Error);
    return mr_error_set(error, MR_BAD_RECORD, "GIF: %s", text != NULL ? text : "the file is corrupt or cut off");
}

/* What an extension before the first frame says about it. */
static mr_status read_extension(GifFileType *gif, int *transparent, mr_error *error)
{
    int code;
    GifByteType *block; /* its length, then its bytes */
    if (DGifGetExtension(gif, &code, &block) == GIF_ERROR) return corrupt(gif, error);
    GraphicsControlBlock control;
    if (code == GRAPHICS_EXT_FUNC_CODE && block != NULL && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK) {
        *transparent = control.TransparentColor;
    }
    while (block != NULL) {
        if (DGifGetExtensionNext(gif, &block) == GIF_ERROR) return corrupt(gif, error);
    }
    return MR_OK;
}

/* Goes on to the first frame. */
static mr_status find_frame(GifFileType *gif, int *transparent, mr_error *error)
{
    for (;;) {
        GifRecordType record;
        if (DGifGetRecordType(gif, &record) == GIF_ERROR) return corrupt(gif, error);
        if (record == TERMINATE_RECORD_TYPE) return mr_error_set(error, MR_BAD_RECORD, "GIF without a frame");
        if (record == IMAGE_DESC_RECORD_TYPE) return DGifGetImageDesc(gif) == GIF_ERROR ? corrupt(gif, error) : MR_OK;
        if (record == EXTENSION_RECORD_TYPE) MR_TRY(read_extension(gif, transparent, error));
    }
}

/* Colours beyond the palette are gray, as a palette of Pillow begins. */
static void make_palette(const GifFileType *gif, int transparent, bool alpha_on_white, uint8_t palette[256][3])
{
    const ColorMapObject *map = gif->Image.ColorMap != NULL ? gif->Image.ColorMap : gif->SColorMap;
    for (int i = 0; i < 256; i++) {
        memset(palette[i], i, 3);
        if (map != NULL && i < map->ColorCount) memcpy(palette[i], (uint8_t[]){map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue}, 3);
    }
    if (alpha_on_white && transparent >= 0 && transparent < 256) memset(palette[transparent], 255, 3);
}

/* The row that comes as number `i` of an interlaced frame: every 8th from 0, every 8th from 4, every 4th from 2, the odd. */
static size_t interlaced_row(size_t i, size_t height)
{
    static const struct {
        size_t first, step;
    } passes[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
    for (size_t p = 0; p < 4; p++) {
        const size_t rows = height > passes[p].first ? (height - passes[p].first - 1) / passes[p].step + 1 : 0;
        if (i < rows) return passes[p].first + i * passes[p].step;
        i -= rows;
    }
    return 0;
}

/* `line` is room for a row of indices. */
static mr_status read_frame(GifFileType *gif, uint8_t (*palette)[3], const mr_bitmap *out, uint8_t *line, mr_error *error)
{
    const size_t left = (size_t)gif->Image.Left, top = (size_t)gif->Image.Top;
    const size_t width = (size_t)gif->Image.Width, height = (size_t)gif->Image.Height;
    for (size_t i = 0; i < height; i++) {
        if (DGifGetLine(gif, line, (int)width) == GIF_ERROR) return corrupt(gif, error);
        const size_t y = top + (gif->Image.Interlace ? interlaced_row(i, height) : i);
        uint8_t *row = out->pixels + 3 * (y * out->width + left);
        for (size_t x = 0; x < width; x++) memcpy(row + 3 * x, palette[line[x]], 3);
    }
    return MR_OK;
}

static mr_status decode(GifFileType *gif, const mr_decode_limits *limits, mr_bitmap *out, mr_error *error)
{
    int transparent = NO_TRANSPARENT_COLOR;
    MR_TRY(find_frame(gif, &transparent, error));
    const GifImageDesc *frame = &gif->Image;
    if (frame->Left < 0 || frame->Top < 0 || frame->Width < 1 || frame->Height < 1) return mr_error_set(error, MR_BAD_RECORD, "GIF without pixels");
    /* A frame that sticks out makes the canvas larger. */
    const int right = frame->Left + frame->Width, bottom = frame->Top + frame->Height;
    const size_t width = (size_t)(right > gif->SWidth ? right : gif->SWidth), height = (size_t)(bottom > gif->SHeight ? bottom : gif->SHeight);
    MR_TRY(mr_decode_check_size("GIF", width, height, limits, error));
    MR_TRY(mr_bitmap_alloc(width, height, out, error));

    uint8_t palette[256][3];
    make_palette(gif, transparent, limits->alpha_on_white, palette);
    const uint8_t *around = palette[transparent >= 0 && transparent < 256 ? transparent : 0];
    for (size_t i = 0; i < width * height; i++) memcpy(out->pixels + 3 * i, around, 3);
    uint8_t *line = mr_mem_alloc((size_t)frame->Width, MR_MEM_RECORDS);
    if (line == NULL) return mr_error_set(error, MR_OUT_OF_MEMORY, "reading a GIF");
    const mr_status status = read_frame(gif, palette, out, line, error);
    mr_mem_free(line);
    return status;
}

mr_status mr_decode_gif(const uint8_t *data, size_t size, const mr_decode_limits *limits, mr_bitmap *out, int *orientation,
                        mr_error *error)
{
    (void)orientation; /* the format has none */
    reader r = {data, size};
    int code = 0;
    GifFileType *gif = DGifOpen(&r, read_data, &code);
    if (gif == NULL) return mr_error_set(error, MR_BAD_RECORD, "GIF: the header is corrupt or cut off");
    const mr_status status = decode(gif, limits, out, error);
    DGifCloseFile(gif, &code);
    return status;
}
