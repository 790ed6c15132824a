/* Measuring: the arithmetic round the clock, and that what is written is well-formed. Times themselves are not judged. */
#include "tests/cm.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kernel_suite.h"

static const mr_bench_progress nobody;

static void a_series_keeps_least_most_and_median(void **state)
{
    (void)state;
    mr_bench_series series = { 0 };
    assert_float_equal(mr_bench_series_median(&series), 0.0, 0.0);
    static const double values[] = { 3.0, -1.0, 10.0, 4.0 };
    for (size_t i = 0; i < 4; i++) mr_bench_series_add(&series, values[i]);
    assert_float_equal(series.least, -1.0, 0.0);
    assert_float_equal(series.most, 10.0, 0.0);
    assert_float_equal(mr_bench_series_median(&series), 3.5, 0.0);
    for (size_t i = 0; i < 3 * MR_BENCH_RECENT; i++) mr_bench_series_add(&series, 7.0);
    assert_float_equal(mr_bench_series_median(&series), 7.0, 0.0);
    assert_float_equal(series.most, 10.0, 0.0);
}

static void count_call(void *context)
{
    ++*(size_t *)context;
}

static void timing_ends_and_looks_between_runs(void **state)
{
    (void)state;
    size_t calls = 0, between = 0;
    mr_bench_series time = { 0 };
    mr_bench_time_calls(count_call, &calls, 0.02, count_call, &between, &time);
    assert_true(time.count >= 3 && between >= time.count && calls > between);
    assert_true(time.least > 0.0 && time.least < 1e-5 && time.least <= mr_bench_series_median(&time));
}

static double add_member(void *context, size_t member)
{
    atomic_size_t *seen = context;
    atomic_fetch_add(&seen[member], 1);
    return 1.0;
}

static void members_work_together(void **state)
{
    (void)state;
    atomic_size_t seen[3] = { 0 };
    double rate = 0.0;
    assert_int_equal(mr_bench_work_together(3, 0.02, add_member, seen, &rate, NULL), MR_OK);
    for (int i = 0; i < 3; i++) assert_true(atomic_load(&seen[i]) > 0);
    assert_true(rate > 0.0);
    assert_int_equal(mr_bench_work_together(1, 0.0, add_member, seen, &rate, NULL), MR_OK); /* at least once */
}

static void sizes_nobody_can_have_are_refused(void **state)
{
    (void)state;
    mr_bench_case c;
    mr_error error;
    assert_int_equal(mr_bench_linear_create(mr_kernels_get(), MR_LINEAR_F32, 8, 8, SIZE_MAX / 8, MR_ACTIVATION_NONE, &c, &error), MR_INVALID_ARGUMENT);
    assert_int_equal(mr_bench_linear_create(mr_kernels_get(), MR_LINEAR_F32, 0, 8, 1, MR_ACTIVATION_NONE, &c, &error), MR_INVALID_ARGUMENT);
}

/* A small model: two sizes of layers, local and global attention. */
static mr_work small_model(void)
{
    mr_work work = { 0 };
    mr_work_add_linear(&work, (mr_work_linear){ .n = 96, .k = 32, .count = 2 });
    mr_work_add_linear(&work, (mr_work_linear){ .n = 32, .k = 64, .count = 2 });
    mr_work_add_attention(&work, (mr_work_attention){ .heads = 4, .kv_heads = 2, .head_dim = 8, .causal = true, .window = 5, .count = 2 });
    return work;
}

static mr_bench_report measure_small_model(void)
{
    mr_bench_report report = { .version = "0", .model = "a<b&c" };
    const mr_work work = small_model();
    mr_bench_suite suite = { .model = &work, .max_tokens = 100, .formats = { true, false, true } };
    mr_bench_shape *shapes = mr_bench_model_shapes(&work, &suite.shape_count);
    suite.shapes = shapes;
    assert_int_equal(mr_bench_machine_measure(mr_kernels_get(), 2, 0.05, &nobody, &report.machine, NULL), MR_OK);
    assert_int_equal(mr_bench_suite_run(&suite, 0.05, &nobody, &report, NULL), MR_OK);
    free(shapes);
    return report;
}

