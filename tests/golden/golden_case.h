/* A golden case: inputs with their ids, and the tensors a float64 run of the reference gave for them. */
#ifndef MR_TESTS_GOLDEN_CASE_H
#define MR_TESTS_GOLDEN_CASE_H

#include <jansson.h>

#include "capability/text_embedding.h"
#include "weights/checkpoint.h"

typedef struct golden_input {
    const char *name;
    const char *text;
    size_t text_length;
    const char *prompt; /* NULL: the caller gave none */
    int32_t *ids;
    size_t count;
    size_t prompt_length; /* tokens the pooling leaves out */
    int truncated; /* -1: the case does not say */
} golden_input;

typedef struct golden_case {
    json_t *document;
    mr_checkpoint *expected, *trace;
    golden_input *inputs; /* [count], row i of the expected tensors */
    size_t count;
    size_t trace_row;
    double min_cosine, max_abs;    /* of "embedding" in f32 */
    double reference_error;        /* largest difference of the reference's own f32 run; 0 = not known */
    double bf16_cosine, int8_cosine; /* in these classes: of every row, and of the rows' mean */
} golden_case;

/* `directory` holds cases.json, expected.safetensors, trace.safetensors. Fails the running test on any defect. */
void golden_case_load(const char *directory, golden_case *out);
void golden_case_free(golden_case *golden);

/* Rows of a stored tensor [rows, width] or, for one row, [width], decoded; free() it. */
float *golden_tensor(const mr_checkpoint *checkpoint, const char *name, size_t *rows, size_t *width);

/* Compares [n] values: fails the test, naming `what`, unless cosine and largest difference are good. */
void golden_compare(const char *what, const float *got, const float *expected, size_t n, double min_cosine, double max_abs);

/* In double; 1 for two zero vectors, which have no direction to compare. */
double golden_cosine(const float *got, const float *expected, size_t n);

/* The general bound: 1e-5 x max(1, largest expected value). */
double golden_tolerance(const float *expected, size_t n);

#endif
