/* Reading files that are not what they claim. */
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/hdf5_file.h"
#include "io/output.h"
#include "sink_fixture.h"

static void make(const char *path)
{
    mr_sink_options options = job_options(path);
    options.overwrite = true;
    bool finished;
    assert_int_equal(job_run(&options, 120, &finished, NULL), MR_OK);
}

/* Opens and reads everything; any status but a crash. */
static mr_status read_all(const char *path, mr_error *error)
{
    mr_embedding_file *file;
    MR_TRY(mr_embedding_file_open(path, &file, error));
    mr_status status = MR_OK;
    mr_embedding_row row;
    float vector[JOB_DIMENSION];
    for (uint64_t i = 0; status == MR_OK && i < mr_embedding_file_rows(file); i++) {
        status = mr_embedding_file_row(file, i, &row, error);
        if (status == MR_OK) status = mr_embedding_file_vectors(file, i, 1, vector, error);
    }
    mr_embedding_file_close(file);
    return status;
}

static hid_t open_for_change(const char *path)
{
    make(path);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static void must_be_refused(const char *path, hid_t file, const char *reason)
{
    mr_error error = { 0 };
    H5Fclose(file);
    assert_int_equal(read_all(path, &error), MR_BAD_INPUT);
    assert_contains(error.text, path);
    assert_contains(error.text, reason);
}

static void set_offset(hid_t file, const char *name, hsize_t at, uint64_t value)
{
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(set);
    const hsize_t one = 1;
    hid_t memory = H5Screate_simple(1, &one, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &at, NULL, &one, NULL);
    assert_true(H5Dwrite(set, H5T_NATIVE_UINT64, memory, space, H5P_DEFAULT, &value) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(set);
}

static void offsets_that_lie(void **state)
{
    (void)state;
    hid_t file = open_for_change("offsets.h5");
    set_offset(file, "id/offsets", 50, 5);
    must_be_refused("offsets.h5", file, "id/offsets descends");
    file = open_for_change("offsets.h5");
    set_offset(file, "text/offsets", 120, UINT64_MAX);
    must_be_refused("offsets.h5", file, "text/offsets points behind text/bytes");
    file = open_for_change("offsets.h5");
    set_offset(file, "error/offsets", 0, UINT64_MAX);
    must_be_refused("offsets.h5", file, "error/offsets descends");
}

static void replace_dataset(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dimensions, hid_t creation)
{
    assert_true(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    hid_t space = H5Screate_simple(rank, dimensions, NULL);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

static void shapes_that_lie(void **state)
{
    (void)state;
    const hsize_t enormous[2] = { (hsize_t)1 << 40, JOB_DIMENSION }, narrow[2] = { 120, 3 }, flat = 120, many = 121;
    hid_t file = open_for_change("shapes.h5");
    replace_dataset(file, "embedding", H5T_IEEE_F32LE, 2, enormous, H5P_DEFAULT);
    must_be_refused("shapes.h5", file, "claims more rows than are stored");
    file = open_for_change("shapes.h5");
    replace_dataset(file, "embedding", H5T_IEEE_F32LE, 2, narrow, H5P_DEFAULT);
    must_be_refused("shapes.h5", file, "embedding has another type or shape");
    file = open_for_change("shapes.h5");
    replace_dataset(file, "embedding", H5T_IEEE_F32LE, 1, &flat, H5P_DEFAULT);
    must_be_refused("shapes.h5", file, "embedding has another type or shape");
    file = open_for_change("shapes.h5");
    replace_dataset(file, "tokens", H5T_STD_U16LE, 1, &flat, H5P_DEFAULT);
    must_be_refused("shapes.h5", file, "tokens has another type or shape");
    file = open_for_change("shapes.h5");
    replace_dataset(file, "status", H5T_STD_U8LE, 1, &many, H5P_DEFAULT);
    must_be_refused("shapes.h5", file, "rows");
    file = open_for_change("shapes.h5");
    assert_true(H5Ldelete(file, "id", H5P_DEFAULT) >= 0);
    must_be_refused("shapes.h5", file, "no dataset id/bytes");
}

static void values_elsewhere(void **state)
{
    (void)state;
    const hsize_t rows = 120;
    hid_t file = open_for_change("external.h5");
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_external(creation, "/etc/passwd", 0, 480) >= 0);
    replace_dataset(file, "tokens", H5T_STD_U32LE, 1, &rows, creation);
    H5Pclose(creation);
    must_be_refused("external.h5", file, "tokens keeps its values in other files");
    static const char *const links[] = { "tokens", "id", "id/index" };
    for (int i = 0; i < 3; i++) { /* a file that the seal says nothing about */
        file = open_for_change("external.h5");
        assert_true(H5Lmove(file, links[i], file, "moved", H5P_DEFAULT, H5P_DEFAULT) >= 0);
        assert_true(H5Lcreate_external("shapes.h5", links[i], file, links[i], H5P_DEFAULT, H5P_DEFAULT) >= 0);
        must_be_refused("external.h5", file, "refers to other files");
    }
}

static void attributes_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *reason;
    } lies[] = {
        { "schema", "other", "is not an embedding output" },
        { "schema_version", "99", "has schema version 99" },
        { "dtype", "f64", "dtype and dimension make no sense" },
        { "dimension", "0", "dtype and dimension make no sense" },
        { "dimension", "18446744073709551615", "dtype and dimension make no sense" },
        { "dtype", "int8", "embedding has another type or shape" },
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        hid_t file = open_for_change("attributes.h5");
        assert_true(H5Adelete(file, lies[i].name) >= 0);
        assert_int_equal(mr_h5_put_text(file, lies[i].name, lies[i].value, NULL), MR_OK);
        must_be_refused("attributes.h5", file, lies[i].reason);
    }
}

static void unknown_status(void **state)
{
    (void)state;
    hid_t file = open_for_change("status.h5");
    hid_t set = H5Dopen2(file, "status", H5P_DEFAULT);
    uint8_t values[120] = { 0 };
    values[77] = 9;
    assert_true(H5Dwrite(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    must_be_refused("status.h5", file, "row 77 has the unknown status 9");
}

static void no_such_files(void **state)
{
    (void)state;
    mr_error error;
    mr_embedding_file *file;
    assert_int_equal(mr_embedding_file_open("missing.h5", &file, &error), MR_NO_INPUT);
    fixture_write("words.h5", "no HDF5", 7);
    assert_int_equal(mr_embedding_file_open("words.h5", &file, &error), MR_BAD_INPUT);
    assert_contains(error.text, "words.h5 is not a readable HDF5 file");
}

static void cut_off_files(void **state)
{
    (void)state;
    make("whole.h5");
    size_t length;
    char *data = fixture_read("whole.h5", &length);
    for (size_t cut = 0; cut < length; cut += 1 + length / 40) {
        fixture_write("cut.h5", data, cut);
        mr_error error;
        assert_int_not_equal(read_all("cut.h5", &error), MR_OK);
    }
    free(data);
}

/* Any one byte changed: the file is refused before libhdf5 can stumble over it, or a checksum does not fit. */
static void changed_bytes(void **state)
{
    (void)state;
    make("intact.h5");
    size_t length, unnoticed = 0;
    char *data = fixture_read("intact.h5", &length);
    for (size_t at = 0; at < length; at += 61) {
        mr_error error = { 0 };
        data[at] ^= 0x40;
        fixture_write("flipped.h5", data, length);
        data[at] ^= 0x40;
        mr_status status = mr_output_verify("flipped.h5", &error);
        if (status == MR_OK) {
            unnoticed++; /* bits that a deflate stream does not use */
            assert_same_datasets("intact.h5", "flipped.h5");
        } else {
            assert_contains(error.text, "flipped.h5");
        }
    }
    assert_true(unnoticed < 5);
    free(data);
}

int main(void)
{
    fixture_enter("embedding-file");
    mr_h5_quiet();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_that_lie),    cmocka_unit_test(shapes_that_lie), cmocka_unit_test(values_elsewhere),
        cmocka_unit_test(attributes_that_lie), cmocka_unit_test(unknown_status),  cmocka_unit_test(no_such_files),
        cmocka_unit_test(cut_off_files),       cmocka_unit_test(changed_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
