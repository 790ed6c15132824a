/* Well-formed HDF5 files under a valid seal whose contents are hostile: the first bytes choose attributes and datasets to
 * remove or to make anew with another type, shape, layout or value. Nothing may crash a resume, a merge or a reader, and
 * what is refused has a reason. (Bytes libhdf5 did not write never reach it: the seal.) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/embedding_file.h"
#include "io/file_seal.h"
#include "io/output.h"
#include "io/part_file.h"
#include "io/part_join.h"

#define ROWS 6
#define DIMENSION 4

static const char *const attribute_names[] = { "schema", "schema_version", "dtype", "dimension", "fingerprint", "job", "first_ordinal", "end_ordinal",
                                               "rows", "rows_ok", "rows_failed", "model" };
static const char *const dataset_names[] = { "embedding", "status", "tokens", "id/bytes", "id/offsets", "error/bytes", "error/offsets", "source/shard",
                                             "source/record", "source/files/bytes", "source/files/offsets", "text/bytes", "text/offsets", "scale",
                                             "id/index/hash", "id/index/row" };
static const char *const group_names[] = { "id", "error", "source", "source/files", "text", "id/index" };

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ---- choices ---- */

typedef struct choices {
    const uint8_t *data;
    size_t size;
} choices;

static unsigned take(choices *from, unsigned below)
{
    if (from->size == 0) return 0;
    from->size--;
    return *from->data++ % below;
}

static uint64_t take_number(choices *from)
{
    static const uint64_t odd[] = { 0, 1, ROWS, ROWS + 1, UINT32_MAX, (uint64_t)1 << 40, UINT64_MAX, (uint64_t)INT64_MAX };
    unsigned which = take(from, 16);
    return which < COUNT(odd) ? odd[which] : take(from, 256);
}

static hid_t take_type(choices *from)
{
    static const hsize_t three = 3;
    hid_t type;
    switch (take(from, 12)) {
    case 0: return H5Tcopy(H5T_STD_U8LE);
    case 1: return H5Tcopy(H5T_STD_U32LE);
    case 2: return H5Tcopy(H5T_STD_U64LE);
    case 3: return H5Tcopy(H5T_STD_I64BE);
    case 4: return H5Tcopy(H5T_IEEE_F32LE);
    case 5: return H5Tcopy(H5T_IEEE_F64BE);
    case 6:
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, 1 + take(from, 256));
        return type;
    case 7:
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, H5T_VARIABLE);
        return type;
    case 8: return H5Tarray_create2(H5T_STD_U8LE, 1, &three);
    case 9: return H5Tvlen_create(H5T_STD_U8LE);
    case 10:
        type = H5Tcreate(H5T_COMPOUND, 16);
        H5Tinsert(type, "a", 0, H5T_STD_U64LE);
        H5Tinsert(type, "b", 8, H5T_IEEE_F64LE);
        return type;
    default: return H5Tcreate(H5T_OPAQUE, 1 + take(from, 64));
    }
}

static hid_t take_space(choices *from, bool small)
{
    hsize_t dimensions[3];
    int rank = (int)take(from, 5);
    if (rank == 0) return H5Screate(H5S_SCALAR);
    if (rank == 4) return H5Screate(H5S_NULL);
    for (int i = 0; i < rank; i++) {
        uint64_t number = take_number(from);
        dimensions[i] = small ? number % 20 : number % ((uint64_t)1 << 41);
    }
    return H5Screate_simple(rank, dimensions, NULL);
}

/* Bytes for any type of at most 256 bytes and 8000 elements; strings of variable length point to one of a few. */
static void *make_value(choices *from, hid_t type, hid_t space)
{
    static const char *const texts[] = { "", "millrace-embedding", "f32", "binary", "fingerprint", "\xFF\xFE", "18446744073709551616", "-1" };
    hssize_t count = H5Sget_simple_extent_npoints(space);
    size_t size = H5Tget_size(type), total = (size_t)(count > 0 ? count : 1) * size;
    char *value = calloc(1, total + 1);
    if (!value) abort();
    if (H5Tis_variable_str(type) > 0) {
        for (hssize_t i = 0; i < count; i++) {
            unsigned which = take(from, COUNT(texts) + 1);
            ((const char **)(void *)value)[i] = which < COUNT(texts) ? texts[which] : NULL;
        }
    } else if (H5Tget_class(type) != H5T_VLEN) {
        for (size_t i = 0; i < total && from->size > 0; i++) value[i] = (char)take(from, 256);
    }
    return value;
}

/* ---- mutations ---- */

