#include "tests/cm.h"

#include <stdlib.h>

#include "core/work.h"

static double pairs_one_by_one(const mr_work_attention *layer, long length)
{
    double pairs = 0.0;
    for (long query = 0; query < length; query++)
        for (long key = 0; key < length; key++)
            pairs += !(layer->causal && key > query) && !(layer->window > 0 && labs(key - query) > (long)layer->window);
    return pairs;
}

static void attention_counts_what_is_not_masked(void **state)
{
    (void)state;
    static const size_t windows[] = { 0, 1, 3, 8, 9, 100 };
    for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
        for (int causal = 0; causal < 2; causal++) {
            for (size_t length = 1; length < 20; length++) {
                const mr_work_attention layer = { .heads = 3, .kv_heads = 1, .head_dim = 5, .window = windows[w], .causal = causal, .count = 1 };
                assert_float_equal(mr_work_one_attention_flops(&layer, length), 4.0 * 3 * 5 * pairs_one_by_one(&layer, (long)length), 0.0);
            }
        }
    }
}

static void a_fixed_set_of_keys_is_seen_by_all(void **state)
{
    (void)state;
    const mr_work_attention layer = { .heads = 3, .kv_heads = 3, .head_dim = 5, .keys = 7, .count = 1 };
    for (size_t length = 1; length < 20; length++) assert_float_equal(mr_work_one_attention_flops(&layer, length), 4.0 * 3 * 5 * 7 * (double)length, 0.0);
}

static void layers_that_are_always_f32_stay_apart(void **state)
{
    (void)state;
    mr_work work = { 0 };
    mr_work_add_linear(&work, (mr_work_linear){ .n = 8, .k = 4, .count = 1 });
    mr_work_add_linear(&work, (mr_work_linear){ .n = 8, .k = 4, .count = 2, .f32 = true });
    assert_int_equal(work.linear_count, 2);
    assert_float_equal(mr_work_linear_flops(&work), 3 * 2.0 * 8 * 4, 0.0);
    assert_float_equal(mr_work_f32_flops(&work), 2 * 2.0 * 8 * 4, 0.0);
}

static void equal_sizes_are_one_entry(void **state)
{
    (void)state;
    mr_work work = { 0 };
    for (int i = 0; i < 6; i++) mr_work_add_linear(&work, (mr_work_linear){ .n = 8, .k = 4, .count = 1 });
    mr_work_add_linear(&work, (mr_work_linear){ .n = 4, .k = 8, .count = 2 });
    assert_int_equal(work.linear_count, 2);
    assert_int_equal(work.linear[0].count, 6);
    assert_float_equal(mr_work_linear_flops(&work), 2.0 * 8 * 4 * 8, 0.0);
    const mr_work_attention wide = { .heads = 2, .kv_heads = 2, .head_dim = 4, .count = 1 };
    mr_work_attention local = wide;
    local.window = 2;
    mr_work_add_attention(&work, wide);
    mr_work_add_attention(&work, local);
    mr_work_add_attention(&work, wide);
    assert_int_equal(work.attention_count, 2);
    assert_float_equal(mr_work_attention_flops(&work, 10), 2 * mr_work_one_attention_flops(&wide, 10) + mr_work_one_attention_flops(&local, 10), 0.0);
    for (size_t i = 0; i < 100; i++) mr_work_add_linear(&work, (mr_work_linear){ .n = 100 + i, .k = 1, .count = 1 });
    assert_int_equal(work.linear_count, MR_WORK_LINEAR_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(attention_counts_what_is_not_masked), cmocka_unit_test(a_fixed_set_of_keys_is_seen_by_all),
                                        cmocka_unit_test(layers_that_are_always_f32_stay_apart), cmocka_unit_test(equal_sizes_are_one_entry) };
    return RUN_TESTS(tests);
}
