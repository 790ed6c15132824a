#include "io/unpack.h"

#include <bzlib.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define OUT_BYTES ((size_t)128 << 10)      /* a zstd block */
#define XZ_MEMORY (UINT64_C(128) << 20)    /* as much as zstd's own limit; xz -9 takes 65 MiB */

typedef enum progress { GOES_ON, ENDED, DAMAGED, TOO_LARGE, NO_MEMORY } progress;

/* What a library sees: moves both positions. */
typedef struct window {
    const char *in;
    size_t in_left;
    char *out;
    size_t out_left;
    bool last; /* nothing comes behind `in` */
} window;

typedef struct format {
    const char *name;
    const char *magic;
    size_t magic_length;
    bool goes_on_by_itself; /* over the ends of streams that follow one another */
    bool (*begin)(mr_unpacker *self);
    progress (*run)(mr_unpacker *self, window *data);
    void (*end)(mr_unpacker *self);
} format;

struct mr_unpacker {
    mr_byte_stream stream; /* first: what others hold */
    const format *format;
    mr_byte_stream *below;
    const char *in;
    size_t in_left;
    bool started, last;
    bool whole; /* between two streams: a good place to end */
    mr_error failed; /* status != OK: told once everything before it was given; END too */
    union {
        z_stream gzip;
        ZSTD_DStream *zstd;
        lzma_stream xz;
        bz_stream bzip2;
    } state;
    char out[OUT_BYTES];
};

/* ---- gzip ---- */

static bool begin_gzip(mr_unpacker *self)
{
    memset(&self->state.gzip, 0, sizeof self->state.gzip);
    return inflateInit2(&self->state.gzip, 16 + MAX_WBITS) == Z_OK;
}

static progress run_gzip(mr_unpacker *self, window *data)
{
    z_stream *gzip = &self->state.gzip;
    gzip->next_in = (Bytef *)(uintptr_t)data->in; /* zlib does not write to it */
    gzip->avail_in = (uInt)data->in_left;
    gzip->next_out = (Bytef *)data->out;
    gzip->avail_out = (uInt)data->out_left;
    int got = inflate(gzip, Z_NO_FLUSH);
    *data = (window){ (const char *)gzip->next_in, gzip->avail_in, (char *)gzip->next_out, gzip->avail_out, data->last };
    if (got == Z_STREAM_END) return ENDED;
    return got == Z_OK || got == Z_BUF_ERROR ? GOES_ON : got == Z_MEM_ERROR ? NO_MEMORY : DAMAGED;
}

static void end_gzip(mr_unpacker *self)
{
    inflateEnd(&self->state.gzip);
}

/* ---- zstd ---- */

static bool begin_zstd(mr_unpacker *self)
{
    self->state.zstd = ZSTD_createDStream();
    return self->state.zstd != NULL;
}

static progress run_zstd(mr_unpacker *self, window *data)
{
    ZSTD_inBuffer in = { data->in, data->in_left, 0 };
    ZSTD_outBuffer out = { data->out, data->out_left, 0 };
    size_t got = ZSTD_decompressStream(self->state.zstd, &out, &in);
    *data = (window){ data->in + in.pos, data->in_left - in.pos, data->out + out.pos, data->out_left - out.pos, data->last };
    if (ZSTD_isError(got)) return ZSTD_getErrorCode(got) == ZSTD_error_frameParameter_windowTooLarge ? TOO_LARGE : DAMAGED;
    return got == 0 ? ENDED : GOES_ON;
}

static void end_zstd(mr_unpacker *self)
{
    ZSTD_freeDStream(self->state.zstd);
}

/* ---- xz ---- */

static bool begin_xz(mr_unpacker *self)
{
    self->state.xz = (lzma_stream)LZMA_STREAM_INIT;
    return lzma_stream_decoder(&self->state.xz, XZ_MEMORY, LZMA_CONCATENATED) == LZMA_OK;
}

static progress run_xz(mr_unpacker *self, window *data)
{
    lzma_stream *xz = &self->state.xz;
    xz->next_in = (const uint8_t *)data->in;
    xz->avail_in = data->in_left;
    xz->next_out = (uint8_t *)data->out;
    xz->avail_out = data->out_left;
    lzma_ret got = lzma_code(xz, data->last ? LZMA_FINISH : LZMA_RUN);
    *data = (window){ (const char *)xz->next_in, xz->avail_in, (char *)xz->next_out, xz->avail_out, data->last };
    if (got == LZMA_STREAM_END) return ENDED;
    if (got == LZMA_OK || got == LZMA_BUF_ERROR) return GOES_ON;
    return got == LZMA_MEM_ERROR ? NO_MEMORY : got == LZMA_MEMLIMIT_ERROR ? TOO_LARGE : DAMAGED;
}

static void end_xz(mr_unpacker *self)
{
    lzma_end(&self->state.xz);
}

/* ---- bzip2 ---- */

static bool begin_bzip2(mr_unpacker *self)
{
    memset(&self->state.bzip2, 0, sizeof self->state.bzip2);
    return BZ2_bzDecompressInit(&self->state.bzip2, 0, 0) == BZ_OK;
}

static progress run_bzip2(mr_unpacker *self, window *data)
{
    bz_stream *bzip2 = &self->state.bzip2;
    bzip2->next_in = (char *)(uintptr_t)data->in; /* nor does libbz2 */
    bzip2->avail_in = (unsigned)data->in_left;
    bzip2->next_out = data->out;
    bzip2->avail_out = (unsigned)data->out_left;
    int got = BZ2_bzDecompress(bzip2);
    *data = (window){ bzip2->next_in, bzip2->avail_in, bzip2->next_out, bzip2->avail_out, data->last };
    if (got == BZ_STREAM_END) return ENDED;
    return got == BZ_OK ? GOES_ON : got == BZ_MEM_ERROR ? NO_MEMORY : DAMAGED;
}

