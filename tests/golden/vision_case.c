#include "vision_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/json.h"
#include "image/decode.h"

static void must(mr_status status, const mr_error *error)
{
    if (status != MR_OK) fail_msg("%s", error->text);
}

static const char *below(const char *directory, const char *name)
{
    static char path[2048];
    snprintf(path, sizeof path, "%s/expect/%s", directory, name);
    return path;
}

static mr_image load_image(const char *path, const mr_image_processor *processor)
{
    mr_error error;
    char *data = NULL;
    size_t size;
    mr_bitmap bitmap = {0};
    const mr_decode_options usual = {0};
    must(mr_file_read(path, 1 << 24, &data, &size, &error), &error);
    must(mr_image_decode((const uint8_t *)data, size, &usual, &bitmap, &error), &error);
    uint8_t *pixels = malloc(3 * processor->width * processor->height);
    must(mr_image_processor_run(processor, &bitmap, pixels, &error), &error);
    mr_bitmap_free(&bitmap);
    free(data);
    return (mr_image){.pixels = pixels, .width = processor->width, .height = processor->height};
}

void vision_case_load(const char *directory, vision_case *out)
{
    mr_error error;
    memset(out, 0, sizeof *out);
    must(mr_json_load(below(directory, "cases.json"), 1 << 24, &out->document, &error), &error);
    must(mr_checkpoint_open(below(directory, "expected.safetensors"), &out->expected, &error), &error);
    must(mr_checkpoint_open(below(directory, "trace.safetensors"), &out->trace, &error), &error);
    must(mr_image_embedding_shape_read(directory, &out->shape, &error), &error);
    const json_t *names = json_object_get(out->document, "images");
    out->count = json_array_size(names);
    assert_true(out->count > 0);
    out->images = calloc(out->count, sizeof *out->images);
    for (size_t i = 0; i < out->count; i++) {
        char name[256];
        snprintf(name, sizeof name, "images/%s", json_string_value(json_array_get(names, i)));
        out->images[i] = load_image(below(directory, name), &out->shape.processor);
    }
}

void vision_case_free(vision_case *c)
{
    for (size_t i = 0; i < c->count; i++) free((void *)(uintptr_t)c->images[i].pixels);
    free(c->images);
    mr_checkpoint_close(c->expected);
    mr_checkpoint_close(c->trace);
    json_decref(c->document);
}

double vision_case_tolerance(const vision_case *c, const char *precision, const char *key)
{
    const double value = json_number_value(json_object_get(json_object_get(json_object_get(c->document, "tolerance"), precision), key));
    assert_true(value > 0);
    return value;
}
