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

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) return bench_kernels(argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
    int failed = 0;
    for (const char *const *name = mr_kernels_names(); *name != NULL; name++) {
        kernel = mr_kernels_for_isa(*name);
        if (kernel == NULL) {
            fprintf(stderr, "%s: not offered by this CPU, not tested\n", *name);
            continue;
        }
        failed += run("rows", *name, row_tests, row_test_count);
        failed += run("convert", *name, convert_tests, convert_test_count);
        failed += run("linear", *name, linear_tests, linear_test_count);
        failed += run("attention", *name, attention_tests, attention_test_count);
    }
    failed += run("dispatch", "all", dispatch_tests, dispatch_test_count);
    return failed != 0;
}
