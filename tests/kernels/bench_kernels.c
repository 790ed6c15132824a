/* --bench: each kernel of each instruction set on the shapes of real models, beside the peak of this very machine (src/bench). */
#include <stdio.h>

#include "bench/report.h"
#include "kernel_check.h"

#define SECONDS_PER_CASE 0.15
#define SECONDS_FOR_PEAKS 1.0
#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *wanted; /* only benches whose line holds this; NULL = all */
static mr_bench_machine machine;

static bool is_wanted(const mr_bench_case *c)
{
    char text[128];
    snprintf(text, sizeof text, "%s %s %s rows %zu", c->group, mr_linear_format_text(c->format), c->name, c->rows);
    return wanted == NULL || strstr(text, wanted) != NULL;
}

static void bench(const mr_bench_case *c)
{
    if (!is_wanted(c)) return;
    mr_bench_result result = {.facts = *c};
    mr_bench_case_time(c, SECONDS_PER_CASE, &machine, &result.time);
    mr_bench_print_result(stdout, &result, &machine);
    fflush(stdout);
}

static void bench_linear(mr_linear_format format)
{
    static const size_t shapes[][2] = {{1152, 384}, {384, 384}, {1536, 384}, {384, 1536}, {2304, 768}, {768, 768}, {3072, 768}, {768, 3072}};
    static const size_t rows[] = {1, 4, 16, 64, 256, 512};
    for (size_t s = 0; s < COUNT(shapes); s++) {
        mr_bench_case c;
        assert_int_equal(mr_bench_linear_create(kernel, format, shapes[s][0], shapes[s][1], 512, MR_ACTIVATION_NONE, &c, NULL), MR_OK);
        for (size_t r = 0; r < COUNT(rows); r++) {
            mr_bench_linear_set_rows(&c, rows[r]);
            bench(&c);
        }
        mr_bench_case_destroy(&c);
    }
    mr_bench_case gelu;
    assert_int_equal(mr_bench_linear_create(kernel, format, 1536, 384, 64, MR_ACTIVATION_GELU, &gelu, NULL), MR_OK);
    bench(&gelu);
    mr_bench_case_destroy(&gelu);
}

static void bench_attention(mr_linear_format format)
{
    static const struct { size_t length, dim; bool causal; } cases[] = {{8, 32, false}, {20, 32, false}, {32, 32, false}, {64, 32, false},
        {128, 32, false}, {256, 32, false}, {512, 32, false}, {256, 64, false}, {2048, 64, false}, {2048, 64, true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const mr_work_attention shape = {.heads = 12, .kv_heads = 12, .head_dim = cases[i].dim, .causal = cases[i].causal, .count = 1};
        mr_bench_case c;
        assert_int_equal(mr_bench_attention_create(kernel, format, &shape, cases[i].length, &c, NULL), MR_OK);
        bench(&c);
        mr_bench_case_destroy(&c);
    }
}

static void bench_rows(void)
{
    for (int kind = 0; kind < MR_BENCH_ROW_KERNEL_COUNT; kind++) {
        mr_bench_case c;
        assert_int_equal(mr_bench_rows_create(kernel, (mr_bench_row_kernel)kind, 64, 384, &c, NULL), MR_OK);
        bench(&c);
        mr_bench_case_destroy(&c);
    }
}

static void bench_table(void)
{
    const mr_bench_progress nobody = {0};
    assert_int_equal(mr_bench_machine_measure(kernel, 1, SECONDS_FOR_PEAKS, &nobody, &machine, NULL), MR_OK);
    printf("%s: us, G operations/s, per cent of peak, GB/s, operations per byte\n", kernel->name);
    for (mr_linear_format format = 0; format < MR_LINEAR_FORMAT_COUNT; format++) bench_linear(format);
    for (mr_linear_format format = MR_LINEAR_F32; format <= MR_LINEAR_BF16; format++) bench_attention(format);
    bench_rows();
    printf("%s peaks:", kernel->name);
    for (int f = 0; f < MR_LINEAR_FORMAT_COUNT; f++) printf(" %s %.1f", machine.peaks[f].name, machine.peaks[f].one.most * 1e-9);
    printf(" G operations/s;");
    for (size_t i = 0; i < machine.memory_count; i++) printf(" %s %.1f", machine.memory[i].name, machine.memory[i].one.most * 1e-9);
    printf(" GB/s\n");
}

int bench_kernels(const char *isa, const char *part)
{
    wanted = part;
    if (isa != NULL && mr_kernels_for_isa(isa) == NULL) {
        fprintf(stderr, "--bench: no instruction set '%s' on this CPU\n", isa);
        return 64;
    }
    for (const char *const *name = mr_kernels_names(); *name != NULL; name++) {
        if (isa != NULL && strcmp(*name, isa) != 0) continue;
        kernel = mr_kernels_for_isa(*name);
        if (kernel != NULL) bench_table();
    }
    return 0;
}
