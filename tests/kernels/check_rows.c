#include "kernel_check.h"

static const float extremes[] = {0.0f, -0.0f, 1e-45f, -1e-45f, 1e-38f, -1e-38f, 1e-20f, 5.3f, -5.3f, 5.45f, -5.45f, 20.0f, -20.0f,
                                 88.8f, -88.8f, 150.0f, -150.0f, 1e20f, -1e20f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN};

static void test_activations(void **state)
{
    (void)state;
    enum { SWEEP = 60001, COUNT = SWEEP + sizeof extremes / sizeof *extremes };
    float *x = malloc(COUNT * sizeof *x), *y = malloc(COUNT * sizeof *y);
    assert_non_null(x);
    assert_non_null(y);
    for (int i = 0; i < SWEEP; i++) x[i] = -15.0f + 30.0f * (float)i / (SWEEP - 1);
    memcpy(x + SWEEP, extremes, sizeof extremes);
    for (mr_activation kind = MR_ACTIVATION_NONE; kind <= MR_ACTIVATION_TANH; kind++) {
        kernel->activation_f32(kind, x, y, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            const double want = exact_activation(kind, x[i]);
            CLOSE(y[i], want, 5e-7 * fmax(1.0, fabs(want)));
            if (kind == MR_ACTIVATION_GELU) assert_int_equal(isfinite(y[i]) != 0, isfinite(x[i]) != 0);
        }
        kernel->activation_f32(kind, y, y, 0);
    }
    free(x);
    free(y);
}

static void test_activation_tails(void **state)
{
    (void)state;
    FOR_EACH_SIZE(n) {
        matrix x = matrix_random(1, n, 0, 1), y = matrix_output(1, n, 0, 3);
        kernel->activation_f32(MR_ACTIVATION_GELU, x.at, y.at, n);
        for (size_t i = 0; i < n; i++) CLOSE(y.at[i], exact_activation(MR_ACTIVATION_GELU, x.at[i]), 5e-7);
        matrix_check_canaries(&y);
        kernel->activation_f32(MR_ACTIVATION_GELU, x.at, x.at, n);
        assert_memory_equal(x.at, y.at, n * sizeof(float));
        free(x.block);
        free(y.block);
    }
}

static double exact_norm(bool center, const mr_norm *norm, const float *z, size_t i)
{
    double mean = 0.0, squares = 0.0;
    for (size_t j = 0; j < norm->n && center; j++) mean += z[j] / (double)norm->n;
    for (size_t j = 0; j < norm->n; j++) squares += (z[j] - mean) * (z[j] - mean) / (double)norm->n;
    const double y = (z[i] - mean) / sqrt(squares + norm->eps) * (norm->weight != NULL ? norm->weight[i] : 1.0);
    return y + (norm->bias != NULL ? norm->bias[i] : 0.0);
}

static void check_norm(bool center, size_t n, size_t rows, bool parameters, bool residual)
{
    matrix x = matrix_random(rows, n, 1, 1), r = matrix_random(rows, n, 2, 1), y = matrix_output(rows, n, 3, 1);
    matrix weight = matrix_random(1, n, 0, 1), bias = matrix_random(1, n, 0, 3), z = matrix_random(1, n, 0, 0);
    const mr_norm norm = {.n = n, .eps = 1e-5f, .weight = parameters ? weight.at : NULL, .bias = parameters ? bias.at : NULL};
    void (*const run)(const mr_norm *, const float *, size_t, const float *, size_t, float *, size_t, size_t) =
        center ? kernel->layer_norm_f32 : kernel->rms_norm_f32;
    run(&norm, x.at, x.ld, residual ? r.at : NULL, r.ld, y.at, y.ld, rows);
    matrix_check_canaries(&y);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < n; j++) z.at[j] = x.at[i * x.ld + j] + (residual ? r.at[i * r.ld + j] : 0.0f);
        /* n = 2 and values near each other: the mean's rounding is divided by their small distance. */
        for (size_t j = 0; j < n; j++) CLOSE(y.at[i * y.ld + j], exact_norm(center, &norm, z.at, j), n < 4 ? 6e-5 : 4e-6);
        /* Alone and in place: the same bits. */
        run(&norm, x.at + i * x.ld, x.ld, residual ? r.at + i * r.ld : NULL, r.ld, x.at + i * x.ld, x.ld, 1);
        assert_memory_equal(x.at + i * x.ld, y.at + i * y.ld, n * sizeof(float));
    }
    free(x.block);
    free(r.block);
    free(y.block);
    free(weight.block);
    free(bias.block);
    free(z.block);
}

