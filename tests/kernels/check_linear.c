#include "kernel_check.h"

static const mr_activation activations[] = {
    MR_ACTIVATION_NONE, MR_ACTIVATION_GELU, MR_ACTIVATION_GELU_TANH, MR_ACTIVATION_QUICK_GELU,
    MR_ACTIVATION_SILU, MR_ACTIVATION_RELU, MR_ACTIVATION_TANH,
};

#define FOR_EACH_FORMAT(format) for (mr_linear_format format = MR_LINEAR_F32; format < MR_LINEAR_FORMAT_COUNT; format++)

/* What a format makes of a row of weights or of activations, in double. */
static void stored_row(mr_linear_format format, bool weight, const float *x, size_t k, double *out)
{
    float least = 0.0f, largest = 0.0f;
    for (size_t p = 0; p < k; p++) {
        least = fminf(least, x[p]);
        largest = fmaxf(largest, x[p]);
    }
    const float scale = weight ? fmaxf(largest, -least) / 127.0f : (largest - least) / 255.0f;
    const float inverse = 255.0f / (largest - least), zero = nearbyintf(-least * inverse);
    for (size_t p = 0; p < k; p++) {
        out[p] = x[p];
        if (format == MR_LINEAR_BF16) out[p] = rounded_to_bf16(x[p]);
        if (format == MR_LINEAR_INT8 && weight) out[p] = scale > 0.0f ? (double)scale * (double)nearbyintf(x[p] / scale) : 0.0;
        if (format == MR_LINEAR_INT8 && !weight) {
            const float q = fminf(fmaxf(nearbyintf(x[p] * inverse) + zero, 0.0f), 255.0f);
            out[p] = scale > 0.0f ? (double)scale * (double)(q - zero) : 0.0;
        }
    }
}

/* The layer's weights as stored, [n, k] in double. free() it. */
static double *stored_weights(const layer *l)
{
    const size_t n = l->linear.n, k = l->linear.k;
    double *all = malloc(n * k * sizeof *all);
    assert_non_null(all);
    for (size_t j = 0; j < n; j++) stored_row(l->linear.format, true, l->weight.at + j * l->weight.ld, k, all + j * k);
    return all;
}

/* The sums of one row of x in double, [n], and how far rounding may take each. */
static void exact_row(const layer *l, const double *weights, const float *x, double *sums, double *tolerances)
{
    const size_t n = l->linear.n, k = l->linear.k;
    double *a = malloc(k * sizeof *a);
    assert_non_null(a);
    stored_row(l->linear.format, false, x, k, a);
    for (size_t j = 0; j < n; j++) {
        double sum = l->bias.at[j], magnitude = fabs(sum);
        for (size_t p = 0; p < k; p++) {
            sum += a[p] * weights[j * k + p];
            magnitude += fabs(a[p] * weights[j * k + p]);
        }
        sums[j] = sum;
        /* A chain of k + 1 sums errs by half an ulp of a partial sum each, and those by chance cancel: 2 sqrt(k) is ample. */
        tolerances[j] = magnitude * 0x1p-24 * (2.0 + 2.0 * sqrt((double)k));
    }
    free(a);
}

/* Of the activation alone (kernels.h, gemm.h). */
static double activation_tolerance(mr_linear_format format, mr_activation kind, double want)
{
    const bool coarse = format != MR_LINEAR_F32 && kind == MR_ACTIVATION_GELU && strcmp(kernel->name, "ref") != 0;
    return coarse ? 5e-5 : 6e-7 * fmax(1.0, fabs(want));
}

