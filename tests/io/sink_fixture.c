#include "sink_fixture.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/hdf5_file.h"

static const mr_attribute attributes[] = { { "model", "tests/tiny" }, { "zeta", "first \xC3\xA9" }, { "alpha", "" } };
static const char *const source_names[] = { "one.jsonl", "d\xC3\xBC.tar" };

mr_sink_options job_options(const char *path)
{
    return (mr_sink_options){
        .path = path,
        .dimension = JOB_DIMENSION,
        .attributes = attributes,
        .attribute_count = 3,
        .source_names = source_names,
        .source_count = 2,
        .fingerprint = "fingerprint-1",
        .job_text = "model: tests/tiny\npooling: mean\n",
        .store_text = true,
        .rows_per_part = 100,
    };
}

mr_embedding_row job_row(uint64_t ordinal)
{
    static float vector[JOB_DIMENSION];
    static char id[64], text[256];
    for (uint64_t i = 0; i < JOB_DIMENSION; i++) vector[i] = (float)((ordinal * 31 + i * 17) % 101) / 50.0f - 1.0f;
    snprintf(id, sizeof id, "id-%llu", (unsigned long long)ordinal);
    memset(text, 'a' + (int)(ordinal % 26), ordinal % 200);
    text[ordinal % 200] = '\0';
    bool failed = ordinal % 7 == 3;
    return (mr_embedding_row){
        .ordinal = ordinal,
        .status = failed ? MR_ROW_FAILED : ordinal % 11 == 5 ? MR_ROW_TRUNCATED : MR_ROW_OK,
        .id = mr_str_of(id),
        .error = mr_str_of(failed ? "one.jsonl:4: \"quoted\" reason" : ""),
        .text = mr_str_of(text),
        .vector = failed ? NULL : vector,
        .tokens = (uint32_t)(ordinal % 512),
        .source_index = ordinal >= 64,
        .source_record = ordinal >= 64 ? ordinal - 64 : ordinal,
    };
}

mr_status job_put(mr_sink *sink, uint64_t first, uint64_t end, mr_error *error)
{
    for (uint64_t i = first; i < end; i++) {
        const mr_embedding_row row = job_row(i);
        MR_TRY(mr_sink_put(sink, &row, error));
    }
    return MR_OK;
}

mr_status job_run(const mr_sink_options *options, uint64_t total, bool *finished, mr_error *error)
{
    mr_sink *sink;
    MR_TRY(mr_sink_open(options, &sink, finished, error));
    if (*finished) return MR_OK;
    size_t count;
    const mr_range *committed = mr_sink_committed(sink, &count);
    mr_range *missing = calloc(count + 1, sizeof *missing);
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        missing[i] = (mr_range){ at, committed[i].first };
        at = committed[i].end;
    }
    missing[count] = (mr_range){ at, total };
    mr_status status = MR_OK;
    for (size_t i = 0; status == MR_OK && i <= count; i++) status = job_put(sink, missing[i].first, missing[i].end, error);
    if (status == MR_OK) status = mr_sink_finish(sink, total, error);
    mr_sink_close(sink);
    free(missing);
    return status;
}

typedef struct dataset_list {
    char names[64][128];
    size_t count;
} dataset_list;

static herr_t list_dataset(hid_t file, const char *name, const H5O_info_t *info, void *context)
{
    (void)file;
    dataset_list *list = context;
    if (info->type == H5O_TYPE_DATASET) snprintf(list->names[list->count++], sizeof list->names[0], "%s", name);
    return 0;
}

static void compare_dataset(hid_t one, hid_t other, const char *name)
{
    hid_t sets[2] = { H5Dopen2(one, name, H5P_DEFAULT), H5Dopen2(other, name, H5P_DEFAULT) };
    hid_t types[2] = { H5Dget_type(sets[0]), H5Dget_type(sets[1]) };
    hid_t spaces[2] = { H5Dget_space(sets[0]), H5Dget_space(sets[1]) };
    if (H5Tequal(types[0], types[1]) <= 0 || H5Sextent_equal(spaces[0], spaces[1]) <= 0) fail_msg("%s: types or shapes differ", name);
    size_t bytes = H5Tget_size(types[0]) * (size_t)H5Sget_simple_extent_npoints(spaces[0]);
    char *values[2] = { calloc(1, bytes + 1), calloc(1, bytes + 1) };
    for (int i = 0; i < 2; i++) {
        assert_true(H5Dread(sets[i], types[i], H5S_ALL, H5S_ALL, H5P_DEFAULT, values[i]) >= 0);
        H5Tclose(types[i]);
        H5Sclose(spaces[i]);
        H5Dclose(sets[i]);
    }
    if (memcmp(values[0], values[1], bytes) != 0) fail_msg("%s differs", name);
    free(values[0]);
    free(values[1]);
}

void assert_same_datasets(const char *one, const char *other)
{
    static dataset_list lists[2];
    memset(lists, 0, sizeof lists);
    hid_t files[2];
    assert_int_equal(mr_h5_open(one, &files[0], NULL), MR_OK);
    assert_int_equal(mr_h5_open(other, &files[1], NULL), MR_OK);
    for (int i = 0; i < 2; i++) assert_true(H5Ovisit(files[i], H5_INDEX_NAME, H5_ITER_INC, list_dataset, &lists[i]) >= 0);
    assert_int_equal(lists[0].count, lists[1].count);
    assert_true(lists[0].count >= 12);
    for (size_t i = 0; i < lists[0].count; i++) {
        assert_string_equal(lists[0].names[i], lists[1].names[i]);
        compare_dataset(files[0], files[1], lists[0].names[i]);
    }
    H5Fclose(files[0]);
    H5Fclose(files[1]);
}