static void test_norms(void **state)
{
    (void)state;
    FOR_EACH_SIZE(n) {
        for (unsigned flags = 0; flags < 8; flags++) check_norm(flags & 1, n, 5, flags & 2, flags & 4);
    }
}

/* A large mean with a small spread: one-pass formulas lose the variance here. */
static void test_norm_with_large_mean(void **state)
{
    (void)state;
    float x[100], y[100];
    const mr_norm norm = {.n = 100, .eps = 1e-12f};
    for (size_t i = 0; i < 100; i++) x[i] = 1000.0f + (i % 2 == 0 ? 0.5f : -0.5f);
    kernel->layer_norm_f32(&norm, x, 100, NULL, 0, y, 100, 1);
    for (size_t i = 0; i < 100; i++) CLOSE(y[i], i % 2 == 0 ? 1.0 : -1.0, 1e-3);
    for (size_t i = 0; i < 100; i++) x[i] = 3.0f;
    kernel->layer_norm_f32(&norm, x, 100, NULL, 0, y, 100, 1);
    for (size_t i = 0; i < 100; i++) CLOSE(y[i], 0.0, 1e-3);
    x[60] = NAN;
    kernel->layer_norm_f32(&norm, x, 100, NULL, 0, y, 100, 1);
    for (size_t i = 0; i < 100; i++) assert_true(isnan(y[i]));
}

static void test_gather(void **state)
{
    (void)state;
    FOR_EACH_SIZE(n) {
        matrix words = matrix_random(50, n, 0, 1), positions = matrix_random(10, n, 1, 1), type = matrix_random(1, n, 0, 0);
        matrix y = matrix_output(7, n, 2, 1);
        int32_t ids[7], at[7];
        for (int32_t i = 0; i < 7; i++) {
            ids[i] = (i * 17 + 3) % 50;
            at[i] = (i * 3) % 10;
        }
        const mr_gather tables[] = {{words.at, words.ld, ids}, {type.at, type.ld, NULL}, {positions.at, positions.ld, at}};
        for (size_t count = 1; count <= 3; count++) {
            kernel->gather_sum_f32(tables, count, y.at, y.ld, 7, n);
            matrix_check_canaries(&y);
            for (size_t r = 0; r < 7; r++) {
                for (size_t i = 0; i < n; i++) {
                    float want = words.at[(size_t)ids[r] * words.ld + i];
                    if (count > 1) want += type.at[i];
                    if (count > 2) want += positions.at[(size_t)at[r] * positions.ld + i];
                    assert_true(y.at[r * y.ld + i] == want);
                }
            }
        }
        free(words.block);
        free(positions.block);
        free(type.block);
        free(y.block);
    }
}

static void test_softmax(void **state)
{
    (void)state;
    FOR_EACH_SIZE(n) {
        matrix x = matrix_random(1, n, 0, 1), y = matrix_output(1, n, 0, 1);
        double total = 0.0;
        for (size_t i = 0; i < n; i++) x.at[i] = i % 5 == 4 ? -INFINITY : x.at[i] * 40.0f + 1000.0f;
        for (size_t i = 0; i < n; i++) total += exp((double)x.at[i] - 1000.0);
        kernel->softmax_f32(x.at, y.at, n);
        matrix_check_canaries(&y);
        for (size_t i = 0; i < n; i++) {
            const double want = exp((double)x.at[i] - 1000.0) / total;
            CLOSE(y.at[i], want, 5e-6 * want + 1e-37);
            if (i % 5 == 4) assert_true(y.at[i] == 0.0f);
        }
        kernel->softmax_f32(x.at, x.at, n);
        assert_memory_equal(x.at, y.at, n * sizeof(float));
        for (size_t i = 0; i < n; i++) x.at[i] = -INFINITY;
        kernel->softmax_f32(x.at, y.at, n);
        for (size_t i = 0; i < n; i++) assert_true(isnan(y.at[i]));
        x.at[n / 2] = NAN;
        x.at[0] = n > 2 ? 1.0f : x.at[0];
        kernel->softmax_f32(x.at, y.at, n);
        for (size_t i = 0; i < n; i++) assert_true(isnan(y.at[i]));
        free(x.block);
        free(y.block);
    }
}