static void every_size_of_a_model_is_measured(void **state)
{
    (void)state;
    mr_bench_report report = measure_small_model();
    size_t linear = 0, attention = 0, rows = 0;
    for (size_t i = 0; i < report.result_count; i++) {
        const mr_bench_result *result = &report.results[i];
        linear += strcmp(result->facts.group, "linear") == 0;
        attention += strcmp(result->facts.group, "attention") == 0;
        rows += strcmp(result->facts.group, "rows") == 0;
        assert_true(result->time.count >= 3 && result->time.least > 0.0);
        assert_true(result->facts.operands == NULL && result->facts.bytes > 0.0);
        assert_true((mr_bench_result_share(result, &report.machine) > 0.0) == (result->facts.flops > 0.0));
    }
    assert_int_equal(linear, 2 * 2 * 5);    /* sizes x formats x rows */
    assert_int_equal(attention, 2 * 2);     /* formats (int8 takes bf16's) x lengths up to 100 */
    assert_int_equal(rows, MR_BENCH_ROW_KERNEL_COUNT);
    const mr_bench_case *first = &report.results[0].facts;
    assert_float_equal(first->flops, 2.0 * 96 * 32, 0.0);
    mr_bench_report_fini(&report);
}

static void the_limit_is_the_time_at_the_peaks(void **state)
{
    (void)state;
    mr_bench_machine *machine = calloc(1, sizeof *machine);
    machine->peaks[MR_LINEAR_BF16].one.most = 200.0;
    machine->peaks[MR_LINEAR_INT8].one.most = 400.0;
    const mr_bench_forward forward = { .format = MR_LINEAR_INT8, .linear_flops = 4.0, .attention_flops = 2.0 };
    assert_float_equal(mr_bench_forward_limit(&forward, machine), 50.0, 1e-9); /* 4/400 + 2/200 */
    machine->peaks[MR_LINEAR_F32].one.most = 100.0;
    const mr_bench_forward mixed = { .format = MR_LINEAR_INT8, .linear_flops = 4.0, .f32_flops = 1.0, .attention_flops = 2.0 };
    assert_float_equal(mr_bench_forward_limit(&mixed, machine), 1.0 / 0.0275, 1e-9); /* 3/400 + 1/100 + 2/200 */
    free(machine);
}

static void names_are_escaped_and_tags_close(void **state)
{
    (void)state;
    mr_bench_report report = measure_small_model();
    mr_buf svg = { 0 }, page = { 0 };
    assert_true(mr_bench_roofline_svg(&report, &svg));
    assert_true(mr_bench_page_html(&report, &page));
    assert_non_null(strstr(svg.data, "a&lt;b&amp;c"));
    assert_null(strstr(page.data, "a<b"));
    assert_null(strstr(svg.data, "nan"));
    assert_null(strstr(svg.data, "inf"));
    assert_non_null(strstr(page.data, svg.data)); /* the page holds the picture and ends */
    assert_non_null(strstr(page.data, "</html>"));
    mr_buf_fini(&svg);
    mr_buf_fini(&page);
    json_t *root = mr_bench_report_json(&report);
    assert_non_null(root);
    assert_int_equal(json_array_size(json_object_get(root, "kernels")), report.result_count);
    json_decref(root);
    mr_bench_report_fini(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_keeps_least_most_and_median), cmocka_unit_test(timing_ends_and_looks_between_runs),
        cmocka_unit_test(members_work_together),                cmocka_unit_test(sizes_nobody_can_have_are_refused),
        cmocka_unit_test(every_size_of_a_model_is_measured),    cmocka_unit_test(the_limit_is_the_time_at_the_peaks),
        cmocka_unit_test(names_are_escaped_and_tags_close),
    };
    return RUN_TESTS(tests);
}
