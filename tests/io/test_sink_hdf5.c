/* The HDF5 sink: what it writes, parts, resume, refusals, joining. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "sink_fixture.h"

static mr_status run(const char *path, uint64_t total)
{
    const mr_sink_options options = job_options(path);
    bool finished;
    mr_error error;
    mr_status status = job_run(&options, total, &finished, &error);
    if (status != MR_OK) print_message("%s\n", error.text);
    return status;
}

/* Puts rows [first, end) and leaves without finish, as a stopped run does. */
static void run_partly(const mr_sink_options *options, uint64_t first, uint64_t end)
{
    mr_sink *sink;
    bool finished;
    mr_error error;
    if (mr_sink_open(options, &sink, &finished, &error) != MR_OK) fail_msg("%s", error.text);
    assert_false(finished);
    assert_int_equal(job_put(sink, first, end, &error), MR_OK);
    assert_int_equal(mr_sink_commit(sink, &error), MR_OK);
    mr_sink_close(sink);
}

static void check_row(mr_embedding_file *file, uint64_t ordinal, mr_vector_dtype dtype)
{
    const mr_embedding_row expected = job_row(ordinal);
    mr_embedding_row got;
    float vector[JOB_DIMENSION];
    assert_int_equal(mr_embedding_file_row(file, ordinal, &got, NULL), MR_OK);
    assert_true(mr_str_equal(got.id, expected.id) && mr_str_equal(got.error, expected.error) && mr_str_equal(got.text, expected.text));
    assert_int_equal(got.status, expected.status);
    assert_int_equal(got.tokens, expected.tokens);
    assert_int_equal(got.source_index, expected.source_index);
    assert_int_equal(got.source_record, expected.source_record);
    assert_int_equal(mr_embedding_file_vectors(file, ordinal, 1, vector, NULL), MR_OK);
    for (int i = 0; i < JOB_DIMENSION; i++) {
        float want = expected.vector ? expected.vector[i] : dtype == MR_VECTOR_INT8 ? 0.0f : dtype == MR_VECTOR_BINARY ? -1.0f : NAN;
        float tolerance = dtype == MR_VECTOR_F32 ? 0.0f : dtype == MR_VECTOR_F16 ? 0.0005f : 0.004f;
        if (dtype == MR_VECTOR_BINARY && expected.vector) want = want > 0 ? 1.0f : -1.0f;
        if (isnan(want)) assert_true(isnan(vector[i]));
        else assert_true(fabsf(vector[i] - want) <= tolerance);
    }
}

static void every_dtype(void **state)
{
    (void)state;
    static const char *const names[] = { "f32", "f16", "int8", "binary" };
    for (int dtype = MR_VECTOR_F32; dtype <= MR_VECTOR_BINARY; dtype++) {
        mr_sink_options options = job_options("deep/er/types.h5");
        options.dtype = (mr_vector_dtype)dtype;
        options.overwrite = true;
        bool finished;
        assert_int_equal(job_run(&options, 345, &finished, NULL), MR_OK);
        assert_false(mr_path_exists("deep/er/types.h5.parts"));
        mr_embedding_file *file;
        mr_error error;
        if (mr_embedding_file_open(options.path, &file, &error) != MR_OK) fail_msg("%s", error.text);
        assert_int_equal(mr_embedding_file_rows(file), 345);
        assert_int_equal(mr_embedding_file_dimension(file), JOB_DIMENSION);
        assert_int_equal(mr_embedding_file_dtype(file), dtype);
        assert_true(mr_embedding_file_has_text(file));
        assert_string_equal(mr_embedding_file_attribute(file, "dtype"), names[dtype]);
        for (uint64_t i = 0; i < 345; i++) check_row(file, i, (mr_vector_dtype)dtype);
        check_row(file, 0, (mr_vector_dtype)dtype); /* back again */
        mr_embedding_row row;
        assert_int_equal(mr_embedding_file_row(file, 345, &row, &error), MR_INVALID_ARGUMENT);
        mr_embedding_file_close(file);
    }
}

