/* Which input samples make an output sample, and with what weights. */
#ifndef MR_IMAGE_RESIZE_AXIS_H
#define MR_IMAGE_RESIZE_AXIS_H

#include "image/resize.h"
#include "kernels/resample.h"

typedef struct mr_resize_axis {
    mr_resample_axis taps; /* of outputs offset .. offset + count - 1 */
    size_t from, to;       /* the inputs they need: from .. to - 1; taps.first counts from `from` */
    void *block;
} mr_resize_axis;

/* For resizing `in` samples to `out`. BAD_RECORD when that takes too many weights; OUT_OF_MEMORY. */
mr_status mr_resize_axis_create(size_t in, size_t out, mr_resample_filter filter, size_t offset, size_t count, mr_resize_axis *axis,
                                mr_error *error);
void mr_resize_axis_free(mr_resize_axis *axis); /* fine on a zeroed one */

#endif
