#include "kernel_check.h"

static void test_names_find_tables(void **state)
{
    (void)state;
    assert_string_equal(mr_kernels_names()[0], "ref");
    assert_non_null(mr_kernels_for_isa("ref"));
    assert_null(mr_kernels_for_isa("mmx"));
    for (const char *const *name = mr_kernels_names(); *name != NULL; name++) {
        const mr_kernels *table = mr_kernels_for_isa(*name);
        if (table != NULL) assert_string_equal(table->name, *name);
    }
}

static void test_no_entry_is_missing(void **state)
{
    (void)state;
    for (const char *const *name = mr_kernels_names(); *name != NULL; name++) {
        const mr_kernels *table = mr_kernels_for_isa(*name);
        if (table == NULL) continue;
        /* The table holds pointers and sizes only; none may be 0. */
        for (size_t i = 0; i + sizeof(uintptr_t) <= sizeof *table; i += sizeof(uintptr_t)) {
            uintptr_t entry;
            memcpy(&entry, (const char *)table + i, sizeof entry);
            assert_true(entry != 0);
        }
    }
}

static void test_init_obeys_argument_then_environment(void **state)
{
    (void)state;
    mr_error error = {0};
    assert_int_equal(mr_kernels_init("ref", &error), MR_OK);
    assert_string_equal(mr_kernels_isa_name(), "ref");
    assert_int_equal(mr_kernels_init("sse9", &error), MR_CONFIG);
    assert_non_null(strstr(error.text, "sse9"));
    assert_non_null(strstr(error.text, "ref"));
    assert_string_equal(mr_kernels_isa_name(), "ref");
    for (const char *const *name = mr_kernels_names(); *name != NULL; name++) {
        if (mr_kernels_for_isa(*name) != NULL) continue;
        assert_int_equal(mr_kernels_init(*name, &error), MR_CONFIG);
        assert_non_null(strstr(error.text, "this CPU does not offer"));
        assert_non_null(strstr(error.text, *name));
        assert_string_equal(mr_kernels_isa_name(), "ref");
    }
    setenv("MILLRACE_ISA", "quantum", 1);
    assert_int_equal(mr_kernels_init(NULL, &error), MR_CONFIG);
    assert_non_null(strstr(error.text, "MILLRACE_ISA"));
    assert_int_equal(mr_kernels_init("ref", &error), MR_OK);
    unsetenv("MILLRACE_ISA");
    assert_int_equal(mr_kernels_init(NULL, &error), MR_OK);
    const mr_kernels *best = NULL;
    for (const char *const *name = mr_kernels_names(); *name != NULL; name++) {
        if (mr_kernels_for_isa(*name) != NULL) best = mr_kernels_for_isa(*name);
    }
    assert_ptr_equal(mr_kernels_get(), best);
}

const struct CMUnitTest dispatch_tests[] = {
    cmocka_unit_test(test_names_find_tables),
    cmocka_unit_test(test_no_entry_is_missing),
    cmocka_unit_test(test_init_obeys_argument_then_environment),
};
const size_t dispatch_test_count = sizeof dispatch_tests / sizeof *dispatch_tests;
