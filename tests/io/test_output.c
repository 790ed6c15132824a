/* Outputs from outside: inspect, verify, merge. */
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "io/hdf5_file.h"
#include "io/output.h"
#include "sink_fixture.h"

static void run(const char *path, uint64_t total)
{
    const mr_sink_options options = job_options(path);
    bool finished;
    mr_error error;
    if (job_run(&options, total, &finished, &error) != MR_OK) fail_msg("%s", error.text);
}

/* Shard `name` does rows [first, end); `total` as it knows at the end of the input, 0 = not. */
static mr_sink *open_shard(const char *path, const char *name)
{
    mr_sink_options options = job_options(path);
    options.lock_name = name;
    mr_sink *sink;
    bool finished;
    mr_error error;
    if (mr_sink_open(&options, &sink, &finished, &error) != MR_OK) fail_msg("%s", error.text);
    return sink;
}

static void run_shard(const char *path, const char *name, uint64_t first, uint64_t end, uint64_t total)
{
    mr_sink *sink = open_shard(path, name);
    assert_int_equal(job_put(sink, first, end, NULL), MR_OK);
    assert_int_equal(mr_sink_commit(sink, NULL), MR_OK);
    if (total) assert_int_equal(mr_sink_finish(sink, total, NULL), MR_INCOMPLETE);
    mr_sink_close(sink);
}

static void inspecting(void **state)
{
    (void)state;
    mr_output_state found;
    mr_error error;
    assert_int_equal(mr_output_inspect("inspected.h5", &found, &error), MR_NO_INPUT);
    mr_sink *sink = open_shard("inspected.h5", "run");
    assert_int_equal(job_put(sink, 0, 150, NULL), MR_OK);
    assert_int_equal(mr_output_inspect("inspected.h5", &found, NULL), MR_OK);
    char *holder = mr_strf("process %ld on ", (long)getpid());
    assert_true(found.running && !found.finished && !found.total_known);
    assert_contains(found.holder, holder);
    free(holder);
    assert_int_equal(found.rows, 100);
    assert_int_equal(found.parts, 1);
    assert_int_equal(found.by_status[MR_ROW_FAILED], 14);
    assert_int_equal(mr_sink_finish(sink, 150, NULL), MR_OK);
    mr_sink_close(sink);
    assert_int_equal(mr_output_inspect("inspected.h5", &found, NULL), MR_OK);
    assert_true(found.finished && !found.running && found.total_known);
    assert_int_equal(found.total, 150);
    assert_int_equal(found.parts, 0);
}

static void merging_shards(void **state)
{
    (void)state;
    mr_error error;
    run("plain.h5", 330);
    assert_int_equal(mr_output_merge_parts("sharded.h5", false, &error), MR_NO_INPUT);
    run_shard("sharded.h5", "shard-0", 0, 120, 0);
    assert_int_equal(mr_output_merge_parts("sharded.h5", false, &error), MR_INCOMPLETE);
    assert_contains(error.text, "no run of sharded.h5 has reached the end of the input");
    run_shard("sharded.h5", "shard-2", 220, 330, 330);
    assert_int_equal(mr_output_merge_parts("sharded.h5", false, &error), MR_INCOMPLETE);
    assert_contains(error.text, "records 120 to 219 are not done yet");
    mr_sink *running = open_shard("sharded.h5", "shard-1");
    assert_int_equal(mr_output_merge_parts("sharded.h5", false, &error), MR_CANNOT_CREATE);
    assert_contains(error.text, "is being written by process");
    assert_int_equal(job_put(running, 100, 220, NULL), MR_OK);
    assert_int_equal(mr_sink_commit(running, NULL), MR_OK);
    mr_sink_close(running);
    assert_int_equal(mr_output_verify("sharded.h5", &error), MR_INCOMPLETE);
    assert_contains(error.text, "with 330 records are sound");
    if (mr_output_merge_parts("sharded.h5", false, &error) != MR_OK) fail_msg("%s", error.text);
    assert_same_datasets("plain.h5", "sharded.h5");
    assert_false(mr_path_exists("sharded.h5.parts"));
    assert_int_equal(mr_output_merge_parts("sharded.h5", false, NULL), MR_OK);
    assert_int_equal(mr_output_verify("sharded.h5", NULL), MR_OK);
}

