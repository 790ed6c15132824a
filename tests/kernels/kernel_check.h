/* What the kernel tests share. The table under test is `kernel`; every case runs once per instruction set. */
#ifndef MR_TESTS_KERNEL_CHECK_H
#define MR_TESTS_KERNEL_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"

extern const mr_kernels *kernel;

/* Row lengths round every vector width and every tile. */
extern const size_t check_sizes[];
extern const size_t check_size_count;

#define FOR_EACH_SIZE(n) for (size_t n##_i = 0, n; n##_i < check_size_count && (n = check_sizes[n##_i], true); n##_i++)

void random_seed(uint64_t seed);
uint64_t random_bits(void);
float random_between(float low, float high);

/* A matrix in its own allocation, `ld` floats between rows and `shift` floats off alignment, so that ASan sees reads beyond
 * its last value. fill: uniform in [-1, 1]. free() `block`. */
typedef struct matrix {
    void *block;
    float *at;
    size_t rows, columns, ld;
} matrix;

matrix matrix_random(size_t rows, size_t columns, size_t pad, size_t shift);
/* Filled with canaries, also between and around the rows. */
matrix matrix_output(size_t rows, size_t columns, size_t pad, size_t shift);
/* Fails when a canary outside [rows, columns] was overwritten. */
void matrix_check_canaries(const matrix *m);

#define CLOSE(got, want, tolerance) check_close((got), (want), (tolerance), __FILE__, __LINE__)
void check_close(float got, double want, double tolerance, const char *file, int line);

/* To nearest even, by arithmetic: 8 significant bits. */
double rounded_to_bf16(double x);

/* The formula of an activation, in double. */
double exact_activation(mr_activation kind, double x);
/* One layer and its memory; sources are `parts` random blocks that sum to n rows, and `weight`, `bias` their values. */
typedef struct layer {
    mr_linear linear;
    void *memory, *scratch;
    matrix weight, bias;
} layer;

layer layer_random(const mr_kernels *kernels, mr_linear_format format, size_t n, size_t k);
/* Of weights and bias that exist already; they stay the caller's. */
layer layer_of(const mr_kernels *kernels, mr_linear_format format, matrix weight, matrix bias);
void layer_free(layer *l);

extern const struct CMUnitTest dispatch_tests[], row_tests[], linear_tests[], attention_tests[], convert_tests[], resample_tests[];
extern const size_t dispatch_test_count, row_test_count, linear_test_count, attention_test_count, convert_test_count,
    resample_test_count;

/* isa NULL: all; part: only the benches whose description ("linear f32 [384, 384] rows 64") holds it. Returns the exit code. */
int bench_kernels(const char *isa, const char *part);

#endif
