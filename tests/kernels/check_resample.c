/* Random axes with weights as large as they may be, against sums in 64 bits. */
#include "kernel_check.h"

typedef struct axis {
    mr_resample_axis view;
    uint32_t *first;
    int32_t *weights;
    int8_t *digits;
} axis;

/* `inputs` samples; the sums stay in 32 bits. */
static axis axis_random(size_t inputs, size_t outputs, size_t taps)
{
    axis a = {.first = calloc(outputs, sizeof *a.first), .weights = calloc(outputs * taps, sizeof *a.weights),
              .digits = calloc(outputs * taps, MR_RESAMPLE_DIGITS)};
    const int32_t largest = (int32_t)(taps <= MR_RESAMPLE_GROUP ? 2096000 : 8384000 / (int32_t)taps); /* 255 taps largest < 2^31 */
    for (size_t i = 0; i < outputs; i++) {
        a.first[i] = (uint32_t)(inputs > taps ? random_bits() % (inputs - taps + 1) : 0);
        for (size_t t = 0; t < taps && a.first[i] + t < inputs; t++) {
            const int32_t weight = (int32_t)(random_bits() % (2 * (uint64_t)largest + 1)) - largest;
            a.weights[i * taps + t] = random_bits() % 8 == 0 ? largest : weight;
        }
        for (size_t t = 0; t < taps; t++) {
            int32_t rest = a.weights[i * taps + t];
            for (size_t d = 0; d < MR_RESAMPLE_DIGITS; d++) {
                const int8_t digit = (int8_t)(rest & 0xff);
                a.digits[((i * taps + t) / MR_RESAMPLE_GROUP * MR_RESAMPLE_DIGITS + d) * MR_RESAMPLE_GROUP + t % MR_RESAMPLE_GROUP] = digit;
                rest = (rest - digit) / 256;
            }
            assert_int_equal(rest, 0);
        }
    }
    a.view = (mr_resample_axis){outputs, taps, a.first, a.weights, a.digits};
    return a;
}

static void axis_free(axis *a)
{
    free(a->first);
    free(a->weights);
    free(a->digits);
}

static uint8_t expected_sample(const mr_resample_axis *a, size_t i, const uint8_t *x, size_t stride, size_t inputs)
{
    int64_t sum = 1 << (MR_RESAMPLE_SHIFT - 1);
    for (size_t t = 0; t < a->taps && a->first[i] + t < inputs; t++) sum += (int64_t)x[(a->first[i] + t) * stride] * a->weights[i * a->taps + t];
    sum >>= MR_RESAMPLE_SHIFT;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* An image in its own allocation with no more behind it than is promised; every third byte is extreme. */
static uint8_t *image_random(size_t bytes)
{
    uint8_t *x = malloc(bytes + MR_RESAMPLE_SLACK);
    for (size_t i = 0; i < bytes + MR_RESAMPLE_SLACK; i++) x[i] = (uint8_t)(random_bits() % 3 == 0 ? 255 * (random_bits() & 1) : random_bits());
    return x;
}

static const size_t tap_counts[] = {4, 8, 12, 56};
static const size_t sides[] = {1, 2, 3, 5, 7, 8, 9, 16, 33, 60};

enum { CANARY = 0xa5, PAD = 7 };

static void check_rows(size_t width, size_t rows, size_t outputs, size_t taps)
{
    axis a = axis_random(width, outputs, taps);
    const size_t ldx = 3 * width + 1, ldy = 3 * outputs + PAD;
    uint8_t *x = image_random(rows * ldx), *y = malloc(rows * ldy);
    memset(y, CANARY, rows * ldy);
    kernel->resample_rows_u8(&a.view, x, ldx, width, y, ldy, rows);
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < 3 * outputs; i++) assert_int_equal(y[r * ldy + i], expected_sample(&a.view, i / 3, x + r * ldx + i % 3, 3, width));
        for (size_t i = 3 * outputs; i < ldy; i++) assert_int_equal(y[r * ldy + i], CANARY);
    }
    free(x);
    free(y);
    axis_free(&a);
}

static void check_columns(size_t n, size_t rows, size_t outputs, size_t taps)
{
    axis a = axis_random(rows, outputs, taps);
    const size_t ldx = n + 2, ldy = n + PAD;
    uint8_t *x = image_random(rows * ldx), *y = malloc(outputs * ldy);
    memset(y, CANARY, outputs * ldy);
    kernel->resample_columns_u8(&a.view, x, ldx, rows, y, ldy, n);
    for (size_t i = 0; i < outputs; i++) {
        for (size_t j = 0; j < n; j++) assert_int_equal(y[i * ldy + j], expected_sample(&a.view, i, x + j, ldx, rows));
        for (size_t j = n; j < ldy; j++) assert_int_equal(y[i * ldy + j], CANARY);
    }
    free(x);
    free(y);
    axis_free(&a);
}

static bool is_allowed(size_t inputs, size_t taps) { return taps <= inputs + MR_RESAMPLE_GROUP - 1; }

static void test_rows_are_resampled_exactly(void **state)
{
    (void)state;
    random_seed(31);
    for (size_t s = 0; s < sizeof sides / sizeof *sides; s++) {
        for (size_t t = 0; t < sizeof tap_counts / sizeof *tap_counts; t++) {
            if (is_allowed(sides[s], tap_counts[t])) check_rows(sides[s], sides[(s + t) % 10], sides[(s + 3 * t) % 10], tap_counts[t]);
        }
    }
}

static void test_columns_are_resampled_exactly(void **state)
{
    (void)state;
    random_seed(32);
    for (size_t s = 0; s < sizeof sides / sizeof *sides; s++) {
        for (size_t t = 0; t < sizeof tap_counts / sizeof *tap_counts; t++) {
            if (!is_allowed(sides[s], tap_counts[t])) continue;
            FOR_EACH_SIZE(n) check_columns(n, sides[s], 3, tap_counts[t]);
        }
    }
}

const struct CMUnitTest resample_tests[] = {
    cmocka_unit_test(test_rows_are_resampled_exactly),
    cmocka_unit_test(test_columns_are_resampled_exactly),
};
const size_t resample_test_count = sizeof resample_tests / sizeof *resample_tests;
