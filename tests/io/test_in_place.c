/* Outputs whose vectors stay in the parts. */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/file.h"
#include "io/export.h"
#include "io/hdf5_file.h"
#include "io/output.h"
#include "io/part_list.h"
#include "sink_fixture.h"

#define ROWS 250

static unsigned long free_blocks = 1ul << 40; /* of the disk the tests see */

int statvfs(const char *path, struct statvfs *out)
{
    (void)path;
    *out = (struct statvfs){ .f_frsize = 1, .f_bavail = free_blocks };
    return 0;
}

static mr_sink_options in_place_options(const char *path)
{
    mr_sink_options options = job_options(path);
    options.in_place_parts = true;
    return options;
}

static void run(const mr_sink_options *options)
{
    bool finished = false;
    mr_error error;
    if (job_run(options, ROWS, &finished, &error) != MR_OK) fail_msg("%s", error.text);
}

static void verify(const char *path)
{
    mr_error error;
    if (mr_output_verify(path, &error) != MR_OK) fail_msg("%s", error.text);
}

static void same_as_one_file(void **state)
{
    (void)state;
    for (mr_vector_dtype dtype = MR_VECTOR_F32; dtype <= MR_VECTOR_BINARY; dtype++) {
        mr_sink_options options = job_options("one.h5");
        options.dtype = dtype;
        options.overwrite = true;
        run(&options);
        options.path = "folder/place.h5";
        options.in_place_parts = true;
        run(&options);
        assert_same_datasets("one.h5", "folder/place.h5");
        assert_int_equal(fixture_count_files("folder/place.h5.parts", "part-"), 3);
        verify("folder/place.h5");
        options.overwrite = false;
        bool finished = false;
        options.in_place_parts = false;
        assert_int_equal(job_run(&options, ROWS, &finished, NULL), MR_OK); /* finished: the parts stay, whatever it is asked */
        assert_true(finished);
        verify("folder/place.h5");
    }
    assert_int_equal(rename("folder", "moved"), 0); /* the two together may go anywhere */
    verify("moved/place.h5");
}

static void overlapping_parts(void **state)
{
    (void)state;
    mr_sink *sink;
    bool finished;
    mr_sink_options options = in_place_options("overlap.h5");
    options.lock_name = "a";
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    assert_int_equal(job_put(sink, 40, 170, NULL), MR_OK);
    assert_int_equal(mr_sink_commit(sink, NULL), MR_OK);
    mr_sink_close(sink);
    options.rows_per_part = 60;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    assert_int_equal(job_put(sink, 0, ROWS, NULL), MR_OK); /* all of it once more */
    assert_int_equal(mr_sink_finish_shard(sink, ROWS, NULL), MR_OK);
    mr_sink_close(sink);
    assert_int_equal(mr_output_merge_parts("overlap.h5", true, NULL), MR_OK);
    verify("overlap.h5");
    options = job_options("whole.h5");
    run(&options);
    assert_same_datasets("whole.h5", "overlap.h5");
    assert_int_equal(mr_output_merge_parts("overlap.h5", false, NULL), MR_OK); /* finished already */
    verify("overlap.h5");
    const char *path = "overlap.h5";
    assert_int_equal(mr_output_merge_files(&path, 1, "copied.h5", false, NULL), MR_OK);
    assert_same_datasets("whole.h5", "copied.h5");
    assert_false(mr_path_exists("copied.h5.parts"));
}

static void missing_and_foreign_parts(void **state)
{
    (void)state;
    static const char part[] = "gone.h5.parts/part-000000000100-000000000200.h5";
    mr_sink_options options = in_place_options("gone.h5");
    mr_embedding_file *file;
    mr_error error;
    run(&options);
    assert_int_equal(rename(part, "kept"), 0);
    assert_int_equal(mr_output_verify("gone.h5", &error), MR_BAD_INPUT);
    assert_contains(error.text, part);
    assert_contains(error.text, "missing or too short");
    assert_int_equal(mr_embedding_file_open("gone.h5", &file, &error), MR_BAD_INPUT);
    fixture_write(part, "junk", 4);
    assert_int_equal(mr_embedding_file_open("gone.h5", &file, &error), MR_BAD_INPUT);
    assert_int_equal(rename("kept", part), 0);
    fixture_truncate(part, 5000);
    assert_int_equal(mr_embedding_file_open("gone.h5", &file, &error), MR_BAD_INPUT);
}

/* A part with other vectors, sealed and of the right size: only the checksum can tell. */
static void exchanged_parts(void **state)
{
    (void)state;
    mr_error error;
    mr_sink_options options = in_place_options("swap.h5");
    run(&options);
    assert_int_equal(rename("swap.h5.parts/part-000000000100-000000000200.h5", "swap.h5.parts/part-000000000000-000000000100.h5"), 0);
    size_t length;
    char *data = fixture_read("swap.h5.parts/part-000000000000-000000000100.h5", &length);
    fixture_write("swap.h5.parts/part-000000000100-000000000200.h5", data, length);
    free(data);
    assert_int_equal(mr_output_verify("swap.h5", &error), MR_BAD_INPUT);
    assert_contains(error.text, "embedding does not match its checksum");
}

