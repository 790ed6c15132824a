/* Image files, then resizing what came of them. Whatever the file declares, nothing larger than the limit is made of it; libFuzzer's
 * malloc_limit_mb, set for this target, sees to what the libraries take. */
#include <stdlib.h>

#include "core/mem.h"
#include "image/decode.h"
#include "image/processor.h"

enum { MAX_PIXELS = 1 << 20, EDGE = 48 };

static void check_resize(const mr_bitmap *bitmap, mr_resample_filter filter)
{
    static uint8_t out[3 * EDGE * EDGE];
    mr_error error = { 0 };
    const mr_image_processor cropped = { .shortest_edge = EDGE, .width = EDGE, .height = EDGE, .filter = filter };
    const mr_image_processor stretched = { .resize_width = EDGE, .resize_height = EDGE, .width = EDGE, .height = EDGE, .filter = filter };
    if (mr_image_processor_run(&cropped, bitmap, out, &error) != MR_OK && !error.text[0]) abort();
    if (mr_image_processor_run(&stretched, bitmap, out, &error) != MR_OK && !error.text[0]) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const mr_decode_options options = { .max_pixels = MAX_PIXELS, .alpha_on_white = size & 1, .keep_orientation = size & 2, .shrink_to = size & 4 ? EDGE : 0 };
    mr_bitmap bitmap = { 0 };
    mr_error error = { 0 };
    mr_status status = mr_image_decode(data, size, &options, &bitmap, &error);
    if (status != MR_OK && (status != MR_BAD_RECORD || !error.text[0])) abort();
    if (status == MR_OK) {
        if (bitmap.width == 0 || bitmap.height == 0 || bitmap.width > MAX_PIXELS / bitmap.height) abort();
        check_resize(&bitmap, (mr_resample_filter)(size / 8 % 6));
    }
    mr_bitmap_free(&bitmap);
    if (mr_mem_used(MR_MEM_RECORDS) != 0) abort();
    return 0;
}
