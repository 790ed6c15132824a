#include "kernel_check.h"

static const mr_activation activations[] = {
    MR_ACTIVATION_NONE, MR_ACTIVATION_GELU, MR_ACTIVATION_GELU_TANH, MR_ACTIVATION_QUICK_GELU,
    MR_ACTIVATION_SILU, MR_ACTIVATION_RELU, MR_ACTIVATION_TANH,
};

/* One output value in double, and how far rounding may take it. */
static double exact_output(const layer *l, const float *x, size_t j, double *tolerance)
{
    double sum = l->bias.at[j], magnitude = fabs(sum);
    for (size_t p = 0; p < l->linear.k; p++) {
        const double product = (double)x[p] * (double)l->weight.at[j * l->weight.ld + p];
        sum += product;
        magnitude += fabs(product);
    }
    /* A chain of k + 1 sums errs by half an ulp of a partial sum each, and those by chance cancel: 2 sqrt(k) is ample. */
    *tolerance = magnitude * 0x1p-24 * (2.0 + 2.0 * sqrt((double)l->linear.k));
    return sum;
}

static void check_layer(size_t n, size_t k, size_t rows, mr_activation kind, bool multiply, bool residual)
{
    layer l = layer_random(kernel, n, k);
    matrix x = matrix_random(rows, k, 3, 1), y = matrix_output(rows, n, 5, 1);
    matrix m = matrix_random(rows, n, 1, 1), r = matrix_random(rows, n, 2, 3);
    const mr_epilogue epilogue = {.activation = kind,
                                  .multiplier = multiply ? m.at : NULL,
                                  .ld_multiplier = m.ld,
                                  .residual = residual ? r.at : NULL,
                                  .ld_residual = r.ld};
    mr_linear_run(&l.linear, x.at, x.ld, y.at, y.ld, rows, &epilogue, NULL);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < n; j++) {
            double tolerance, want = exact_activation(kind, exact_output(&l, x.at + i * x.ld, j, &tolerance));
            tolerance = 1.2 * tolerance + 6e-7 * fmax(1.0, fabs(want)); /* slopes of all activations are below 1.2 */
            if (multiply) want *= m.at[i * m.ld + j];
            if (residual) want += r.at[i * r.ld + j];
            CLOSE(y.at[i * y.ld + j], want, tolerance);
        }
    }
    matrix_check_canaries(&y);
    free(x.block);
    free(y.block);
    free(m.block);
    free(r.block);
    layer_free(&l);
}

static void test_shapes(void **state)
{
    (void)state;
    static const size_t ns[] = {1, 15, 16, 17, 63, 64, 65, 130}, ks[] = {1, 3, 16, 33, 100}, rows[] = {1, 2, 3, 4, 5, 6, 7, 97};
    for (size_t a = 0; a < sizeof ns / sizeof *ns; a++) {
        for (size_t b = 0; b < sizeof ks / sizeof *ks; b++) {
            for (size_t c = 0; c < sizeof rows / sizeof *rows; c++) check_layer(ns[a], ks[b], rows[c], MR_ACTIVATION_NONE, false, false);
        }
    }
    check_layer(384, 1536, 13, MR_ACTIVATION_NONE, false, false);
}

static void test_epilogues(void **state)
{
    (void)state;
    for (size_t a = 0; a < sizeof activations / sizeof *activations; a++) {
        for (unsigned flags = 0; flags < 4; flags++) check_layer(37, 20, 8, activations[a], flags & 1, flags & 2);
    }
}

/* The residual (and multiplier) may be the output itself. */
static void test_residual_in_place(void **state)
{
    (void)state;
    layer l = layer_random(kernel, 70, 30);
    matrix x = matrix_random(7, 30, 0, 0), y = matrix_random(7, 70, 0, 0), apart = matrix_output(7, 70, 0, 0);
    const mr_epilogue into = {.residual = y.at, .ld_residual = 70, .multiplier = y.at, .ld_multiplier = 70};
    mr_linear_run(&l.linear, x.at, 30, apart.at, 70, 7, &into, NULL);
    mr_linear_run(&l.linear, x.at, 30, y.at, 70, 7, &into, NULL);
    assert_memory_equal(y.at, apart.at, 7 * 70 * sizeof(float));
    free(x.block);
    free(y.block);
    free(apart.block);
    layer_free(&l);
}

