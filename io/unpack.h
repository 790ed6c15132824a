/* gzip, zstd, xz and bzip2 streams -> their bytes. Private to io/.
 *
 * Of a stream that is damaged or cut off, everything that could be unpacked comes before the error. */
#ifndef MR_IO_UNPACK_H
#define MR_IO_UNPACK_H

#include "core/error.h"
#include "core/str.h"

typedef struct mr_byte_stream mr_byte_stream;

struct mr_byte_stream {
    /* The next piece, never empty, valid until the next call. END behind the last. */
    mr_status (*next)(mr_byte_stream *self, mr_str *piece, mr_error *error);
};

/* Bytes that tell how a stream is packed. A first piece is shorter only when the stream is. */
#define MR_UNPACK_PEEK 10

typedef struct mr_unpacker mr_unpacker;

/* `first` is the first piece of `below`, which goes on behind it; both are borrowed until destroy. *out NULL: not packed. */
mr_status mr_unpacker_create(mr_byte_stream *below, mr_str first, mr_unpacker **out, mr_error *error);
void mr_unpacker_destroy(mr_unpacker *unpacker); /* NULL is fine */

/* Its bytes: BAD_INPUT where they end too early or make no sense, errors of `below` otherwise. */
mr_byte_stream *mr_unpacker_stream(mr_unpacker *unpacker);

#endif