static void change_attribute(hid_t file, choices *from)
{
    const char *name = attribute_names[take(from, COUNT(attribute_names))];
    H5Adelete(file, name);
    if (take(from, 4) == 0) return;
    hid_t type = take_type(from), space = take_space(from, true);
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    void *value = make_value(from, type, space);
    if (attribute >= 0) H5Awrite(attribute, type, value);
    free(value);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

/* The right type under a number that lies. */
static void change_number(hid_t file, choices *from)
{
    static const char *const names[] = { "schema_version", "dimension", "first_ordinal", "end_ordinal", "rows", "rows_ok", "rows_failed" };
    const char *name = names[take(from, COUNT(names))];
    H5Adelete(file, name);
    mr_h5_put_number(file, name, take_number(from), NULL);
}

static void remake_dataset(hid_t file, choices *from)
{
    const char *name = dataset_names[take(from, COUNT(dataset_names))];
    H5Ldelete(file, name, H5P_DEFAULT);
    unsigned layout = take(from, 4);
    if (layout == 3) return;
    hid_t type = take_type(from), space = take_space(from, layout != 0);
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE), links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    int rank = H5Sget_simple_extent_ndims(space);
    const hsize_t chunk[3] = { 64, 4, 4 };
    if (layout == 0 && rank > 0) H5Pset_chunk(creation, rank, chunk); /* nothing stored: dimensions may be huge */
    if (layout == 1) H5Pset_layout(creation, H5D_COMPACT);
    if (layout == 2 && take(from, 3) == 0) H5Pset_external(creation, "/etc/hostname", 0, H5F_UNLIMITED);
    hid_t set = H5Dcreate2(file, name, type, space, links, creation, H5P_DEFAULT);
    if (set >= 0 && layout == 1) {
        void *value = make_value(from, type, space);
        H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value);
        free(value);
    }
    H5Dclose(set);
    H5Pclose(links);
    H5Pclose(creation);
    H5Sclose(space);
    H5Tclose(type);
}