/* Killed behind the last rename: the output and its parts side by side. Another job's parts stay. */
static void leftovers_of_a_merge(void **state)
{
    (void)state;
    run("whole.h5", 330);
    run_shard("left.h5", "shard-0", 0, 120, 0);
    assert_int_equal(rename("whole.h5", "left.h5"), 0);
    assert_int_equal(mr_output_merge_parts("left.h5", false, NULL), MR_OK);
    assert_false(mr_path_exists("left.h5.parts"));
    assert_int_equal(rename("left.h5", "whole.h5"), 0);
    mr_sink_options options = job_options("other.h5");
    options.fingerprint = "another";
    options.lock_name = "shard-0";
    mr_sink *sink;
    bool finished;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    assert_int_equal(job_put(sink, 0, 120, NULL), MR_OK);
    assert_int_equal(mr_sink_commit(sink, NULL), MR_OK);
    mr_sink_close(sink);
    assert_int_equal(rename("whole.h5", "other.h5"), 0);
    assert_int_equal(mr_output_merge_parts("other.h5", false, NULL), MR_OK);
    assert_true(mr_path_exists("other.h5.parts"));
}

static void merging_files(void **state)
{
    (void)state;
    run("a.h5", 150);
    run("empty.h5", 0);
    run("b.h5", 40);
    const char *paths[] = { "a.h5", "empty.h5", "b.h5" };
    mr_error error;
    if (mr_output_merge_files(paths, 3, "all.h5", false, &error) != MR_OK) fail_msg("%s", error.text);
    if (mr_output_verify("all.h5", &error) != MR_OK) fail_msg("%s", error.text);
    assert_false(mr_path_exists("all.h5.parts"));
    mr_embedding_file *file;
    mr_embedding_row row;
    float vector[JOB_DIMENSION];
    assert_int_equal(mr_embedding_file_open("all.h5", &file, NULL), MR_OK);
    assert_int_equal(mr_embedding_file_rows(file), 190);
    assert_int_equal(mr_embedding_file_source_count(file), 4);
    for (uint64_t i = 0; i < 190; i++) {
        const mr_embedding_row expected = job_row(i < 150 ? i : i - 150);
        assert_int_equal(mr_embedding_file_row(file, i, &row, NULL), MR_OK);
        assert_true(mr_str_equal(row.id, expected.id) && mr_str_equal(row.text, expected.text));
        assert_int_equal(row.source_index, expected.source_index + (i < 150 ? 0 : 2));
        assert_int_equal(mr_embedding_file_vectors(file, i, 1, vector, NULL), MR_OK);
        if (expected.vector) assert_memory_equal(vector, expected.vector, sizeof vector);
    }
    uint64_t found;
    assert_int_equal(mr_embedding_file_find(file, MR_STR("id-7"), &found, NULL), MR_OK);
    assert_int_equal(found, 7); /* the first of two */
    mr_embedding_file_close(file);
    assert_int_equal(mr_output_merge_files(paths, 3, "all.h5", false, &error), MR_OK);              /* that very merge: done */
    assert_int_equal(mr_output_merge_files(paths, 2, "all.h5", false, &error), MR_OUTPUT_DIFFERS); /* another one */
    assert_int_equal(mr_output_merge_files(paths, 2, "all.h5", true, &error), MR_OK);
    assert_int_equal(mr_output_merge_files(paths, 3, "a.h5", true, &error), MR_OK); /* onto one of its own inputs */
    assert_int_equal(mr_output_verify("a.h5", NULL), MR_OK);
    assert_int_equal(mr_output_merge_files(paths, 0, "x.h5", true, &error), MR_INVALID_ARGUMENT);
}

