#include "golden_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/json.h"

static void must(mr_status status, const mr_error *error)
{
    if (status != MR_OK) fail_msg("%s", error->text);
}

static void load_input(golden_case *golden, const json_t *entry)
{
    size_t row = (size_t)json_integer_value(json_object_get(entry, "row"));
    const json_t *text = json_object_get(entry, "text"), *ids = json_object_get(entry, "input_ids");
    assert_true(row < golden->count);
    golden_input *input = &golden->inputs[row];
    input->name = json_string_value(json_object_get(entry, "name"));
    input->text = json_string_value(text);
    input->text_length = json_string_length(text);
    input->prompt = json_string_value(json_object_get(entry, "prompt"));
    input->prompt_length = (size_t)json_integer_value(json_object_get(entry, "prompt_length"));
    const json_t *truncated = json_object_get(entry, "truncated");
    input->truncated = truncated ? json_is_true(truncated) : -1;
    input->count = json_array_size(ids);
    input->ids = calloc(input->count, sizeof *input->ids);
    assert_non_null(input->ids);
    for (size_t i = 0; i < input->count; i++) input->ids[i] = (int32_t)json_integer_value(json_array_get(ids, i));
}

void golden_case_load(const char *directory, golden_case *out)
{
    mr_error error = { 0 };
    char *cases = mr_path_join(directory, "cases.json"), *expected = mr_path_join(directory, "expected.safetensors"),
         *trace = mr_path_join(directory, "trace.safetensors");
    *out = (golden_case){ 0 };
    must(mr_json_load(cases, (size_t)64 << 20, &out->document, &error), &error);
    must(mr_checkpoint_open(expected, &out->expected, &error), &error);
    must(mr_checkpoint_open(trace, &out->trace, &error), &error);
    const json_t *inputs = json_object_get(out->document, "inputs");
    const json_t *classes = json_object_get(out->document, "tolerance"), *bounds = json_object_get(classes, "f32");
    out->bf16_cosine = json_number_value(json_object_get(json_object_get(classes, "bf16"), "cosine"));
    out->int8_cosine = json_number_value(json_object_get(json_object_get(classes, "int8"), "cosine"));
    out->min_cosine = json_number_value(json_object_get(bounds, "cosine"));
    out->reference_error = json_number_value(json_object_get(json_object_get(out->document, "reference_f32_error"), "max_abs"));
    out->max_abs = json_number_value(json_object_get(bounds, "max_abs"));
    assert_true(out->min_cosine > 0.99 && out->max_abs > 0 && out->bf16_cosine > 0.9 && out->int8_cosine > 0.9);
    out->count = json_array_size(inputs);
    assert_true(out->count > 0);
    out->inputs = calloc(out->count, sizeof *out->inputs);
    assert_non_null(out->inputs);
    for (size_t i = 0; i < out->count; i++) load_input(out, json_array_get(inputs, i));
    const char *traced = json_string_value(json_object_get(json_object_get(out->document, "trace"), "input"));
    for (out->trace_row = 0; strcmp(out->inputs[out->trace_row].name, traced) != 0; out->trace_row++) assert_true(out->trace_row + 1 < out->count);
    free(cases);
    free(expected);
    free(trace);
}

void golden_case_free(golden_case *golden)
{
    for (size_t i = 0; i < golden->count; i++) free(golden->inputs[i].ids);
    free(golden->inputs);
    mr_checkpoint_close(golden->expected);
    mr_checkpoint_close(golden->trace);
    json_decref(golden->document);
}

float *golden_tensor(const mr_checkpoint *checkpoint, const char *name, size_t *rows, size_t *width)
{
    const mr_tensor *tensor = mr_checkpoint_find(checkpoint, name);
    if (!tensor) fail_msg("no tensor %s", name);
    *rows = tensor->rank == 2 ? tensor->shape[0] : 1;
    *width = tensor->shape[tensor->rank - 1];
    float *values = malloc(tensor->elements * sizeof *values);
    assert_non_null(values);
    mr_tensor_to_f32(tensor, values);
    return values;
}

double golden_cosine(const float *got, const float *expected, size_t n)
{
    double dot = 0, got_square = 0, expected_square = 0;
    for (size_t i = 0; i < n; i++) {
        dot += (double)got[i] * (double)expected[i];
        got_square += (double)got[i] * (double)got[i];
        expected_square += (double)expected[i] * (double)expected[i];
    }
    return got_square == 0 && expected_square == 0 ? 1 : dot / sqrt(got_square * expected_square);
}

void golden_compare(const char *what, const float *got, const float *expected, size_t n, double min_cosine, double max_abs)
{
    double largest = 0, cosine = golden_cosine(got, expected, n);
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)got[i] - (double)expected[i]);
        if (!(difference <= largest)) largest = difference; /* a NaN stays */
    }
    if (!(largest <= max_abs) || !(cosine >= min_cosine))
        fail_msg("%s: max abs %.3g (allowed %.3g), cosine %.9f", what, largest, max_abs, cosine);
}

double golden_tolerance(const float *expected, size_t n)
{
    double largest = 1;
    for (size_t i = 0; i < n; i++)
        if (fabs((double)expected[i]) > largest) largest = fabs((double)expected[i]);
    return 1e-5 * largest;
}
