/* Stored vectors: binary16 exhaustively, int8 and binary by their definitions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io_fixture.h"
#include "io/vector_convert.h"

static double half_value(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double magnitude = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return half & 0x8000 ? -magnitude : magnitude;
}

static void every_half(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits;
        float value = mr_f16_to_f32(half);
        double exact = half_value(half);
        if (isnan(exact)) {
            assert_true(isnan(value));
            assert_true(isnan(half_value(mr_f16_from_f32(value))));
            continue;
        }
        assert_true((double)value == exact && !signbit(value) == !signbit(exact));
        assert_int_equal(mr_f16_from_f32(value), half);
    }
}

/* Between each two neighbours: below, at and above the middle; ties go to the even one. */
static void rounding(void **state)
{
    (void)state;
    for (uint16_t half = 0; half < 0x7C00; half++) {
        double low = half_value(half), high = half + 1 == 0x7C00 ? 65536.0 : half_value(half + 1);
        float middle = (float)((low + high) / 2); /* exact: one bit more than a half has */
        uint16_t even = half & 1 ? half + 1 : half;
        assert_int_equal(mr_f16_from_f32(middle), even);
        assert_int_equal(mr_f16_from_f32(-middle), even | 0x8000);
        assert_int_equal(mr_f16_from_f32(nextafterf(middle, 0.0f)), half);
        assert_int_equal(mr_f16_from_f32(nextafterf(middle, INFINITY)), half + 1);
    }
    assert_int_equal(mr_f16_from_f32(1e30f), 0x7C00);
    assert_int_equal(mr_f16_from_f32(-INFINITY), 0xFC00);
    assert_int_equal(mr_f16_from_f32(1e-30f), 0);
}

static void int8_rows(void **state)
{
    (void)state;
    const float vector[] = { 0.5f, -0.25f, 0.0f, 0.1f, -0.5f };
    int8_t stored[5];
    float scale, back[5];
    mr_vector_store(MR_VECTOR_INT8, vector, 5, stored, &scale);
    assert_true(scale == 0.5f / 127.0f);
    const int8_t expected[] = { 127, -64, 0, 25, -127 }; /* -63.5 goes to even */
    assert_memory_equal(stored, expected, 5);
    mr_vector_load(MR_VECTOR_INT8, stored, scale, 5, back);
    for (int i = 0; i < 5; i++) assert_true(fabsf(back[i] - vector[i]) <= scale / 2 * 1.0001f);
    const float zeros[5] = { 0 };
    mr_vector_store(MR_VECTOR_INT8, zeros, 5, stored, &scale);
    assert_true(scale == 0.0f && stored[0] == 0);
    const float tiny[] = { 1e-45f, 0, 0, 0, 0 }; /* the scale underflows: no division by zero */
    mr_vector_store(MR_VECTOR_INT8, tiny, 5, stored, &scale);
    assert_int_equal(stored[0], 0);
}

static void binary_rows(void **state)
{
    (void)state;
    const float vector[] = { 1, -1, 0, 0.1f, -0.0f, 2, -3, 4, 5, -6 };
    uint8_t stored[2];
    float back[10];
    assert_int_equal(mr_vector_stored_bytes(MR_VECTOR_BINARY, 10), 2);
    mr_vector_store(MR_VECTOR_BINARY, vector, 10, stored, NULL);
    assert_int_equal(stored[0], 0x95); /* 1001 0101, as numpy.packbits(vector > 0) */
    assert_int_equal(stored[1], 0x80);
    mr_vector_load(MR_VECTOR_BINARY, stored, 0, 10, back);
    for (int i = 0; i < 10; i++) assert_true(back[i] == (vector[i] > 0 ? 1.0f : -1.0f));
}

static void failed_rows(void **state)
{
    (void)state;
    float f32[3], scale = 7;
    uint16_t f16[3];
    int8_t i8[3];
    mr_vector_store(MR_VECTOR_F32, NULL, 3, f32, NULL);
    mr_vector_store(MR_VECTOR_F16, NULL, 3, f16, NULL);
    mr_vector_store(MR_VECTOR_INT8, NULL, 3, i8, &scale);
    for (int i = 0; i < 3; i++) assert_true(isnan(f32[i]) && f16[i] == 0x7E00 && i8[i] == 0);
    assert_true(scale == 0.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half),  cmocka_unit_test(rounding),    cmocka_unit_test(int8_rows),
        cmocka_unit_test(binary_rows), cmocka_unit_test(failed_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