static void attributes_and_lookups(void **state)
{
    (void)state;
    assert_int_equal(run("attributes.h5", 250), MR_OK);
    mr_embedding_file *file;
    mr_attribute attribute;
    assert_int_equal(mr_embedding_file_open("attributes.h5", &file, NULL), MR_OK);
    static const char *const order[] = { "schema", "schema_version", "dtype", "dimension", "model", "zeta", "alpha", "fingerprint", "job",
                                         "first_ordinal", "end_ordinal", "rows", "rows_ok", "rows_truncated", "rows_failed", "rows_skipped", "written_utc" };
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        assert_true(mr_embedding_file_attribute_at(file, i, &attribute));
        assert_string_equal(attribute.name, order[i]);
    }
    assert_false(mr_embedding_file_attribute_at(file, sizeof order / sizeof *order, &attribute));
    assert_string_equal(mr_embedding_file_attribute(file, "zeta"), "first \xC3\xA9");
    assert_string_equal(mr_embedding_file_attribute(file, "alpha"), "");
    assert_string_equal(mr_embedding_file_attribute(file, "rows"), "250");
    assert_string_equal(mr_embedding_file_attribute(file, "rows_failed"), "36"); /* 3, 10, ... 248 */
    assert_string_equal(mr_embedding_file_attribute(file, "end_ordinal"), "250");
    assert_null(mr_embedding_file_attribute(file, "none"));
    assert_int_equal(mr_embedding_file_source_count(file), 2);
    assert_text(mr_embedding_file_source_name(file, 1), "d\xC3\xBC.tar");
    uint64_t row;
    mr_error error;
    assert_int_equal(mr_embedding_file_find(file, MR_STR("id-249"), &row, NULL), MR_OK);
    assert_int_equal(row, 249);
    assert_int_equal(mr_embedding_file_find(file, MR_STR("id-250"), &row, &error), MR_NO_INPUT);
    assert_contains(error.text, "\"id-250\"");
    mr_embedding_file_close(file);
}

static void part_boundaries(void **state)
{
    (void)state;
    mr_clock *clock;
    assert_int_equal(mr_clock_virtual_create(&clock, NULL), MR_OK);
    mr_sink_options options = job_options("parts.h5");
    options.clock = clock;
    options.commit_interval_ns = MR_CLOCK_SECOND;
    mr_sink *sink;
    bool finished;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    assert_int_equal(job_put(sink, 0, 130, NULL), MR_OK);
    assert_true(mr_path_exists("parts.h5.parts/part-000000000000-000000000100.h5"));
    mr_clock_virtual_advance(clock, MR_CLOCK_SECOND);
    assert_int_equal(fixture_count_files("parts.h5.parts", "part-"), 1);
    assert_int_equal(job_put(sink, 130, 131, NULL), MR_OK); /* a second since row 100 came */
    assert_true(mr_path_exists("parts.h5.parts/part-000000000100-000000000131.h5"));
    assert_int_equal(job_put(sink, 131, 140, NULL), MR_OK);
    assert_int_equal(job_put(sink, 150, 151, NULL), MR_OK); /* a jump */
    assert_true(mr_path_exists("parts.h5.parts/part-000000000131-000000000140.h5"));
    assert_int_equal(mr_sink_commit(sink, NULL), MR_OK);
    assert_true(mr_path_exists("parts.h5.parts/part-000000000150-000000000151.h5"));
    mr_error error;
    assert_int_equal(mr_sink_finish(sink, 151, &error), MR_INCOMPLETE);
    assert_contains(error.text, "records 140 to 149 are not done yet");
    mr_sink_close(sink);
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    size_t count;
    const mr_range *ranges = mr_sink_committed(sink, &count);
    assert_int_equal(count, 2);
    assert_true(ranges[0].first == 0 && ranges[0].end == 140 && ranges[1].first == 150 && ranges[1].end == 151);
    const mr_embedding_row row = job_row(5);
    assert_int_equal(mr_sink_put(sink, &row, NULL), MR_OK);
    assert_int_equal(mr_sink_put(sink, &row, NULL), MR_INTERNAL); /* not ascending */
    mr_sink_close(sink);
    mr_clock_virtual_destroy(clock);
}

static void resume_anywhere(void **state)
{
    (void)state;
    assert_int_equal(run("whole.h5", 330), MR_OK);
    for (uint64_t stop = 0; stop <= 330; stop += 33) {
        mr_sink_options options = job_options("resumed.h5");
        options.overwrite = stop > 0; /* drops the output of the round before */
        run_partly(&options, 0, stop);
        options.overwrite = false;
        bool finished;
        mr_error error;
        if (job_run(&options, 330, &finished, &error) != MR_OK) fail_msg("%s", error.text);
        assert_same_datasets("whole.h5", "resumed.h5");
        assert_false(mr_path_exists("resumed.h5.parts"));
    }
}

/* Runs of the same job with other part sizes and in other orders: a record done twice is harmless. */
static void overlapping_parts(void **state)
{
    (void)state;
    assert_int_equal(run("plain.h5", 330), MR_OK);
    mr_sink_options options = job_options("overlap.h5");
    run_partly(&options, 200, 330);
    options.rows_per_part = 70;
    run_partly(&options, 0, 250);
    options.rows_per_part = 1000;
    run_partly(&options, 30, 180);
    bool finished;
    assert_int_equal(job_run(&options, 330, &finished, NULL), MR_OK);
    assert_same_datasets("plain.h5", "overlap.h5");
}