static void end_bzip2(mr_unpacker *self)
{
    BZ2_bzDecompressEnd(&self->state.bzip2);
}

/* ---- all of them ---- */

static const format formats[] = {
    { "gzip", "\x1F\x8B\x08", 3, false, begin_gzip, run_gzip, end_gzip },
    { "zstd", "\x28\xB5\x2F\xFD", 4, true, begin_zstd, run_zstd, end_zstd },
    { "xz", "\xFD\x37\x7A\x58\x5A\x00", 6, true, begin_xz, run_xz, end_xz },
    { "bzip2", "BZh", 3, false, begin_bzip2, run_bzip2, end_bzip2 },
};

/* Three letters could begin a text; bzip2 has a block's or the end's number behind its size digit. */
static bool is_bzip2(mr_str start)
{
    return start.length >= 10 && (memcmp(start.data + 4, "1AY&SY", 6) == 0 || memcmp(start.data + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

static const format *format_of(mr_str start)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (start.length < formats[i].magic_length || memcmp(start.data, formats[i].magic, formats[i].magic_length) != 0) continue;
        return formats[i].run != run_bzip2 || is_bzip2(start) ? &formats[i] : NULL;
    }
    return NULL;
}

static mr_status fail(mr_unpacker *self, mr_status status, const char *what)
{
    return mr_error_set(&self->failed, status, "%s: %s", self->format->name, what);
}

/* More of what is packed; at its end `last`. */
static mr_status fetch(mr_unpacker *self)
{
    mr_str piece = { "", 0 };
    mr_status status = self->below->next(self->below, &piece, &self->failed);
    self->in = piece.data;
    self->in_left = piece.length;
    if (status == MR_OK) return MR_OK;
    self->in_left = 0;
    self->last = true;
    if (status != MR_END) return self->failed.status = status;
    self->failed.status = MR_OK;
    return MR_OK;
}

/* One step of the library. Sets `failed` at the end and at damage. */
static void step(mr_unpacker *self, window *data)
{
    size_t in_before = self->in_left, out_before = data->out_left;
    data->in = self->in;
    data->in_left = self->in_left;
    data->last = self->last;
    progress got = self->format->run(self, data);
    self->in = data->in;
    self->in_left = data->in_left;
    bool stuck = self->last && data->in_left == in_before && data->out_left == out_before;
    if (got == NO_MEMORY) fail(self, MR_OUT_OF_MEMORY, "cannot allocate memory");
    else if (got == TOO_LARGE) fail(self, MR_BAD_INPUT, "unpacking takes more memory than is allowed; pack it again with a smaller window");
    else if (got == DAMAGED) fail(self, MR_BAD_INPUT, "damaged data");
    else if (got == GOES_ON && stuck) fail(self, MR_BAD_INPUT, "the data ends too early");
    self->whole = got == ENDED;
}

/* Behind a stream: another one like it, the end, or something else, which is passed over as gzip and bzip2 do. */
static void go_on(mr_unpacker *self)
{
    if (self->in_left == 0 && !self->last && fetch(self) != MR_OK) return;
    bool more = self->in_left > 0;
    if (!more || (!self->format->goes_on_by_itself && self->in[0] != self->format->magic[0])) {
        self->failed.status = MR_END;
        return;
    }
    self->whole = false;
    if (self->format->goes_on_by_itself) return;
    self->format->end(self);
    if (!self->format->begin(self)) fail(self, MR_OUT_OF_MEMORY, "cannot allocate memory");
}

static mr_status next_piece(mr_byte_stream *stream, mr_str *piece, mr_error *error)
{
    mr_unpacker *self = (mr_unpacker *)stream;
    window data = { .out = self->out, .out_left = OUT_BYTES };
    size_t least = self->started ? 1 : MR_UNPACK_PEEK;
    /* A slow pipe: what there is is given, once the input has run dry. */
    while (self->failed.status == MR_OK && data.out_left > 0) {
        if (self->whole) {
            go_on(self);
            continue;
        }
        if (self->in_left == 0 && !self->last) {
            if (OUT_BYTES - data.out_left >= least) break;
            if (fetch(self) != MR_OK) break;
        }
        step(self, &data);
    }
    self->started = true;
    *piece = (mr_str){ self->out, OUT_BYTES - data.out_left };
    if (piece->length) return MR_OK;
    if (error) *error = self->failed;
    return self->failed.status;
}

mr_status mr_unpacker_create(mr_byte_stream *below, mr_str first, mr_unpacker **out, mr_error *error)
{
    const format *packed = format_of(first);
    *out = NULL;
    if (!packed) return MR_OK;
    mr_unpacker *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a reader of %s", packed->name);
    self->stream.next = next_piece;
    self->format = packed;
    self->below = below;
    self->in = first.data;
    self->in_left = first.length;
    if (!packed->begin(self)) {
        free(self);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a reader of %s", packed->name);
    }
    *out = self;
    return MR_OK;
}

void mr_unpacker_destroy(mr_unpacker *unpacker)
{
    if (!unpacker) return;
    unpacker->format->end(unpacker);
    free(unpacker);
}

mr_byte_stream *mr_unpacker_stream(mr_unpacker *unpacker)
{
    return &unpacker->stream;
}