static void merging_what_differs(void **state)
{
    (void)state;
    run("f32.h5", 10);
    mr_sink_options options = job_options("f16.h5");
    options.dtype = MR_VECTOR_F16;
    bool finished;
    assert_int_equal(job_run(&options, 10, &finished, NULL), MR_OK);
    const mr_attribute cls = { "pooling", "cls" };
    options = job_options("cls.h5");
    options.attributes = &cls;
    options.attribute_count = 1;
    assert_int_equal(job_run(&options, 10, &finished, NULL), MR_OK);
    const char *paths[] = { "f32.h5", "f16.h5" };
    mr_error error;
    assert_int_equal(mr_output_merge_files(paths, 2, "mixed.h5", false, &error), MR_OUTPUT_DIFFERS);
    assert_contains(error.text, "f16.h5 has another dtype");
    paths[1] = "cls.h5";
    assert_int_equal(mr_output_merge_files(paths, 2, "mixed.h5", false, &error), MR_OUTPUT_DIFFERS);
    assert_contains(error.text, "cls.h5 was made with pooling = cls");
    assert_false(mr_path_exists("mixed.h5"));
}

static void change(const char *dataset, hsize_t at, hid_t type, const void *value)
{
    hid_t file = H5Fopen("changed.h5", H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, dataset, H5P_DEFAULT), space = H5Dget_space(set);
    const hsize_t start[2] = { at, 0 }, count[2] = { 1, 1 };
    hid_t memory = H5Screate_simple(1, count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    assert_true(H5Dwrite(set, type, memory, space, H5P_DEFAULT, value) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
}

/* Any changed value is found by its checksum. */
static void damage(void **state)
{
    (void)state;
    static const char *const datasets[] = { "id/index/hash", "id/index/row", "status", "tokens", "id/bytes", "id/offsets", "error/bytes", "text/bytes",
                                            "source/shard", "source/record", "source/files/bytes", "embedding" };
    for (size_t i = 0; i < sizeof datasets / sizeof *datasets; i++) {
        mr_sink_options options = job_options("changed.h5");
        options.overwrite = true;
        bool finished;
        mr_error error = { 0 };
        assert_int_equal(job_run(&options, 120, &finished, NULL), MR_OK);
        assert_int_equal(mr_output_verify("changed.h5", &error), MR_OK);
        const uint8_t value = 251;
        change(datasets[i], 1, H5T_NATIVE_UINT8, &value);
        if (mr_output_verify("changed.h5", &error) != MR_BAD_INPUT) fail_msg("a changed %s goes unnoticed", datasets[i]);
        assert_contains(error.text, "changed.h5: the dataset ");
        assert_contains(error.text, "does not match its checksum");
    }
    const char *path = "changed.h5";
    mr_error error;
    assert_int_equal(mr_output_merge_files(&path, 1, "copy.h5", false, &error), MR_BAD_INPUT);
    assert_true(mr_path_exists("changed.h5")); /* a finished file is never removed */
}

/* Rows that a correct writer would not make, with checksums that fit: put by a sink, refused by verify. */
static void nonsense_rows(void **state)
{
    (void)state;
    static const struct {
        mr_row_status status;
        const char *id, *error;
        uint32_t source;
        float value;
        const char *reason;
    } rows[] = {
        { MR_ROW_OK, "", "", 0, 1, "has no well-formed id" },
        { MR_ROW_OK, "\xff", "", 0, 1, "has no well-formed id" },
        { MR_ROW_FAILED, "a", "", 0, 1, "failed without a reason" },
        { MR_ROW_OK, "a", "why", 0, 1, "is good but has a reason to fail" },
        { MR_ROW_OK, "a", "", 2, 1, "comes from an input that has no name" },
        { MR_ROW_TRUNCATED, "a", "", 0, NAN, "is good but its vector is not finite" },
        { MR_ROW_OK, "a", "", 0, 1, "does not come from the record behind that of the row before" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        mr_sink_options options = job_options("nonsense.h5");
        options.overwrite = true;
        mr_sink *sink;
        bool finished;
        float vector[JOB_DIMENSION] = { rows[i].value };
        const mr_embedding_row row = { .status = rows[i].status, .id = mr_str_of(rows[i].id), .error = mr_str_of(rows[i].error), .text = { "", 0 },
                                       .vector = vector, .source_index = rows[i].source, .source_record = i + 1 == sizeof rows / sizeof *rows };
        mr_error error;
        assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
        assert_int_equal(mr_sink_put(sink, &row, NULL), MR_OK);
        assert_int_equal(mr_sink_finish(sink, 1, NULL), MR_OK);
        mr_sink_close(sink);
        assert_int_equal(mr_output_verify("nonsense.h5", &error), MR_BAD_INPUT);
        assert_contains(error.text, rows[i].reason);
    }
}

static void wrong_counts(void **state)
{
    (void)state;
    run("counts.h5", 50);
    hid_t file = H5Fopen("counts.h5", H5F_ACC_RDWR, H5P_DEFAULT);
    H5Adelete(file, "rows_failed");
    assert_int_equal(mr_h5_put_number(file, "rows_failed", 6, NULL), MR_OK);
    H5Fclose(file);
    mr_error error;
    assert_int_equal(mr_output_verify("counts.h5", &error), MR_BAD_INPUT);
    assert_contains(error.text, "the attribute rows_failed is 6, the rows give 7");
}

/* Puts rows of [first, end) that had failed, now good but for row 10. */
static void put_retried(mr_sink *sink, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        mr_embedding_row row = job_row(i);
        if (row.status != MR_ROW_FAILED) continue;
        const mr_embedding_row donor = job_row(i + 1);
        row = job_row(i);
        if (i != 10) row = (mr_embedding_row){ .ordinal = i, .id = MR_STR("retried"), .error = { "", 0 }, .text = { "", 0 }, .vector = donor.vector,
                                          .source_index = row.source_index, .source_record = row.source_record };
        assert_int_equal(mr_sink_put(sink, &row, NULL), MR_OK);
    }
}

static void retrying_failed_rows(void **state)
{
    (void)state;
    run("retry.h5", 200);
    run("before.h5", 200);
    mr_sink_options options = job_options("retry.h5");
    options.retry_failed = true;
    mr_sink *sink;
    bool finished;
    size_t count;
    mr_error error;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    const mr_range *good = mr_sink_committed(sink, &count);
    assert_int_equal(count, 29); /* 3, 10, ... 199 failed */
    assert_true(good[0].first == 0 && good[0].end == 3 && good[1].first == 4 && good[1].end == 10);
    put_retried(sink, 0, 50);
    assert_int_equal(mr_sink_commit(sink, NULL), MR_OK);
    mr_sink_close(sink); /* killed: the output is as it was, the retry goes on */
    assert_same_datasets("before.h5", "retry.h5");
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    good = mr_sink_committed(sink, &count);
    assert_true(good[0].first == 0 && good[0].end == 52);
    put_retried(sink, 50, 200);
    if (mr_sink_finish(sink, 200, &error) != MR_OK) fail_msg("%s", error.text);
    mr_sink_close(sink);
    assert_false(mr_path_exists("retry.h5.retry.parts"));
    if (mr_output_verify("retry.h5", &error) != MR_OK) fail_msg("%s", error.text);
    mr_embedding_file *file;
    mr_embedding_row row;
    assert_int_equal(mr_embedding_file_open("retry.h5", &file, NULL), MR_OK);
    assert_string_equal(mr_embedding_file_attribute(file, "rows_failed"), "1");
    for (uint64_t i = 0; i < 200; i++) {
        const mr_embedding_row expected = job_row(i);
        bool retried = expected.status == MR_ROW_FAILED && i != 10;
        assert_int_equal(mr_embedding_file_row(file, i, &row, NULL), MR_OK);
        assert_int_equal(row.status, retried ? MR_ROW_OK : expected.status);
        assert_true(mr_str_equal(row.id, retried ? MR_STR("retried") : expected.id));
    }
    mr_embedding_file_close(file);
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK); /* row 10 once more */
    assert_false(finished);
    mr_sink_close(sink);
    run("flawless.h5", 3);
    options.path = "flawless.h5";
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    assert_true(finished);
    options.path = "not-there.h5";
    assert_int_equal(mr_sink_open(&options, &sink, &finished, &error), MR_NO_INPUT);
    options.overwrite = true;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, &error), MR_INVALID_ARGUMENT);
}

int main(void)
{
    fixture_enter("output");
    mr_h5_quiet();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inspecting),           cmocka_unit_test(merging_shards), cmocka_unit_test(leftovers_of_a_merge), cmocka_unit_test(merging_files),
        cmocka_unit_test(merging_what_differs), cmocka_unit_test(damage),         cmocka_unit_test(nonsense_rows),
        cmocka_unit_test(wrong_counts),         cmocka_unit_test(retrying_failed_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