static void useless_parts_are_redone(void **state)
{
    (void)state;
    assert_int_equal(run("good.h5", 400), MR_OK);
    mr_sink_options options = job_options("broken.h5");
    run_partly(&options, 0, 400);
    fixture_truncate("broken.h5.parts/part-000000000000-000000000100.h5", 5000);
    fixture_write("broken.h5.parts/part-000000000100-000000000200.h5", "garbage", 7);
    assert_int_equal(rename("broken.h5.parts/part-000000000200-000000000300.h5", "broken.h5.parts/part-000000000200-000000000299.h5"), 0);
    fixture_write("broken.h5.parts/run.tmp", "left", 4);
    fixture_write("broken.h5.parts/notes", "not ours", 8);
    mr_sink *sink;
    bool finished;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    size_t count;
    const mr_range *ranges = mr_sink_committed(sink, &count);
    assert_int_equal(count, 1);
    assert_true(ranges[0].first == 300 && ranges[0].end == 400);
    assert_false(mr_path_exists("broken.h5.parts/run.tmp"));
    mr_sink_close(sink);
    assert_int_equal(run("broken.h5", 400), MR_OK);
    assert_same_datasets("good.h5", "broken.h5");
    assert_true(mr_path_exists("broken.h5.parts/notes"));
}

/* A part whose bytes rot is noticed by its checksum when it is joined. */
static void rotten_parts_are_redone(void **state)
{
    (void)state;
    assert_int_equal(run("sound.h5", 200), MR_OK);
    mr_sink_options options = job_options("rotten.h5");
    run_partly(&options, 0, 200);
    const char *part = "rotten.h5.parts/part-000000000100-000000000200.h5";
    size_t length;
    char *data = fixture_read(part, &length);
    const mr_embedding_row row = job_row(152);
    char *at = memmem(data, length, row.vector, sizeof(float) * JOB_DIMENSION);
    assert_non_null(at);
    *at ^= 1;
    fixture_write(part, data, length);
    free(data);
    bool finished;
    mr_error error;
    assert_int_equal(job_run(&options, 200, &finished, &error), MR_INCOMPLETE);
    assert_contains(error.text, "part-000000000100-000000000200.h5: the dataset embedding does not match its checksum");
    assert_false(mr_path_exists("rotten.h5"));
    assert_int_equal(job_run(&options, 200, &finished, NULL), MR_OK);
    assert_same_datasets("sound.h5", "rotten.h5");
}

static void finished_and_foreign(void **state)
{
    (void)state;
    mr_sink_options options = job_options("mine.h5"), other = job_options("mine.h5");
    other.fingerprint = "fingerprint-2";
    other.job_text = "model: tests/tiny\npooling: cls\nprompt: query\n";
    bool finished;
    mr_error error;
    run_partly(&options, 0, 50);
    assert_int_equal(job_run(&other, 120, &finished, &error), MR_OUTPUT_DIFFERS); /* parts of another job */
    assert_contains(error.text, "mine.h5.parts/part-000000000000-000000000050.h5 belongs to another job");
    assert_int_equal(job_run(&options, 120, &finished, &error), MR_OK);
    assert_false(finished);
    assert_int_equal(job_run(&options, 120, &finished, &error), MR_OK);
    assert_true(finished);
    assert_int_equal(job_run(&other, 120, &finished, &error), MR_OUTPUT_DIFFERS);
    assert_contains(error.text, "mine.h5 belongs to another job: pooling: cls (there pooling: mean); prompt: query (only here)");
    other.overwrite = true;
    assert_int_equal(job_run(&other, 90, &finished, &error), MR_OK);
    assert_false(finished);
    mr_embedding_file *file;
    assert_int_equal(mr_embedding_file_open("mine.h5", &file, NULL), MR_OK);
    assert_string_equal(mr_embedding_file_attribute(file, "fingerprint"), "fingerprint-2");
    assert_int_equal(mr_embedding_file_rows(file), 90);
    mr_embedding_file_close(file);
    fixture_write("text.h5", "precious notes", 14);
    options.path = "text.h5";
    assert_int_equal(job_run(&options, 1, &finished, &error), MR_OUTPUT_DIFFERS);
    assert_contains(error.text, "text.h5 exists and is not an output");
    mkdir("folder.h5", 0777);
    options.path = "folder.h5";
    assert_int_equal(job_run(&options, 1, &finished, &error), MR_CANNOT_CREATE);
    options.path = "text.h5/below.h5";
    assert_int_equal(job_run(&options, 1, &finished, &error), MR_CANNOT_CREATE);
}