static void test_argmax_and_finite(void **state)
{
    (void)state;
    FOR_EACH_SIZE(n) {
        matrix x = matrix_random(1, n, 0, 1);
        assert_true(kernel->is_finite_f32(x.at, n));
        for (size_t i = 0; i < n; i++) {
            const float kept = x.at[i];
            x.at[i] = 2.0f;
            assert_int_equal(kernel->argmax_f32(x.at, n), i);
            if (i + 1 < n) {
                const float next = x.at[n - 1];
                x.at[n - 1] = 2.0f; /* the first of equals */
                assert_int_equal(kernel->argmax_f32(x.at, n), i);
                x.at[n - 1] = NAN;
                assert_int_equal(kernel->argmax_f32(x.at, n), i);
                x.at[n - 1] = next;
            }
            static const float bad[] = {NAN, INFINITY, -INFINITY};
            for (size_t b = 0; b < 3; b++) {
                x.at[i] = bad[b];
                assert_false(kernel->is_finite_f32(x.at, n));
            }
            x.at[i] = 3e38f;
            assert_true(kernel->is_finite_f32(x.at, n));
            x.at[i] = kept;
        }
        for (size_t i = 0; i < n; i++) x.at[i] = NAN;
        assert_int_equal(kernel->argmax_f32(x.at, n), 0);
        free(x.block);
    }
}

static double exact_pooled(mr_pooling kind, const matrix *x, size_t rows, size_t first, size_t column)
{
    double sum = 0.0, weights = 0.0, top = -INFINITY;
    for (size_t t = first; t < rows; t++) {
        const double value = x->at[t * x->ld + column], weight = kind == MR_POOLING_WEIGHTED_MEAN ? (double)t + 1.0 : 1.0;
        sum += weight * value;
        weights += weight;
        top = fmax(top, value);
    }
    if (first >= rows) return 0.0;
    if (kind == MR_POOLING_CLS) return x->at[first * x->ld + column];
    if (kind == MR_POOLING_LAST) return x->at[(rows - 1) * x->ld + column];
    if (kind == MR_POOLING_MAX) return top;
    return sum / (kind == MR_POOLING_MEAN_SQRT_LEN ? sqrt(weights) : weights);
}

static void test_pooling(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 2, 64, 65, 300}, firsts[] = {0, 1, 5};
    for (size_t a = 0; a < 5 * 3; a++) {
        FOR_EACH_SIZE(n) {
            matrix x = matrix_random(rows[a / 3], n, 1, 1), y = matrix_output(1, n, 0, 1);
            for (mr_pooling kind = MR_POOLING_CLS; kind <= MR_POOLING_WEIGHTED_MEAN; kind++) {
                kernel->pool_f32(kind, x.at, x.ld, x.rows, firsts[a % 3], n, y.at);
                matrix_check_canaries(&y);
                for (size_t i = 0; i < n; i++) CLOSE(y.at[i], exact_pooled(kind, &x, x.rows, firsts[a % 3], i), 4e-6);
            }
            x.at[0] = NAN;
            kernel->pool_f32(MR_POOLING_MAX, x.at, x.ld, x.rows, 0, n, y.at);
            assert_true(isnan(y.at[0]) && (n == 1 || !isnan(y.at[1])));
            free(x.block);
            free(y.block);
        }
    }
}