/* Values that lie in a dataset of the right type: offsets, statuses, rows of the index. */
static void change_values(hid_t file, choices *from)
{
    static const char *const names[] = { "id/offsets", "error/offsets", "text/offsets", "source/files/offsets", "source/record", "id/index/row", "id/index/hash" };
    hid_t set = H5Dopen2(file, names[take(from, COUNT(names))], H5P_DEFAULT);
    uint64_t values[16];
    for (size_t i = 0; i < COUNT(values); i++) values[i] = take_number(from);
    hid_t space = set >= 0 ? H5Dget_space(set) : H5I_INVALID_HID;
    if (space >= 0 && H5Sget_simple_extent_npoints(space) <= (hssize_t)COUNT(values)) H5Dwrite(set, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Sclose(space);
    H5Dclose(set);
}

static void change_links(hid_t file, choices *from)
{
    unsigned which = take(from, COUNT(dataset_names) + COUNT(group_names));
    const char *name = which < COUNT(dataset_names) ? dataset_names[which] : group_names[which - COUNT(dataset_names)];
    const char *other = dataset_names[take(from, COUNT(dataset_names))];
    unsigned kind = take(from, 4);
    if (kind == 3) { /* the same object twice; a group in itself */
        if (strcmp(name, other) != 0 && H5Lexists(file, name, H5P_DEFAULT) > 0) H5Lcreate_hard(file, name, file, "again", H5P_DEFAULT, H5P_DEFAULT);
        return;
    }
    H5Ldelete(file, name, H5P_DEFAULT);
    if (kind == 0) H5Lcreate_soft(other, file, name, H5P_DEFAULT, H5P_DEFAULT);
    if (kind == 1) H5Lcreate_external("good.h5", other, file, name, H5P_DEFAULT, H5P_DEFAULT);
    if (kind == 2) H5Gclose(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

/* ---- the files ---- */

static char folder[64];

static char *path_of(const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const mr_sink_options options = { .dimension = DIMENSION, .store_text = true, .source_names = (const char *const[]){ "one.jsonl" }, .source_count = 1,
                                         .fingerprint = "fingerprint", .job_text = "model: tests/tiny\n" };

static void write_good_part(const mr_embedding_schema *schema)
{
    mr_error error;
    mr_block block;
    const float vector[DIMENSION] = { 0.5f, -0.5f, 0.25f, 1.0f };
    if (!mr_block_init(&block, schema->columns, schema->count)) abort();
    for (uint64_t i = 0; i < ROWS; i++) {
        const uint8_t status = i == 3 ? MR_ROW_FAILED : MR_ROW_OK;
        const uint32_t number = 0;
        mr_block_put_fixed(&block, MR_COLUMN_EMBEDDING, vector);
        mr_block_put_fixed(&block, MR_COLUMN_STATUS, &status);
        mr_block_put_fixed(&block, MR_COLUMN_TOKENS, &number);
        mr_block_put_packed(&block, MR_COLUMN_ID, mr_str_of("id"));
        mr_block_put_packed(&block, MR_COLUMN_ERROR, mr_str_of(i == 3 ? "why" : ""));
        mr_block_put_fixed(&block, MR_COLUMN_SHARD, &number);
        mr_block_put_fixed(&block, MR_COLUMN_RECORD, &i);
        mr_block_put_packed(&block, schema->text, mr_str_of("text"));
        mr_block_end_row(&block);
    }
    if (mr_part_file_write(path_of("good.h5"), &options, schema, &block, 0, &error) != MR_OK) abort();
    mr_block_fini(&block);
}

static void copy(const char *from, const char *to)
{
    char buffer[1 << 16];
    FILE *in = fopen(path_of(from), "rb"), *out = fopen(path_of(to), "wb");
    size_t length;
    if (!in || !out) abort();
    while ((length = fread(buffer, 1, sizeof buffer, in)) > 0)
        if (fwrite(buffer, 1, length, out) != length) abort();
    fclose(in);
    if (fclose(out) != 0) abort();
}

/* Mutates the good part into `name` and seals it anew. */
static void write_hostile(const char *name, choices from)
{
    copy("good.h5", name);
    hid_t file = H5Fopen(path_of(name), H5F_ACC_RDWR, H5P_DEFAULT);
    if (file < 0) abort();
    for (unsigned i = 1 + take(&from, 4); i > 0; i--) {
        switch (take(&from, 5)) {
        case 0: change_attribute(file, &from); break;
        case 1: change_number(file, &from); break;
        case 2: remake_dataset(file, &from); break;
        case 3: change_values(file, &from); break;
        default: change_links(file, &from); break;
        }
    }
    H5Fclose(file);
    H5Eclear2(H5E_DEFAULT);
    const mr_seal seal = { 0 };
    int fd = open(path_of(name), O_RDWR);
    if (fd < 0 || mr_seal_write(&seal, fd, name, NULL) != MR_OK) abort();
    close(fd);
}

/* ---- the readers ---- */

static void must_say_why(mr_status status, const mr_error *error)
{
    if (status != MR_OK && !error->text[0]) abort();
}

static void read_finished(const char *path)
{
    mr_embedding_file *file;
    mr_output_state state;
    mr_embedding_row row;
    mr_error error = { 0 };
    must_say_why(mr_output_verify(path, &error), &error);
    must_say_why(mr_output_inspect(path, &state, &error), &error);
    mr_status status = mr_embedding_file_open(path, &file, &error);
    must_say_why(status, &error);
    if (status != MR_OK) return;
    uint64_t found;
    float vectors[3 * DIMENSION];
    for (uint64_t i = 0; status == MR_OK && i < 3 && i < mr_embedding_file_rows(file); i++) must_say_why(status = mr_embedding_file_row(file, i, &row, &error), &error);
    if (mr_embedding_file_dimension(file) == DIMENSION && mr_embedding_file_rows(file) >= 3)
        must_say_why(mr_embedding_file_vectors(file, 0, 3, vectors, &error), &error);
    must_say_why(mr_embedding_file_find(file, mr_str_of("id"), &found, &error), &error);
    mr_embedding_file_close(file);
}

static void resume(const mr_embedding_schema *schema)
{
    mr_part_list list = { 0 };
    mr_range *ranges = NULL;
    size_t count;
    mr_error error = { 0 };
    mr_status status = mr_part_list_scan(&list, path_of("out.h5.parts"), &error);
    if (status == MR_OK) status = mr_part_list_check(&list, schema, &(mr_job_identity){ .fingerprint = options.fingerprint, .text = options.job_text }, &error);
    if (status == MR_OK) status = mr_part_list_ranges(&list, &ranges, &count, &error);
    must_say_why(status, &error);
    free(ranges);
    mr_part_list_fini(&list);
}

static void clean_up(void)
{
    static const char *const names[] = { "good.h5", "out.h5.parts/part-000000000000-000000000006.h5", "out.h5.parts/total-000000000006" };
    for (size_t i = 0; i < COUNT(names); i++) unlink(path_of(names[i]));
    rmdir(path_of("out.h5.parts"));
    rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mr_embedding_schema schema;
    if (!folder[0]) {
        mr_h5_quiet();
        /* In memory: an fsync would take longer than all the rest. */
        snprintf(folder, sizeof folder, "%s/fuzz-part-%ld", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
        mkdir(folder, 0700);
        atexit(clean_up);
        mkdir(path_of("out.h5.parts"), 0700);
        mr_embedding_schema_init(&schema, MR_VECTOR_F32, DIMENSION, (mr_embedding_extras){ .text = true });
        write_good_part(&schema);
    }
    const char *part = "out.h5.parts/part-000000000000-000000000006.h5";
    mr_error error = { 0 };
    write_hostile(part, (choices){ data, size });
    read_finished(path_of(part));
    resume(&schema);
    write_hostile(part, (choices){ data, size }); /* resume drops what is of no use */
    close(open(path_of("out.h5.parts/total-000000000006"), O_WRONLY | O_CREAT, 0600));
    must_say_why(mr_output_merge_parts(path_of("out.h5"), false, &error), &error);
    unlink(path_of("out.h5"));
    mkdir(path_of("out.h5.parts"), 0700);
    return 0;
}
