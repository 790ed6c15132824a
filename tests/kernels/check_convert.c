#include "kernel_check.h"

static double value_of_half(uint32_t half)
{
    const int exponent = (int)(half >> 10 & 0x1f);
    const double fraction = half & 0x3ff;
    return exponent == 0 ? ldexp(fraction, -24) : ldexp(1024.0 + fraction, exponent - 25);
}

static uint16_t to_half(float x)
{
    uint16_t y;
    kernel->f32_to_f16(&x, &y, 1);
    return y;
}

static void test_every_half_widens_exactly(void **state)
{
    (void)state;
    static uint16_t halves[65536];
    static float wide[65536];
    for (size_t i = 0; i < 65536; i++) halves[i] = (uint16_t)i;
    kernel->f16_to_f32(halves, wide, 65536);
    for (uint32_t i = 0; i < 65536; i++) {
        const uint32_t magnitude = i & 0x7fff;
        if (magnitude > 0x7c00) {
            assert_true(isnan(wide[i]));
            continue;
        }
        const double value = magnitude == 0x7c00 ? INFINITY : value_of_half(magnitude);
        assert_true(wide[i] == (i > 0x7fff ? -value : value) && (signbit(wide[i]) != 0) == (i > 0x7fff));
    }
}

/* Each half, the points half way to the next one, and the floats beside those. */
static void test_narrowing_to_half_rounds_to_even(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x7c00; i++) {
        const double low = value_of_half(i), high = i == 0x7bff ? 65536.0 : value_of_half(i + 1);
        const float middle = (float)((low + high) / 2.0);
        assert_int_equal(to_half((float)low), i);
        assert_int_equal(to_half(-(float)low), i | 0x8000);
        assert_int_equal(to_half(middle), i + (i & 1));
        assert_int_equal(to_half(nextafterf(middle, 0.0f)), i);
        assert_int_equal(to_half(nextafterf(middle, INFINITY)), i + 1);
    }
    assert_int_equal(to_half(INFINITY), 0x7c00);
    assert_int_equal(to_half(-INFINITY), 0xfc00);
    assert_int_equal(to_half(1e-40f), 0);
    assert_int_equal(to_half(3e38f), 0x7c00);
    assert_true((to_half(NAN) & 0x7e00) == 0x7e00);
}

static void test_bfloat_rounds_to_even(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x10000; i++) {
        static const uint32_t low_halves[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
        for (size_t j = 0; j < sizeof low_halves / sizeof *low_halves; j++) {
            const uint32_t bits = i << 16 | low_halves[j];
            float x, back;
            uint16_t y;
            memcpy(&x, &bits, sizeof x);
            kernel->f32_to_bf16(&x, &y, 1);
            kernel->bf16_to_f32(&y, &back, 1);
            if (isnan(x)) {
                assert_true(isnan(back));
                continue;
            }
            const uint32_t up = low_halves[j] > 0x8000 || (low_halves[j] == 0x8000 && (i & 1));
            assert_int_equal(y, (uint16_t)(i + up));
            assert_int_equal((uint32_t)y << 16, ((union { float f; uint32_t u; }){.f = back}).u);
        }
    }
}

/* Every length: nothing beyond the end is written, and the tail is converted as the body is. */
static void test_tails(void **state)
{
    (void)state;
    FOR_EACH_SIZE(n) {
        matrix x = matrix_random(1, n, 0, 1), y = matrix_output(1, n, 0, 1);
        uint16_t *narrow = malloc((n + 1) * sizeof *narrow);
        assert_non_null(narrow);
        for (int bfloat = 0; bfloat < 2; bfloat++) {
            narrow[n] = 0xabcd;
            (bfloat ? kernel->f32_to_bf16 : kernel->f32_to_f16)(x.at, narrow, n);
            (bfloat ? kernel->bf16_to_f32 : kernel->f16_to_f32)(narrow, y.at, n);
            assert_int_equal(narrow[n], 0xabcd);
            for (size_t i = 0; i < n; i++) CLOSE(y.at[i], x.at[i], fabs(x.at[i]) * (bfloat ? 0x1p-8 : 0x1p-11) + 0x1p-25);
            matrix_check_canaries(&y);
        }
        free(narrow);
        free(x.block);
        free(y.block);
    }
}

const struct CMUnitTest convert_tests[] = {
    cmocka_unit_test(test_every_half_widens_exactly),
    cmocka_unit_test(test_narrowing_to_half_rounds_to_even),
    cmocka_unit_test(test_bfloat_rounds_to_even),
    cmocka_unit_test(test_tails),
};
const size_t convert_test_count = sizeof convert_tests / sizeof *convert_tests;