static void test_l2_and_dot(void **state)
{
    (void)state;
    FOR_EACH_SIZE(n) {
        matrix x = matrix_random(9, n, 1, 1), y = matrix_output(1, n, 0, 1), scores = matrix_output(1, 9, 0, 1);
        kernel->dot_rows_f32(x.at, x.at, x.ld, 9, n, scores.at);
        matrix_check_canaries(&scores);
        double norm = 0.0;
        for (size_t r = 0; r < 9; r++) {
            double sum = 0.0;
            for (size_t i = 0; i < n; i++) sum += (double)x.at[i] * (double)x.at[r * x.ld + i];
            CLOSE(scores.at[r], sum, 2e-5);
            float alone;
            kernel->dot_rows_f32(x.at, x.at + r * x.ld, x.ld, 1, n, &alone);
            assert_true(alone == scores.at[r]);
            if (r == 0) norm = sqrt(sum);
        }
        kernel->l2_normalize_f32(x.at, y.at, n);
        matrix_check_canaries(&y);
        for (size_t i = 0; i < n; i++) CLOSE(y.at[i], x.at[i] / norm, 1e-6);
        kernel->l2_normalize_f32(x.at, x.at, n);
        assert_memory_equal(x.at, y.at, n * sizeof(float));
        memset(x.at, 0, n * sizeof(float));
        kernel->l2_normalize_f32(x.at, y.at, n);
        for (size_t i = 0; i < n; i++) assert_true(y.at[i] == 0.0f);
        free(x.block);
        free(y.block);
        free(scores.block);
    }
}

static void check_rope(size_t half, size_t head_dim, bool interleaved)
{
    enum { ROWS = 5, HEADS = 3, POSITIONS = 9 };
    matrix x = matrix_random(ROWS, HEADS * head_dim, 0, 0), y = matrix_output(ROWS, HEADS * head_dim, 2, 1);
    matrix cosine = matrix_random(POSITIONS, half, 0, 1), sine = matrix_random(POSITIONS, half, 0, 1);
    const int32_t positions[ROWS] = {0, 8, 3, 3, 1};
    for (size_t r = 0; r < ROWS; r++) memcpy(y.at + r * y.ld, x.at + r * x.ld, x.columns * sizeof(float));
    kernel->rope_f32(y.at, y.ld, ROWS, HEADS, head_dim, half, cosine.at, sine.at, positions, interleaved);
    matrix_check_canaries(&y);
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < HEADS * head_dim; i++) {
            const size_t in_head = i % head_dim, j = interleaved ? in_head / 2 : in_head % half;
            double want = x.at[r * x.ld + i];
            if (in_head < 2 * half) {
                const bool second = interleaved ? in_head % 2 : in_head >= half;
                const size_t step = interleaved ? 1 : half, partner = second ? i - step : i + step;
                const double c = cosine.at[(size_t)positions[r] * half + j], s = sine.at[(size_t)positions[r] * half + j];
                want = want * c + (second ? 1.0 : -1.0) * x.at[r * x.ld + partner] * s;
            }
            CLOSE(y.at[r * y.ld + i], want, in_head < 2 * half ? 3e-7 : 0.0);
        }
    }
    free(x.block);
    free(y.block);
    free(cosine.block);
    free(sine.block);
}

static void test_rope(void **state)
{
    (void)state;
    static const size_t halves[] = {1, 4, 6, 8, 15, 16, 17, 32, 64};
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            check_rope(halves[i], 2 * halves[i], interleaved);
            check_rope(halves[i], 2 * halves[i] + 3, interleaved);
        }
    }
}

static void test_streams(void **state)
{
    (void)state;
    FOR_EACH_SIZE(n) {
        matrix a = matrix_random(1, n, 0, 1), b = matrix_random(1, n, 0, 0), y = matrix_output(1, n, 0, 1);
        double sum = 0.0;
        for (size_t i = 0; i < n; i++) sum += a.at[i];
        CLOSE(kernel->stream_read_f32(a.at, n), sum, 1e-6 * (double)n);
        kernel->stream_triad_f32(y.at, a.at, b.at, n);
        for (size_t i = 0; i < n; i++) CLOSE(y.at[i], a.at[i] + 3.0 * b.at[i], 5e-7);
        matrix_check_canaries(&y);
        free(a.block);
        free(b.block);
        free(y.block);
    }
}

const struct CMUnitTest row_tests[] = {
    cmocka_unit_test(test_activations),
    cmocka_unit_test(test_activation_tails),
    cmocka_unit_test(test_norms),
    cmocka_unit_test(test_norm_with_large_mean),
    cmocka_unit_test(test_gather),
    cmocka_unit_test(test_softmax),
    cmocka_unit_test(test_argmax_and_finite),
    cmocka_unit_test(test_pooling),
    cmocka_unit_test(test_l2_and_dot),
    cmocka_unit_test(test_rope),
    cmocka_unit_test(test_streams),
};
const size_t row_test_count = sizeof row_tests / sizeof *row_tests;