/* With overwrite the same command can be run again and again, and still gets done. */
static void overwrite_resumes_its_own(void **state)
{
    (void)state;
    mr_sink_options options = job_options("again.h5");
    assert_int_equal(run("again.h5", 300), MR_OK);
    options.overwrite = true;
    run_partly(&options, 0, 150);
    assert_false(mr_path_exists("again.h5"));
    mr_sink *sink;
    bool finished;
    size_t count;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    assert_int_equal(mr_sink_committed(sink, &count)->end, 150);
    mr_sink_close(sink);
}

static void two_writers(void **state)
{
    (void)state;
    mr_sink_options options = job_options("shared.h5");
    mr_sink *one, *other;
    bool finished;
    mr_error error;
    assert_int_equal(mr_sink_open(&options, &one, &finished, NULL), MR_OK);
    assert_int_equal(mr_sink_open(&options, &other, &finished, &error), MR_CANNOT_CREATE);
    char *holder = mr_strf("process %ld on ", (long)getpid());
    assert_contains(error.text, "shared.h5.parts/run.lock is held by ");
    assert_contains(error.text, holder);
    free(holder);
    options.lock_name = "shard-2-of-2"; /* shards share the folder */
    assert_int_equal(mr_sink_open(&options, &other, &finished, NULL), MR_OK);
    assert_int_equal(job_put(one, 0, 120, NULL), MR_OK);
    assert_int_equal(job_put(other, 120, 240, NULL), MR_OK);
    assert_int_equal(mr_sink_commit(one, NULL), MR_OK);
    mr_sink_close(one);
    assert_int_equal(mr_sink_finish(other, 240, NULL), MR_OK);
    mr_sink_close(other);
    assert_int_equal(run("alone.h5", 240), MR_OK);
    assert_same_datasets("alone.h5", "shared.h5");
    assert_false(mr_path_exists("shared.h5.parts"));
}

/* Killed between the rename of the output and the removal of its parts. */
static void leftovers_of_a_finished_job(void **state)
{
    (void)state;
    mr_sink_options options = job_options("left.h5");
    bool finished;
    options.keep_parts = true;
    assert_int_equal(job_run(&options, 150, &finished, NULL), MR_OK);
    assert_int_equal(fixture_count_files("left.h5.parts", "part-"), 2);
    options.keep_parts = false;
    assert_int_equal(job_run(&options, 150, &finished, NULL), MR_OK);
    assert_true(finished);
    assert_false(mr_path_exists("left.h5.parts"));
}

static void no_rows(void **state)
{
    (void)state;
    assert_int_equal(run("none.h5", 0), MR_OK);
    mr_embedding_file *file;
    assert_int_equal(mr_embedding_file_open("none.h5", &file, NULL), MR_OK);
    assert_int_equal(mr_embedding_file_rows(file), 0);
    mr_embedding_file_close(file);
    assert_int_equal(run("none", 3), MR_OK); /* no suffix */
    assert_int_equal(mr_embedding_file_open("none", &file, NULL), MR_OK);
    mr_embedding_file_close(file);
}

static void shorter_input(void **state)
{
    (void)state;
    mr_sink_options options = job_options("shorter.h5");
    run_partly(&options, 0, 150);
    bool finished;
    mr_error error;
    assert_int_equal(job_run(&options, 120, &finished, &error), MR_OUTPUT_DIFFERS);
    assert_contains(error.text, "goes beyond the 120 records");
}

static void refused_options(void **state)
{
    (void)state;
    mr_sink *sink;
    bool finished;
    mr_error error;
    mr_sink_options options = job_options("x.h5");
    const mr_attribute reserved = { "rows", "7" };
    options.attributes = &reserved;
    options.attribute_count = 1;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, &error), MR_INVALID_ARGUMENT);
    options = job_options("x.h5");
    options.dimension = 0;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, &error), MR_INVALID_ARGUMENT);
    options = job_options("");
    assert_int_equal(mr_sink_open(&options, &sink, &finished, &error), MR_INVALID_ARGUMENT);
}

int main(void)
{
    fixture_enter("sink-hdf5");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dtype),          cmocka_unit_test(attributes_and_lookups),      cmocka_unit_test(part_boundaries),
        cmocka_unit_test(resume_anywhere),      cmocka_unit_test(overlapping_parts),           cmocka_unit_test(useless_parts_are_redone),
        cmocka_unit_test(rotten_parts_are_redone), cmocka_unit_test(finished_and_foreign),     cmocka_unit_test(overwrite_resumes_its_own),
        cmocka_unit_test(two_writers),          cmocka_unit_test(leftovers_of_a_finished_job), cmocka_unit_test(no_rows),
        cmocka_unit_test(shorter_input),        cmocka_unit_test(refused_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
