/* Every kernel of every instruction set this CPU has, against double precision; with --bench [isa [part of a name]] the speeds instead. */
#include <stdio.h>

#include "kernel_check.h"

const mr_kernels *kernel;

static int run(const char *area, const char *isa, const struct CMUnitTest *tests, size_t count)
{
    char name[64];
    snprintf(name, sizeof name, "kernels %s %s", area, isa);
    random_seed(7);
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

/* A variant's areas, those left out that it has unchanged from the variant before it. */
static int run_changed(const char *isa, const mr_kernels *before)
{
    int failed = 0;
    if (before == NULL || kernel->activation_f32 != before->activation_f32) {
        failed += run("rows", isa, row_tests, row_test_count);
        failed += run("convert", isa, convert_tests, convert_test_count);
    }
    if (before == NULL || kernel->resample_rows_u8 != before->resample_rows_u8) {
        failed += run("resample", isa, resample_tests, resample_test_count);
    }
    if (before == NULL || memcmp(kernel->linear, before->linear, sizeof kernel->linear) != 0) {
        failed += run("linear", isa, linear_tests, linear_test_count);
    }
    if (before == NULL || kernel->attention_f32 != before->attention_f32 || kernel->attention_bf16 != before->attention_bf16) {
        failed += run("attention", isa, attention_tests, attention_test_count);
    }
    return failed;
}

#if defined(__x86_64__)
void mr_kernels_fill__avxvnni_evex(mr_kernels *table);

/* avxvnni with its dot product encoded as AVX-512 has it: as good a test where only that encoding is there. */
static int run_avxvnni_evex(void)
{
    const mr_kernels *avx2 = mr_kernels_for_isa("avx2");
    if (avx2 == NULL || mr_kernels_for_isa("avx512vnni") == NULL) {
        fprintf(stderr, "avxvnni in its EVEX encoding: not offered by this CPU, not tested\n");
        return 0;
    }
    mr_kernels table = *avx2;
    mr_kernels_fill__avxvnni_evex(&table);
    table.name = "avxvnni in its EVEX encoding";
    kernel = &table;
    return run_changed(table.name, avx2);
}
#else
static int run_avxvnni_evex(void) { return 0; }
#endif

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) return bench_kernels(argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
    int failed = 0;
    const mr_kernels *before = NULL;
    for (const char *const *name = mr_kernels_names(); *name != NULL; name++) {
        kernel = mr_kernels_for_isa(*name);
        if (kernel == NULL) {
            fprintf(stderr, "%s: not offered by this CPU, not tested\n", *name);
            continue;
        }
        failed += run_changed(*name, before);
        before = kernel;
    }
    failed += run_avxvnni_evex();
    failed += run("dispatch", "all", dispatch_tests, dispatch_test_count);
    return failed != 0;
}