static void check_layer(mr_linear_format format, size_t n, size_t k, size_t rows, mr_activation kind, bool multiply, bool residual)
{
    layer l = layer_random(kernel, format, n, k);
    matrix x = matrix_random(rows, k, 3, 1), y = matrix_output(rows, n, 5, 1);
    matrix m = matrix_random(rows, n, 1, 1), r = matrix_random(rows, n, 2, 3);
    double *weights = stored_weights(&l), *sums = malloc(n * sizeof *sums), *tolerances = malloc(n * sizeof *tolerances);
    assert_non_null(sums);
    assert_non_null(tolerances);
    const mr_epilogue epilogue = {.activation = kind,
                                  .multiplier = multiply ? m.at : NULL,
                                  .ld_multiplier = m.ld,
                                  .residual = residual ? r.at : NULL,
                                  .ld_residual = r.ld};
    mr_linear_run(&l.linear, x.at, x.ld, y.at, y.ld, rows, &epilogue, l.scratch);
    for (size_t i = 0; i < rows; i++) {
        exact_row(&l, weights, x.at + i * x.ld, sums, tolerances);
        for (size_t j = 0; j < n; j++) {
            double want = exact_activation(kind, sums[j]);
            const double tolerance = 1.2 * tolerances[j] + activation_tolerance(format, kind, want); /* all activations' slopes are below 1.2 */
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
    free(weights);
    free(sums);
    free(tolerances);
    layer_free(&l);
}

static void test_shapes(void **state)
{
    (void)state;
    static const size_t ns[] = {1, 15, 16, 17, 63, 64, 65, 130}, ks[] = {1, 2, 3, 5, 16, 33, 100}, rows[] = {1, 2, 3, 4, 5, 6, 7, 97};
    FOR_EACH_FORMAT(format) {
        for (size_t a = 0; a < sizeof ns / sizeof *ns; a++) {
            for (size_t b = 0; b < sizeof ks / sizeof *ks; b++) {
                /* Every number of rows of a tile, turn by turn. */
                check_layer(format, ns[a], ks[b], rows[(a + b) % 8], MR_ACTIVATION_NONE, false, false);
                check_layer(format, ns[a], ks[b], rows[(a + b + 3) % 7], MR_ACTIVATION_NONE, false, false);
            }
        }
        check_layer(format, 384, 1536, 13, MR_ACTIVATION_NONE, false, false);
    }
}

static void test_epilogues(void **state)
{
    (void)state;
    FOR_EACH_FORMAT(format) {
        for (size_t a = 0; a < sizeof activations / sizeof *activations; a++) {
            for (unsigned flags = 0; flags < 4; flags++) check_layer(format, 37, 20, 8, activations[a], flags & 1, flags & 2);
        }
    }
}

/* The residual and the multiplier may be the output itself. */
static void test_residual_in_place(void **state)
{
    (void)state;
    FOR_EACH_FORMAT(format) {
        layer l = layer_random(kernel, format, 70, 30);
        matrix x = matrix_random(7, 30, 0, 0), y = matrix_random(7, 70, 0, 0), apart = matrix_output(7, 70, 0, 0);
        const mr_epilogue into = {.residual = y.at, .ld_residual = 70, .multiplier = y.at, .ld_multiplier = 70};
        mr_linear_run(&l.linear, x.at, 30, apart.at, 70, 7, &into, l.scratch);
        mr_linear_run(&l.linear, x.at, 30, y.at, 70, 7, &into, l.scratch);
        assert_memory_equal(y.at, apart.at, 7 * 70 * sizeof(float));
        free(x.block);
        free(y.block);
        free(apart.block);
        layer_free(&l);
    }
}

/* The promise of the whole product: a row's bits depend on that row alone. */
static void test_rows_do_not_know_each_other(void **state)
{
    (void)state;
    enum { ROWS = 205, N = 100, K = 77 };
    FOR_EACH_FORMAT(format) {
        layer l = layer_random(kernel, format, N, K);
        matrix x = matrix_random(ROWS, K, 0, 0), all = matrix_output(ROWS, N, 0, 0), one = matrix_output(ROWS, N, 0, 0);
        const mr_epilogue gelu = {.activation = MR_ACTIVATION_GELU};
        x.at[50 * K + 3] = NAN;
        x.at[51 * K + 3] = INFINITY;
        for (size_t p = 0; p < K; p++) x.at[52 * K + p] *= 1e30f;
        mr_linear_run(&l.linear, x.at, K, all.at, N, ROWS, &gelu, l.scratch);
        for (size_t i = 0; i < ROWS; i++) {
            if (i != 51) assert_true(isnan(all.at[i * N + 7]) == (i == 50));
            mr_linear_run(&l.linear, x.at + i * K, K, one.at + i * N, N, 1, &gelu, l.scratch);
        }
        assert_memory_equal(all.at, one.at, ROWS * N * sizeof(float));
        for (size_t first = 1; first < 20; first++) {
            mr_linear_run(&l.linear, x.at + first * K, K, one.at, N, 2 * first + 1, &gelu, l.scratch);
            assert_memory_equal(all.at + first * N, one.at, (2 * first + 1) * N * sizeof(float));
        }
        free(x.block);
        free(all.block);
        free(one.block);
        layer_free(&l);
    }
}

/* bf16 and int8 give the same bits with the CPU's own instruction and without; subnormal numbers and huge ones included. */
static void test_same_bits_as_the_emulation(void **state)
{
    (void)state;
    enum { ROWS = 11, N = 70, K = 131 };
    const mr_kernels *emulation = mr_kernels_for_isa("avx2");
    if (emulation == NULL || strcmp(kernel->name, "ref") == 0) return;
    for (mr_linear_format format = MR_LINEAR_BF16; format <= MR_LINEAR_INT8; format++) {
        for (int magnitude = -140; magnitude <= 120; magnitude += 20) {
            matrix weight = matrix_random(N, K, 0, 0), bias = matrix_random(1, N, 0, 0), x = matrix_random(ROWS, K, 0, 0);
            matrix y = matrix_output(ROWS, N, 0, 0), want = matrix_output(ROWS, N, 0, 0);
            for (size_t p = 0; p < ROWS * K; p++) x.at[p] = ldexpf(x.at[p], magnitude / 2 - (int)(p % 40));
            for (size_t p = 0; p < N * K; p++) weight.at[p] = ldexpf(weight.at[p], magnitude / 2);
            for (size_t j = 0; j < N; j++) bias.at[j] = ldexpf(bias.at[j], magnitude);
            layer ours = layer_of(kernel, format, weight, bias), theirs = layer_of(emulation, format, weight, bias);
            mr_linear_run(&ours.linear, x.at, K, y.at, N, ROWS, NULL, ours.scratch);
            mr_linear_run(&theirs.linear, x.at, K, want.at, N, ROWS, NULL, theirs.scratch);
            assert_memory_equal(y.at, want.at, ROWS * N * sizeof(float));
            free(theirs.memory);
            free(theirs.scratch);
            layer_free(&ours);
            free(x.block);
            free(y.block);
            free(want.block);
        }
    }
}

/* Largest products of one sign: sums of pairs would not fit 16 bits. */
static void test_int8_does_not_saturate(void **state)
{
    (void)state;
    enum { N = 33, K = 1024 };
    for (int sign = -1; sign <= 1; sign += 2) {
        matrix weight = matrix_random(N, K, 0, 0), bias = matrix_random(1, N, 0, 0), x = matrix_random(2, K, 0, 0);
        float y[2 * N];
        for (size_t p = 0; p < N * K; p++) weight.at[p] = (float)sign;
        for (size_t p = 0; p < 2 * K; p++) x.at[p] = p < K ? 2.0f : -2.0f;
        for (size_t j = 0; j < N; j++) bias.at[j] = 0.0f;
        layer l = layer_of(kernel, MR_LINEAR_INT8, weight, bias);
        mr_linear_run(&l.linear, x.at, K, y, N, 2, NULL, l.scratch);
        for (size_t j = 0; j < 2 * N; j++) CLOSE(y[j], (j < N ? 2.0 : -2.0) * sign * K, 1e-3);
        layer_free(&l);
        free(x.block);
    }
}

/* Rows that a scale cannot be made of. */
static void test_int8_odd_rows(void **state)
{
    (void)state;
    enum { N = 20, K = 24 };
    layer l = layer_random(kernel, MR_LINEAR_INT8, N, K);
    float x[K] = {0}, y[N];
    static const float alone[] = {0.0f, 1e-45f, 1e-35f, 3e38f, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        x[5] = alone[i];
        mr_linear_run(&l.linear, x, K, y, N, 1, NULL, l.scratch);
        for (size_t j = 0; j < N; j++) {
            if (!isfinite(alone[i])) {
                assert_true(isnan(y[j]));
            } else if (alone[i] < 1.0f) {
                CLOSE(y[j], l.bias.at[j], 1e-30);
            } else {
                assert_true(isfinite(y[j]));
            }
        }
    }
    x[5] = 3e38f;
    x[6] = -3e38f; /* the range itself overflows */
    mr_linear_run(&l.linear, x, K, y, N, 1, NULL, l.scratch);
    for (size_t j = 0; j < N; j++) assert_true(isnan(y[j]));
    layer_free(&l);
}

static void test_no_rows(void **state)
{
    (void)state;
    FOR_EACH_FORMAT(format) {
        layer l = layer_random(kernel, format, 5, 4);
        matrix y = matrix_output(1, 5, 0, 0);
        y.rows = 0;
        mr_linear_run(&l.linear, l.weight.at, 4, y.at, 5, 0, NULL, l.scratch);
        matrix_check_canaries(&y);
        free(y.block);
        layer_free(&l);
    }
}

static mr_status prepare(mr_linear_format format, const mr_linear_source *source, size_t count, size_t k, void *memory, size_t bytes)
{
    mr_linear out;
    mr_error error = {0};
    return mr_linear_prepare(kernel, format, source, count, k, memory, bytes, &out, &error);
}

static void test_prepare_refuses(void **state)
{
    (void)state;
    _Alignas(64) static char memory[4096];
    float weight[4] = {1, 2, 3, 4};
    const mr_linear_source source = {.weight = weight, .ld = 2, .rows = 2};
    FOR_EACH_FORMAT(format) {
        const size_t bytes = mr_linear_packed_bytes(kernel, format, 2, 2);
        assert_true(bytes > 0 && bytes <= sizeof memory);
        assert_int_equal(mr_linear_packed_bytes(kernel, format, SIZE_MAX - 100, 2), 0);
        assert_int_equal(mr_linear_packed_bytes(kernel, format, SIZE_MAX / 8, 1024), 0);
        assert_int_equal(mr_linear_packed_bytes(kernel, format, 0, 2), 0);
        assert_int_equal(prepare(format, &source, 1, 2, memory, bytes - 1), MR_INVALID_ARGUMENT);
        assert_int_equal(prepare(format, &source, 1, 2, memory + 4, bytes), MR_INVALID_ARGUMENT);
        assert_int_equal(prepare(format, &source, 1, 0, memory, bytes), MR_INVALID_ARGUMENT);
        assert_int_equal(prepare(format, &source, 0, 2, memory, bytes), MR_INVALID_ARGUMENT);
        assert_int_equal(prepare(format, &source, 1, 2, memory, bytes), MR_OK);
    }
    const size_t long_rows = MR_LINEAR_INT8_K_MAX + 1;
    assert_int_equal(prepare(MR_LINEAR_INT8, &source, 1, long_rows, memory, mr_linear_packed_bytes(kernel, MR_LINEAR_INT8, 2, long_rows)),
                     MR_INVALID_ARGUMENT);
    weight[3] = NAN;
    assert_int_equal(prepare(MR_LINEAR_INT8, &source, 1, 2, memory, sizeof memory), MR_INVALID_ARGUMENT);
}

const struct CMUnitTest linear_tests[] = {
    cmocka_unit_test(test_shapes),
    cmocka_unit_test(test_epilogues),
    cmocka_unit_test(test_residual_in_place),
    cmocka_unit_test(test_rows_do_not_know_each_other),
    cmocka_unit_test(test_same_bits_as_the_emulation),
    cmocka_unit_test(test_int8_does_not_saturate),
    cmocka_unit_test(test_int8_odd_rows),
    cmocka_unit_test(test_no_rows),
    cmocka_unit_test(test_prepare_refuses),
};
const size_t linear_test_count = sizeof linear_tests / sizeof *linear_tests;
