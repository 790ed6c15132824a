/* Resizing gives Pillow's bytes (tests/data/images/resize.txt, made by make_expected.py), whole or in part, in every variant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "image/resize.h"
#include "image_case.h"
#include "kernels/kernels.h"

static mr_bitmap synthetic(size_t width, size_t height)
{
    mr_bitmap image;
    assert_int_equal(mr_bitmap_alloc(width, height, &image, NULL), MR_OK);
    for (size_t y = 0; y < height; y++) {
        for (size_t x = 0; x < width; x++) {
            for (size_t c = 0; c < 3; c++) {
                image.pixels[3 * (y * width + x) + c] = (uint8_t)(7 * x + 13 * y + 29 * c + 5 * (x * y % 31));
            }
        }
    }
    return image;
}

static uint8_t *resize_window(const mr_bitmap *image, const mr_resize *resize, const mr_window *window)
{
    uint8_t *out = malloc(3 * window->width * window->height);
    mr_error error;
    if (mr_bitmap_resize(image, resize, window, out, 3 * window->width, &error) != MR_OK) fail_msg("%s", error.text);
    return out;
}

static void check_whole(size_t width, size_t height, const mr_resize *resize, const char *crc)
{
    mr_bitmap image = synthetic(width, height);
    const mr_window whole = {0, 0, resize->width, resize->height};
    uint8_t *out = resize_window(&image, resize, &whole);
    char what[128];
    snprintf(what, sizeof what, "%zu x %zu to %zu x %zu, filter %d", width, height, resize->width, resize->height, resize->filter);
    expect_checksum(what, out, 3 * resize->width * resize->height, crc);
    free(out);
    mr_bitmap_free(&image);
}

static void check_all_sizes(void)
{
    FILE *file = fopen(MR_TEST_DATA "/images/resize.txt", "r");
    assert_non_null(file);
    size_t width, height, lines = 0;
    mr_resize resize = {0};
    unsigned filter;
    char crc[16];
    while (fscanf(file, "%zu %zu %zu %zu %u %15s", &width, &height, &resize.width, &resize.height, &filter, crc) == 6) {
        resize.filter = (mr_resample_filter)filter;
        check_whole(width, height, &resize, crc);
        lines++;
    }
    fclose(file);
    assert_int_equal(lines, 1144);
}

static void every_size_and_filter_gives_pillows_bytes(void **state)
{
    (void)state;
    for (const char *const *isa = mr_kernels_names(); *isa != NULL; isa++) {
        if (mr_kernels_for_isa(*isa) == NULL) continue;
        assert_int_equal(mr_kernels_init(*isa, NULL), MR_OK);
        check_all_sizes();
    }
    assert_int_equal(mr_kernels_init(NULL, NULL), MR_OK);
}

static void a_window_is_a_part_of_the_whole(void **state)
{
    (void)state;
    static const struct {
        size_t width, height;
        mr_resize resize;
        mr_window window;
    } cases[] = {
        {500, 375, {298, 224, MR_RESAMPLE_BICUBIC, false}, {37, 0, 224, 224}}, {480, 1000, {224, 466, MR_RESAMPLE_BICUBIC, false}, {0, 121, 224, 224}},
        {480, 1000, {224, 466, MR_RESAMPLE_BICUBIC, true}, {3, 400, 7, 66}},   {64, 64, {64, 90, MR_RESAMPLE_LANCZOS, false}, {1, 2, 60, 80}},
        {64, 64, {90, 64, MR_RESAMPLE_LANCZOS, false}, {5, 7, 81, 57}},        {64, 64, {64, 64, MR_RESAMPLE_BOX, false}, {5, 7, 11, 13}},
        {3, 1, {100, 200, MR_RESAMPLE_HAMMING, false}, {99, 199, 1, 1}},       {90, 70, {33, 150, MR_RESAMPLE_NEAREST, false}, {10, 11, 20, 100}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_bitmap image = synthetic(cases[i].width, cases[i].height);
        const mr_window *window = &cases[i].window, whole = {0, 0, cases[i].resize.width, cases[i].resize.height};
        uint8_t *all = resize_window(&image, &cases[i].resize, &whole), *part = resize_window(&image, &cases[i].resize, window);
        for (size_t y = 0; y < window->height; y++) {
            const uint8_t *expected = all + 3 * ((window->top + y) * whole.width + window->left);
            assert_memory_equal(part + 3 * y * window->width, expected, 3 * window->width);
        }
        free(all);
        free(part);
        mr_bitmap_free(&image);
    }
}

static void older_pillow_never_begins_with_the_columns(void **state)
{
    (void)state;
    const mr_resize newer = {224, 466, MR_RESAMPLE_BICUBIC, false}, older = {224, 466, MR_RESAMPLE_BICUBIC, true};
    check_whole(480, 1000, &newer, "e66297b9");
    check_whole(480, 1000, &older, "e42e99f8");
}

static void extreme_shapes_cost_no_memory(void **state)
{
    (void)state;
    mr_bitmap image = synthetic(1, 60000);
    const mr_resize tall = {224, 224 * 60000, MR_RESAMPLE_BICUBIC, false}, flat = {64, 64, MR_RESAMPLE_BICUBIC, false};
    const mr_window middle = {0, 224 * 30000 - 112, 224, 224}, whole = {0, 0, 64, 64};
    free(resize_window(&image, &tall, &middle));
    free(resize_window(&image, &flat, &whole));
    mr_bitmap_free(&image);

    mr_bitmap thread = synthetic(100000000, 1);
    uint8_t out[3 * 64 * 64];
    mr_error error;
    assert_int_equal(mr_bitmap_resize(&thread, &flat, &whole, out, 3 * 64, &error), MR_BAD_RECORD);
    assert_non_null(strstr(error.text, "too many"));
    mr_bitmap_free(&thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_and_filter_gives_pillows_bytes),
        cmocka_unit_test(a_window_is_a_part_of_the_whole),
        cmocka_unit_test(older_pillow_never_begins_with_the_columns),
        cmocka_unit_test(extreme_shapes_cost_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
