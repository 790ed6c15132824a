/* The pixels a model sees equal the reference's, as bytes and as floats, for every file and processor; configs in all spellings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "image/processor.h"
#include "image_case.h"

static const char *const folder = MR_TEST_TMP "/processor";

static mr_status read_processor(const char *config, mr_image_processor *out, mr_error *error)
{
    assert_int_equal(mr_path_make_directories(folder, NULL), MR_OK);
    char path[1024];
    snprintf(path, sizeof path, "%s/preprocessor_config.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(config, file);
    fclose(file);
    return mr_image_processor_read(folder, out, error);
}

static mr_image_processor processor_of(const json_t *config)
{
    mr_image_processor processor;
    mr_error error;
    char *text = json_dumps(config, 0);
    if (read_processor(text, &processor, &error) != MR_OK) fail_msg("%s", error.text);
    free(text);
    return processor;
}

static float *as_model_input(const mr_image_processor *p, const uint8_t *pixels)
{
    const size_t n = p->width * p->height;
    float *planes = malloc(3 * n * sizeof *planes);
    for (size_t c = 0; c < 3; c++) {
        for (size_t i = 0; i < n; i++) planes[c * n + i] = p->values[c][pixels[3 * i + c]];
    }
    return planes;
}

static void check_crop(const char *file, const char *name, const mr_image_processor *p, const mr_bitmap *image, const json_t *expected)
{
    char what[256];
    snprintf(what, sizeof what, "%s %s", file, name);
    assert_int_equal(p->width, json_integer_value(json_array_get(expected, 0)));
    assert_int_equal(p->height, json_integer_value(json_array_get(expected, 1)));
    const size_t bytes = 3 * p->width * p->height;
    uint8_t *pixels = malloc(bytes);
    mr_error error;
    if (mr_image_processor_run(p, image, pixels, &error) != MR_OK) fail_msg("%s: %s", what, error.text);
    expect_checksum(what, pixels, bytes, json_string_value(json_array_get(expected, 2)));
    const char *floats = json_string_value(json_array_get(expected, 3));
    float *planes = as_model_input(p, pixels);
    if (floats != NULL) expect_checksum(what, planes, bytes * sizeof *planes, floats);
    free(planes);
    free(pixels);
}

static size_t check_image(const json_t *image, const json_t *configs)
{
    const char *file = json_string_value(json_object_get(image, "file"));
    size_t size, count = 0;
    char *data = image_file_load(file, &size);
    mr_bitmap bitmap = {0};
    mr_error error;
    const mr_decode_options upright = {0};
    if (mr_image_decode((const uint8_t *)data, size, &upright, &bitmap, &error) == MR_OK) {
        const char *name;
        json_t *expected;
        json_object_foreach(json_object_get(image, "crops"), name, expected)
        {
            const mr_image_processor p = processor_of(json_object_get(configs, name));
            check_crop(file, name, &p, &bitmap, expected);
            count++;
        }
    }
    mr_bitmap_free(&bitmap);
    free(data);
    return count;
}

static void pixels_and_floats_equal_the_references(void **state)
{
    (void)state;
    json_t *document = image_cases_load();
    size_t i, checked = 0;
    json_t *image;
    json_array_foreach(json_object_get(document, "images"), i, image)
    {
        if (strcmp(json_string_value(json_object_get(image, "required")), "ok") == 0) checked += check_image(image, json_object_get(document, "processors"));
    }
    json_decref(document);
    assert_true(checked > 300);
}

static void old_and_new_spellings_mean_the_same(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        "{}",
        "{\"size\": 224, \"crop_size\": 224, \"resample\": 3, \"feature_extractor_type\": \"CLIPFeatureExtractor\"}",
        ("{\"size\": {\"shortest_edge\": 224}, \"crop_size\": {\"height\": 224, \"width\": 224}, \"do_convert_rgb\": true, \"do_rescale\": true, "
         "\"rescale_factor\": 0.00392156862745098, \"image_processor_type\": \"CLIPImageProcessor\", \"size_divisor\": null}"),
    };
    mr_image_processor expected, got;
    mr_error error;
    memset(&expected, 0, sizeof expected);
    assert_int_equal(read_processor(spellings[0], &expected, &error), MR_OK);
    assert_int_equal(expected.shortest_edge, 224);
    for (size_t i = 1; i < sizeof spellings / sizeof *spellings; i++) {
        memset(&got, 0, sizeof got);
        if (read_processor(spellings[i], &got, &error) != MR_OK) fail_msg("%s", error.text);
        assert_memory_equal(&got, &expected, sizeof got);
    }
}

static void classes_have_their_own_defaults(void **state)
{
    (void)state;
    mr_image_processor siglip, vit;
    mr_error error;
    assert_int_equal(read_processor("{\"image_processor_type\": \"SiglipImageProcessorFast\"}", &siglip, &error), MR_OK);
    assert_int_equal(siglip.shortest_edge, 0);
    assert_int_equal(siglip.resize_width, 224);
    assert_int_equal(siglip.width, 224);
    assert_true(siglip.values[0][255] == 1.0f && siglip.values[2][0] == -1.0f);
    assert_int_equal(read_processor("{\"image_processor_type\": \"ViTImageProcessor\", \"size\": 64}", &vit, &error), MR_OK);
    assert_int_equal(vit.filter, MR_RESAMPLE_BILINEAR);
    assert_int_equal(vit.height, 64);
}

static void what_is_not_implemented_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *config, *reason;
        mr_status status;
    } cases[] = {
        {"[]", "not a JSON object", MR_MODEL_CORRUPT},
        {"{\"do_pad\": true}", "do_pad", MR_MODEL_UNSUPPORTED},
        {"{\"image_processor_type\": \"PixtralImageProcessor\"}", "PixtralImageProcessor", MR_MODEL_UNSUPPORTED},
        {"{\"resample\": 9}", "resample", MR_MODEL_UNSUPPORTED},
        {"{\"size\": {\"shortest_edge\": 224, \"longest_edge\": 300}}", "size", MR_MODEL_UNSUPPORTED},
        {"{\"size\": {\"height\": 224}}", "size", MR_MODEL_UNSUPPORTED},
        {"{\"size\": 0}", "size", MR_MODEL_CORRUPT},
        {"{\"size\": 100000}", "size", MR_MODEL_CORRUPT},
        {"{\"size\": -5}", "size", MR_MODEL_CORRUPT},
        {"{\"crop_size\": {\"shortest_edge\": 224}}", "crop_size", MR_MODEL_UNSUPPORTED},
        {"{\"do_center_crop\": false}", "different sizes", MR_MODEL_UNSUPPORTED},
        {"{\"image_std\": [0, 1, 1]}", "image_std", MR_MODEL_CORRUPT},
        {"{\"image_mean\": [0, 1]}", "image_mean", MR_MODEL_CORRUPT},
        {"{\"image_mean\": [0, 1, \"a\"]}", "image_mean", MR_MODEL_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_image_processor processor;
        mr_error error;
        const mr_status status = read_processor(cases[i].config, &processor, &error);
        if (status != cases[i].status || strstr(error.text, cases[i].reason) == NULL) fail_msg("%s: %s", cases[i].config, error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_and_floats_equal_the_references),
        cmocka_unit_test(old_and_new_spellings_mean_the_same),
        cmocka_unit_test(classes_have_their_own_defaults),
        cmocka_unit_test(what_is_not_implemented_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
