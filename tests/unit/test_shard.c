#include "tests/cm.h"

#include "pipelines/shard.h"

#define U MR_SHARD_UNIT_RECORDS

static void expect(mr_shard shard, const mr_range *committed, size_t count, uint64_t from, uint64_t first, uint64_t end)
{
    mr_range got = mr_shard_next_stretch(&shard, committed, count, from);
    assert_int_equal(got.first, first);
    assert_int_equal(got.end, end);
}

static void stretches_leave_out_what_is_done(void **state)
{
    (void)state;
    const mr_range done[] = { { 0, 10 }, { 20, 30 } };
    const mr_shard whole = { 0, 1 };
    expect(whole, NULL, 0, 0, 0, UINT64_MAX);
    expect(whole, done, 2, 0, 10, 20);
    expect(whole, done, 2, 20, 30, UINT64_MAX);
    expect(whole, done, 2, 15, 15, 20);
    expect((mr_shard){ 1, 3 }, NULL, 0, 0, U, 2 * U);
    expect((mr_shard){ 1, 3 }, NULL, 0, 2 * U, 4 * U, 5 * U);
    expect((mr_shard){ 0, 3 }, NULL, 0, 1, 1, U);
    const mr_range mine[] = { { U, 2 * U }, { 4 * U, 4 * U + 5 } };
    expect((mr_shard){ 1, 3 }, mine, 2, 0, 4 * U + 5, 5 * U);
}

/* Any number of shards, changed in between: every ordinal is done, by somebody. */
static void shards_cover_everything_once(void **state)
{
    (void)state;
    enum { TOTAL = 11 * U + 17 };
    static unsigned char seen[TOTAL];
    for (uint64_t count = 1; count <= 5; count++) {
        memset(seen, 0, sizeof seen);
        for (uint64_t index = 0; index < count; index++) {
            const mr_shard shard = { index, count };
            for (uint64_t at = 0; at < TOTAL;) {
                mr_range stretch = mr_shard_next_stretch(&shard, NULL, 0, at);
                assert_true(stretch.first >= at && stretch.end > stretch.first);
                for (uint64_t i = stretch.first; i < stretch.end && i < TOTAL; i++) seen[i]++;
                at = stretch.end;
            }
        }
        for (size_t i = 0; i < TOTAL; i++) assert_int_equal(seen[i], 1);
    }
}

static void clear_environment(void)
{
    static const char *const names[] = { "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP",
                                         "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
}

static void own_records_are_counted(void **state)
{
    (void)state;
    enum { UNIT = MR_SHARD_UNIT_RECORDS };
    const mr_range whole = { 0, 7 * UNIT + 5 }, inside = { UNIT + 1, UNIT + 3 };
    uint64_t sum = 0;
    for (uint64_t i = 0; i < 3; i++) sum += mr_shard_count_own(&(mr_shard){ i, 3 }, whole);
    assert_int_equal(sum, whole.end);
    assert_int_equal(mr_shard_count_own(&(mr_shard){ 1, 3 }, whole), 2 * UNIT + 5);
    assert_int_equal(mr_shard_count_own(&(mr_shard){ 1, 3 }, inside), 2);
    assert_int_equal(mr_shard_count_own(&(mr_shard){ 0, 3 }, inside), 0);
    assert_int_equal(mr_shard_count_own(&(mr_shard){ 0, 1 }, inside), 2);
}

static void text_and_environment(void **state)
{
    (void)state;
    mr_error error;
    mr_shard shard;
    clear_environment();
    assert_int_equal(mr_shard_parse(NULL, &shard, &error), MR_OK);
    assert_int_equal(shard.count, 1);
    assert_int_equal(mr_shard_parse("3/4", &shard, &error), MR_OK);
    assert_true(shard.index == 3 && shard.count == 4);
    static const char *const wrong[] = { "4/4", "1", "1/", "/2", "a/b", "1/0", "-1/2", "1/2x", "", "auto" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_int_equal(mr_shard_parse(wrong[i], &shard, &error), MR_CONFIG);
    setenv("JOB_COMPLETION_INDEX", "2", 1);
    assert_int_equal(mr_shard_parse("auto", &shard, &error), MR_CONFIG);
    setenv("JOB_COMPLETIONS", "5", 1);
    assert_int_equal(mr_shard_parse("auto", &shard, &error), MR_OK);
    assert_true(shard.index == 2 && shard.count == 5);
    setenv("AWS_BATCH_JOB_ARRAY_INDEX", "1", 1);
    setenv("AWS_BATCH_JOB_ARRAY_SIZE", "3", 1);
    assert_int_equal(mr_shard_parse("auto", &shard, &error), MR_OK);
    assert_true(shard.index == 1 && shard.count == 3);
    setenv("SLURM_ARRAY_TASK_ID", "14", 1);
    setenv("SLURM_ARRAY_TASK_COUNT", "4", 1);
    setenv("SLURM_ARRAY_TASK_MIN", "10", 1);
    setenv("SLURM_ARRAY_TASK_STEP", "2", 1);
    assert_int_equal(mr_shard_parse("auto", &shard, &error), MR_OK);
    assert_true(shard.index == 2 && shard.count == 4);
    setenv("SLURM_ARRAY_TASK_ID", "13", 1);
    assert_int_equal(mr_shard_parse("auto", &shard, &error), MR_CONFIG);
    clear_environment();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(stretches_leave_out_what_is_done), cmocka_unit_test(shards_cover_everything_once), 
                                        cmocka_unit_test(own_records_are_counted), cmocka_unit_test(text_and_environment) };
    return RUN_TESTS(tests);
}