/* A file that is not ours could name any file of the machine as the place of its vectors. */
static void hostile_sources(void **state)
{
    (void)state;
    static const char *const sources[] = { "/etc/passwd", "../secret.h5", "x.parts/../../part-000000000000-000000000001.h5", "x.parts/other.h5",
                                           "place/part-000000000000-000000000001.h5", "." };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        mr_embedding_file *file;
        mr_error error;
        mr_sink_options options = job_options("hostile.h5");
        options.overwrite = true;
        run(&options);
        hid_t id = H5Fopen("hostile.h5", H5F_ACC_RDWR, H5P_DEFAULT);
        const hsize_t size[2] = { ROWS, JOB_DIMENSION };
        hid_t space = H5Screate_simple(2, size, NULL), creation = H5Pcreate(H5P_DATASET_CREATE);
        assert_true(H5Pset_virtual(creation, space, sources[i], "embedding", space) >= 0);
        H5Ldelete(id, "embedding", H5P_DEFAULT);
        hid_t set = H5Dcreate2(id, "embedding", H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
        assert_true(set >= 0);
        H5Dclose(set);
        H5Pclose(creation);
        H5Sclose(space);
        H5Fclose(id);
        assert_int_equal(mr_embedding_file_open("hostile.h5", &file, &error), MR_BAD_INPUT);
        assert_contains(error.text, "a file that is no part");
    }
}

static void overwriting_and_refusing(void **state)
{
    (void)state;
    mr_sink *sink;
    bool finished;
    mr_error error;
    mr_sink_options options = in_place_options("over.h5");
    run(&options);
    options.fingerprint = "fingerprint-2";
    options.job_text = "model: other\n";
    options.overwrite = true;
    options.in_place_parts = false;
    run(&options);
    assert_false(mr_path_exists("over.h5.parts"));
    verify("over.h5");
    options = in_place_options("over.jsonl");
    assert_int_equal(mr_sink_open(&options, &sink, &finished, &error), MR_CONFIG);
    options.path = "-";
    assert_int_equal(mr_sink_open(&options, &sink, &finished, &error), MR_CONFIG);
}

/* A disk that holds the parts, but not the vectors a second time: the advice given is one that helps. */
static void too_small_a_disk(void **state)
{
    (void)state;
    bool finished = false;
    mr_error error;
    mr_sink_options options = job_options("full.h5"), in_place = in_place_options("tight.h5");
    for (free_blocks = 0; job_run(&in_place, ROWS, &finished, &error) != MR_OK; free_blocks += ROWS * JOB_DIMENSION) {
        assert_int_equal(error.status, MR_NO_SPACE);
        assert_null(strstr(error.text, "--in-place-parts"));
    }
    verify("tight.h5");
    assert_int_equal(job_run(&options, ROWS, &finished, &error), MR_NO_SPACE);
    assert_contains(error.text, "add --in-place-parts");
    assert_false(mr_path_exists("full.h5"));
    free_blocks += sizeof(float) * ROWS * JOB_DIMENSION;
    if (job_run(&options, ROWS, &finished, &error) != MR_OK) fail_msg("%s", error.text);
    free_blocks = 1ul << 40;
}

static void no_rows(void **state)
{
    (void)state;
    bool finished = false;
    mr_sink_options options = in_place_options("none.h5");
    assert_int_equal(job_run(&options, 0, &finished, NULL), MR_OK);
    verify("none.h5");
}

/* A retry makes one file of it. */
static void retried(void **state)
{
    (void)state;
    mr_sink *sink;
    bool finished;
    mr_error error;
    mr_sink_options options = in_place_options("retry.h5");
    run(&options);
    options.in_place_parts = false;
    options.retry_failed = true;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    for (uint64_t i = 0; i < ROWS; i++) {
        const mr_embedding_row row = job_row(i);
        if (row.status == MR_ROW_FAILED) assert_int_equal(mr_sink_put(sink, &row, NULL), MR_OK);
    }
    if (mr_sink_finish(sink, ROWS, &error) != MR_OK) fail_msg("%s", error.text);
    mr_sink_close(sink);
    assert_false(mr_path_exists("retry.h5.parts"));
    verify("retry.h5");
    options = job_options("plain.h5");
    run(&options);
    assert_same_datasets("plain.h5", "retry.h5");
}

int main(void)
{
    fixture_enter("in-place");
    mr_h5_quiet();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_one_file), cmocka_unit_test(overlapping_parts),        cmocka_unit_test(missing_and_foreign_parts),
        cmocka_unit_test(exchanged_parts),  cmocka_unit_test(hostile_sources),          cmocka_unit_test(overwriting_and_refusing),
        cmocka_unit_test(too_small_a_disk), cmocka_unit_test(no_rows),          cmocka_unit_test(retried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