/* The promise of the whole product: a row's bits depend on that row alone. */
static void test_rows_do_not_know_each_other(void **state)
{
    (void)state;
    enum { ROWS = 205, N = 100, K = 77 };
    layer l = layer_random(kernel, N, K);
    matrix x = matrix_random(ROWS, K, 0, 0), all = matrix_output(ROWS, N, 0, 0), one = matrix_output(ROWS, N, 0, 0);
    const mr_epilogue gelu = {.activation = MR_ACTIVATION_GELU};
    x.at[50 * K + 3] = NAN;
    x.at[51 * K + 3] = INFINITY;
    mr_linear_run(&l.linear, x.at, K, all.at, N, ROWS, &gelu, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        if (i != 50) assert_false(isnan(all.at[i * N]) && i != 51);
        mr_linear_run(&l.linear, x.at + i * K, K, one.at + i * N, N, 1, &gelu, NULL);
    }
    assert_memory_equal(all.at, one.at, ROWS * N * sizeof(float));
    for (size_t first = 1; first < 20; first++) {
        mr_linear_run(&l.linear, x.at + first * K, K, one.at, N, 2 * first + 1, &gelu, NULL);
        assert_memory_equal(all.at + first * N, one.at, (2 * first + 1) * N * sizeof(float));
    }
    assert_true(isnan(all.at[50 * N]));
    free(x.block);
    free(all.block);
    free(one.block);
    layer_free(&l);
}

static void test_no_rows(void **state)
{
    (void)state;
    layer l = layer_random(kernel, 5, 4);
    matrix y = matrix_output(1, 5, 0, 0);
    y.rows = 0;
    mr_linear_run(&l.linear, l.weight.at, 4, y.at, 5, 0, NULL, NULL);
    matrix_check_canaries(&y);
    free(y.block);
    layer_free(&l);
}

static void test_prepare_refuses(void **state)
{
    (void)state;
    _Alignas(64) static char memory[4096];
    const float weight[4] = {1, 2, 3, 4};
    const mr_linear_source source = {.weight = weight, .ld = 2, .rows = 2};
    mr_linear out;
    mr_error error = {0};
    const size_t bytes = mr_linear_packed_bytes(kernel, MR_LINEAR_F32, 2, 2);
    assert_true(bytes > 0 && bytes <= sizeof memory);
    assert_int_equal(mr_linear_packed_bytes(kernel, MR_LINEAR_F32, SIZE_MAX - 100, 2), 0);
    assert_int_equal(mr_linear_packed_bytes(kernel, MR_LINEAR_F32, SIZE_MAX / 8, 1024), 0);
    assert_int_equal(mr_linear_packed_bytes(kernel, MR_LINEAR_F32, 0, 2), 0);
    assert_int_equal(mr_linear_prepare(kernel, MR_LINEAR_F32, &source, 1, 2, memory, bytes - 1, &out, &error), MR_INVALID_ARGUMENT);
    assert_int_equal(mr_linear_prepare(kernel, MR_LINEAR_F32, &source, 1, 2, memory + 4, bytes, &out, &error), MR_INVALID_ARGUMENT);
    assert_int_equal(mr_linear_prepare(kernel, MR_LINEAR_F32, &source, 1, 0, memory, bytes, &out, &error), MR_INVALID_ARGUMENT);
    assert_int_equal(mr_linear_prepare(kernel, MR_LINEAR_F32, &source, 0, 2, memory, bytes, &out, &error), MR_INVALID_ARGUMENT);
    assert_int_equal(mr_linear_prepare(kernel, MR_LINEAR_F32, &source, 1, 2, memory, bytes, &out, &error), MR_OK);
}

const struct CMUnitTest linear_tests[] = {
    cmocka_unit_test(test_shapes),
    cmocka_unit_test(test_epilogues),
    cmocka_unit_test(test_residual_in_place),
    cmocka_unit_test(test_rows_do_not_know_each_other),
    cmocka_unit_test(test_no_rows),
    cmocka_unit_test(test_prepare_refuses),
};
const size_t linear_test_count = sizeof linear_tests / sizeof *linear_tests;
