/* Good files decode to the reference's pixels; bad ones are refused, or give exactly what the reference gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "image_case.h"

static const char *text(const json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }

static void check_pixels(const char *name, const mr_bitmap *bitmap, const json_t *size, const char *crc)
{
    assert_int_equal(bitmap->width, json_integer_value(json_array_get(size, 0)));
    assert_int_equal(bitmap->height, json_integer_value(json_array_get(size, 1)));
    expect_checksum(name, bitmap->pixels, 3 * bitmap->width * bitmap->height, crc);
}

static void check_file(const json_t *image)
{
    const char *name = text(image, "file"), *required = text(image, "required");
    const bool is_good = strcmp(required, "ok") == 0 && strstr(name, ".tif") == NULL; /* TIFF is not read */
    size_t size;
    char *data = image_file_load(name, &size);
    const mr_decode_options as_stored = {.keep_orientation = true};
    mr_bitmap bitmap = {0};
    mr_error error;
    const mr_status status = mr_image_decode((const uint8_t *)data, size, &as_stored, &bitmap, &error);
    free(data);
    if (status == MR_OK) {
        if (strcmp(required, "fail") == 0) fail_msg("%s: accepted", name);
        if (strcmp(required, "any") != 0) check_pixels(name, &bitmap, json_object_get(image, "size"), text(image, "rgb"));
    } else {
        if (is_good) fail_msg("%s: %s", name, error.text);
        assert_int_equal(status, MR_BAD_RECORD);
    }
    mr_bitmap_free(&bitmap);
}

static void every_file_gives_the_references_pixels_or_is_refused(void **state)
{
    (void)state;
    json_t *document = image_cases_load();
    size_t i, good = 0;
    json_t *image;
    json_array_foreach(json_object_get(document, "images"), i, image)
    {
        check_file(image);
        good += strcmp(text(image, "required"), "ok") == 0;
    }
    assert_true(good > 100);
    json_decref(document);
    assert_int_equal(mr_mem_used(MR_MEM_RECORDS), 0);
}

static void transparency_is_painted_on_white_when_asked(void **state)
{
    (void)state;
    json_t *document = image_cases_load();
    size_t i, transparent = 0;
    json_t *image;
    json_array_foreach(json_object_get(document, "images"), i, image)
    {
        const char *name = text(image, "file"), *white = text(image, "white");
        if (white == NULL) continue;
        size_t size;
        char *data = image_file_load(name, &size);
        const mr_decode_options options = {.alpha_on_white = true, .keep_orientation = true};
        mr_bitmap bitmap = {0};
        mr_error error;
        if (mr_image_decode((const uint8_t *)data, size, &options, &bitmap, &error) != MR_OK) fail_msg("%s: %s", name, error.text);
        check_pixels(name, &bitmap, json_object_get(image, "size"), white);
        mr_bitmap_free(&bitmap);
        free(data);
        transparent++;
    }
    assert_true(transparent > 10);
    json_decref(document);
}

static void expect_refused(const char *name, const mr_decode_options *options, const char *reason)
{
    size_t size;
    char *data = image_file_load(name, &size);
    mr_bitmap bitmap = {0};
    mr_error error;
    assert_int_equal(mr_image_decode((const uint8_t *)data, size, options, &bitmap, &error), MR_BAD_RECORD);
    if (strstr(error.text, reason) == NULL) fail_msg("%s: \"%s\" does not say \"%s\"", name, error.text, reason);
    free(data);
}

static void errors_say_what_is_wrong(void **state)
{
    (void)state;
    const mr_decode_options usual = {0};
    expect_refused("empty.bin", &usual, "empty");
    expect_refused("not_an_image.bin", &usual, "not an image");
    expect_refused("avif_stub.bin", &usual, "AVIF is not read");
    expect_refused("heic_stub.bin", &usual, "HEIC is not read");
    expect_refused("svg.bin", &usual, "SVG is not read");
    expect_refused("pdf.bin", &usual, "PDF is not read");
    expect_refused("tiff_lzw.tif", &usual, "TIFF is not read");
    expect_refused("jpeg_cut_half.jpg", &usual, "cut off");
    expect_refused("jpeg_no_eoi.jpg", &usual, "cut off");
    expect_refused("jpeg_bomb.jpg", &usual, "65000 x 65000 pixels: more than 178956970");
    expect_refused("png_bomb.png", &usual, "60000 x 60000 pixels");
    expect_refused("png_cut_idat.png", &usual, "cut off");
    expect_refused("png_bad_adler.png", &usual, "incorrect data check");
}

static void the_limit_is_an_option(void **state)
{
    (void)state;
    const mr_decode_options exactly = {.max_pixels = 500 * 375}, less = {.max_pixels = 500 * 375 - 1};
    size_t size;
    char *data = image_file_load("jpeg_500x375.jpg", &size);
    mr_bitmap bitmap = {0};
    mr_error error;
    assert_int_equal(mr_image_decode((const uint8_t *)data, size, &exactly, &bitmap, &error), MR_OK);
    mr_bitmap_free(&bitmap);
    free(data);
    expect_refused("jpeg_500x375.jpg", &less, "500 x 375 pixels: more than 187499");
}

static void a_jpeg_may_be_decoded_smaller(void **state)
{
    (void)state;
    static const struct {
        size_t shrink_to, width, height;
    } cases[] = {{0, 500, 375}, {188, 500, 375}, {187, 250, 188}, {93, 125, 94}, {46, 63, 47}, {1, 63, 47}};
    size_t size;
    char *data = image_file_load("jpeg_500x375.jpg", &size);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mr_decode_options options = {.shrink_to = cases[i].shrink_to};
        mr_bitmap bitmap = {0};
        mr_error error;
        assert_int_equal(mr_image_decode((const uint8_t *)data, size, &options, &bitmap, &error), MR_OK);
        assert_int_equal(bitmap.width, cases[i].width);
        assert_int_equal(bitmap.height, cases[i].height);
        assert_int_equal(bitmap.full_width, 500);
        assert_int_equal(bitmap.full_height, 375);
        mr_bitmap_free(&bitmap);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_gives_the_references_pixels_or_is_refused),
        cmocka_unit_test(transparency_is_painted_on_white_when_asked),
        cmocka_unit_test(errors_say_what_is_wrong),
        cmocka_unit_test(the_limit_is_an_option),
        cmocka_unit_test(a_jpeg_may_be_decoded_smaller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
