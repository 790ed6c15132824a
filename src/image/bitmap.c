#include "image/bitmap.h"

#include "core/checked.h"
#include "core/mem.h"
#include "kernels/resample.h"

mr_status mr_bitmap_alloc(size_t width, size_t height, mr_bitmap *out, mr_error *error)
{
    size_t bytes;
    if (!mr_checked_mul(width, height, &bytes) || !mr_checked_mul(bytes, 3, &bytes) ||
        !mr_checked_add(bytes, MR_RESAMPLE_SLACK, &bytes)) {
        return mr_error_set(error, MR_OUT_OF_MEMORY, "an image of %zu x %zu pixels does not fit memory", width, height);
    }
    uint8_t *pixels = mr_mem_alloc(bytes, MR_MEM_RECORDS);
    if (pixels == NULL) return mr_error_set(error, MR_OUT_OF_MEMORY, "%zu bytes for an image of %zu x %zu pixels", bytes, width, height);
    *out = (mr_bitmap){pixels, width, height, width, height};
    return MR_OK;
}

void mr_bitmap_free(mr_bitmap *bitmap)
{
    mr_mem_free(bitmap->pixels);
    *bitmap = (mr_bitmap){0};
}
