#include <webp/decode.h>
#include <webp/demux.h>

#include "core/mem.h"
#include "image/decoders.h"

static int read_orientation(const WebPDemuxer *demuxer)
{
    WebPChunkIterator chunk;
    int orientation = 1;
    if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) orientation = mr_exif_orientation(chunk.chunk.bytes, chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
    return orientation;
}

static mr_status corrupt(mr_error *error) { return mr_error_set(error, MR_BAD_RECORD, "WebP: the file is corrupt or cut off"); }

/* An animation's first frame, on its canvas. */
static mr_status decode_first_frame(const WebPData *file, bool alpha_on_white, const mr_bitmap *out, mr_error *error)
{
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(file, NULL);
    if (decoder == NULL) return corrupt(error);
    uint8_t *rgba;
    int time;
    const bool ok = WebPAnimDecoderGetNext(decoder, &rgba, &time) != 0;
    if (ok) (alpha_on_white ? mr_paint_on_white : mr_drop_alpha)(rgba, out->pixels, out->width * out->height);
    WebPAnimDecoderDelete(decoder);
    return ok ? MR_OK : corrupt(error);
}

static mr_status decode_on_white(const WebPData *file, const mr_bitmap *out, mr_error *error)
{
    const size_t pixels = out->width * out->height;
    uint8_t *rgba = mr_mem_alloc_array(pixels, 4, MR_MEM_RECORDS);
    if (rgba == NULL) return mr_error_set(error, MR_OUT_OF_MEMORY, "a WebP of %zu x %zu pixels", out->width, out->height);
    const bool ok = WebPDecodeRGBAInto(file->bytes, file->size, rgba, 4 * pixels, (int)(4 * out->width)) != NULL;
    if (ok) mr_paint_on_white(rgba, out->pixels, pixels);
    mr_mem_free(rgba);
    return ok ? MR_OK : corrupt(error);
}

static mr_status decode_still(const WebPData *file, const mr_bitmap *out, mr_error *error)
{
    const size_t bytes = 3 * out->width * out->height;
    return WebPDecodeRGBInto(file->bytes, file->size, out->pixels, bytes, (int)(3 * out->width)) != NULL ? MR_OK : corrupt(error);
}

static mr_status decode(const WebPData *file, const WebPDemuxer *demuxer, const mr_decode_limits *limits, mr_bitmap *out, mr_error *error)
{
    const size_t width = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH), height = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT);
    const uint32_t flags = WebPDemuxGetI(demuxer, WEBP_FF_FORMAT_FLAGS);
    MR_TRY(mr_decode_check_size("WebP", width, height, limits, error));
    MR_TRY(mr_bitmap_alloc(width, height, out, error));
    if (flags & ANIMATION_FLAG) return decode_first_frame(file, limits->alpha_on_white, out, error);
    if (flags & ALPHA_FLAG && limits->alpha_on_white) return decode_on_white(file, out, error);
    return decode_still(file, out, error);
}

mr_status mr_decode_webp(const uint8_t *data, size_t size, const mr_decode_limits *limits, mr_bitmap *out, int *orientation,
                         mr_error *error)
{
    const WebPData file = {data, size};
    WebPDemuxer *demuxer = WebPDemux(&file); /* NULL also when the file is shorter than it says */
    if (demuxer == NULL) return corrupt(error);
    *orientation = read_orientation(demuxer);
    const mr_status status = decode(&file, demuxer, limits, out, error);
    WebPDemuxDelete(demuxer);
    return status;
}
