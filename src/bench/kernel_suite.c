#include "bench/kernel_suite.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ROW_KERNEL_ROWS 64
#define PASSES 3 /* each case at three times far apart: a bad second spoils one of them */

static const size_t model_rows[] = { 1, 4, 16, 64, 256 };
static const size_t lengths[] = { 16, 64, 128, 256, 512 };

typedef struct suite_run {
    const mr_bench_suite *suite;
    const mr_bench_progress *progress;
    mr_bench_report *report;
    size_t capacity;
    size_t first, next; /* results: of this suite, of the next case */
    double done; /* cases */
    double seconds_per_case;
} suite_run;

mr_bench_shape *mr_bench_model_shapes(const mr_work *work, size_t *count)
{
    mr_bench_shape *shapes = calloc(work->linear_count * COUNT(model_rows) + 1, sizeof *shapes);
    *count = 0;
    for (size_t i = 0; shapes && i < work->linear_count; i++) {
        const mr_work_linear *layer = &work->linear[i];
        bool seen = false; /* it can be there twice: once as one that is always f32 */
        for (size_t j = 0; j < i; j++) seen = seen || (work->linear[j].n == layer->n && work->linear[j].k == layer->k);
        for (size_t r = 0; !seen && r < COUNT(model_rows); r++) shapes[(*count)++] = (mr_bench_shape){ .rows = model_rows[r], .n = layer->n, .k = layer->k };
    }
    return shapes;
}

/* At most. */
static size_t count_cases(const mr_bench_suite *suite)
{
    size_t formats = 0, attentions = suite->model ? suite->model->attention_count * COUNT(lengths) : 0;
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++) formats += suite->formats[f];
    return formats * (suite->shape_count + attentions) + MR_BENCH_ROW_KERNEL_COUNT;
}

static void measure(suite_run *run, const mr_bench_case *c)
{
    mr_bench_report *report = run->report;
    mr_bench_result *result = &report->results[run->next];
    char what[128];
    snprintf(what, sizeof what, "%s %s %s, %zu rows", mr_linear_format_text(c->format), c->group, c->name, c->rows);
    if (run->progress->show) run->progress->show(run->progress->context, run->done++ / (double)(PASSES * (run->capacity - run->first)), what);
    if (run->next == report->result_count) { /* the first pass */
        *result = (mr_bench_result){ .facts = *c };
        result->facts.operands = NULL;
        report->result_count++;
    }
    mr_bench_case_time(c, run->seconds_per_case, &report->machine, &result->time);
    run->next++;
}

static mr_status measure_linear(suite_run *run, mr_linear_format format, mr_error *error)
{
    const mr_bench_suite *suite = run->suite;
    for (size_t i = 0; i < suite->shape_count;) {
        const mr_bench_shape *first = &suite->shapes[i];
        size_t end = i, most = 0;
        for (; end < suite->shape_count && suite->shapes[end].n == first->n && suite->shapes[end].k == first->k; end++)
            if (suite->shapes[end].rows > most) most = suite->shapes[end].rows;
        mr_bench_case c;
        MR_TRY(mr_bench_linear_create(run->report->machine.kernels, format, first->n, first->k, most, MR_ACTIVATION_NONE, &c, error));
        for (; i < end; i++) {
            mr_bench_linear_set_rows(&c, suite->shapes[i].rows);
            measure(run, &c);
        }
        mr_bench_case_destroy(&c);
    }
    return MR_OK;
}

static mr_status measure_attention(suite_run *run, mr_linear_format format, mr_error *error)
{
    const mr_work *model = run->suite->model;
    for (size_t i = 0; model && i < model->attention_count; i++) {
        for (size_t l = 0; l < COUNT(lengths); l++) {
            mr_bench_case c;
            if (run->suite->max_tokens > 0 && lengths[l] > run->suite->max_tokens) continue;
            MR_TRY(mr_bench_attention_create(run->report->machine.kernels, format, &model->attention[i], lengths[l], &c, error));
            measure(run, &c);
            mr_bench_case_destroy(&c);
        }
    }
    return MR_OK;
}

static mr_status measure_row_kernels(suite_run *run, mr_error *error)
{
    const mr_work *model = run->suite->model;
    if (!model || model->linear_count == 0) return MR_OK;
    for (int kind = 0; kind < MR_BENCH_ROW_KERNEL_COUNT; kind++) {
        mr_bench_case c;
        MR_TRY(mr_bench_rows_create(run->report->machine.kernels, (mr_bench_row_kernel)kind, ROW_KERNEL_ROWS, model->linear[0].k, &c, error));
        measure(run, &c);
        mr_bench_case_destroy(&c);
    }
    return MR_OK;
}

static mr_status measure_all(suite_run *run, mr_error *error)
{
    const bool *formats = run->suite->formats;
    run->next = run->first;
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++)
        if (formats[f]) MR_TRY(measure_linear(run, (mr_linear_format)f, error));
    for (int f = 0; f < MR_LINEAR_INT8; f++) /* there is none in int8: it takes the one in bf16 */
        if (formats[f] || (f == MR_LINEAR_BF16 && formats[MR_LINEAR_INT8])) MR_TRY(measure_attention(run, (mr_linear_format)f, error));
    return measure_row_kernels(run, error);
}

mr_status mr_bench_suite_run(const mr_bench_suite *suite, double seconds, const mr_bench_progress *progress, mr_bench_report *report, mr_error *error)
{
    suite_run run = { .suite = suite, .progress = progress, .report = report, .first = report->result_count, .capacity = report->result_count + count_cases(suite) };
    mr_bench_result *larger = realloc(report->results, (run.capacity + 1) * sizeof *larger);
    if (!larger) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    report->results = larger;
    run.seconds_per_case = seconds / PASSES / (double)(run.capacity - run.first);
    for (int pass = 0; pass < PASSES; pass++) MR_TRY(measure_all(&run, error));
    return MR_OK;
}
