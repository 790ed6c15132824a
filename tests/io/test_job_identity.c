/* How two jobs differ, in words. */
#include <stdlib.h>

#include "io/job_identity.h"
#include "io_fixture.h"

static void check(mr_job_identity here, mr_job_identity there, const char *expected)
{
    mr_buf out = { 0 };
    mr_job_identity_differences(&out, &here, &there);
    assert_string_equal(out.data, expected);
    mr_buf_fini(&out);
}

static void settings(void **state)
{
    (void)state;
    check((mr_job_identity){ "1", "a: 1\nb: 2\n", NULL }, (mr_job_identity){ "2", "a: 1\nb: 3\nc: 4\n", NULL }, "b: 2 (there b: 3); c: 4 (only there)");
    check((mr_job_identity){ "1", "path: b\npath: a\npath: d\n", NULL }, (mr_job_identity){ "2", "path: a\npath: b\npath: c\n", NULL },
          "path: d (only here); path: c (only there)");
    check((mr_job_identity){ "1", "input_sha256: 1\n", NULL }, (mr_job_identity){ "2", "input_sha256: 2\n", "1  x\n" }, "input_sha256: 1 (there input_sha256: 2)");
}

static void inputs(void **state)
{
    (void)state;
    const mr_job_identity here = { "1", "input_sha256: 1\na: 1\n", "11  b\n22  c d\n33  a\n" };
    check(here, (mr_job_identity){ "2", "input_sha256: 2\na: 2\n", "33  a\n11  b\n23  c d\n" }, "input c d has been changed; a: 1 (there a: 2)");
    check(here, (mr_job_identity){ "2", "input_sha256: 2\na: 1\n", "33  a\n11  b\n22  c d\n" }, "the inputs come in another order");
    check(here, (mr_job_identity){ "2", "input_sha256: 2\na: 1\n", "33  a\n33  aa\n22  c d\n" }, "input aa is not among the inputs any more; input b is new");
    check(here, (mr_job_identity){ "2", "input_sha256: 2\na: 1\n", "1  m\n1  n\n1  o\n" },
          "input a is new; input b is new; input c d is new; input m is not among the inputs any more; input n is not among the inputs any more; and 1 more");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(settings), cmocka_unit_test(inputs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
