#include "io/pixel_file.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/file.h"
#include "io/file_publish.h"
#include "io/output_name.h"
#include "io/table.h"

enum { STATUS, ID, ERROR_TEXT, WIDTH, HEIGHT, COLUMN_COUNT };

static const mr_column columns[COLUMN_COUNT] = {
    [STATUS] = { .name = "status", .element = MR_ELEMENT_U8 },
    [ID] = { .name = "id", .element = MR_ELEMENT_U8, .packed = true },
    [ERROR_TEXT] = { .name = "error", .element = MR_ELEMENT_U8, .packed = true },
    [WIDTH] = { .name = "width", .element = MR_ELEMENT_U32 },
    [HEIGHT] = { .name = "height", .element = MR_ELEMENT_U32 },
};

struct mr_pixel_file {
    char *path, *temporary;
    bool overwrite;
    mr_h5_output *output;
    hid_t pixels;
    hsize_t rows, height, width;
    mr_block block; /* all but the pixels */
};

static mr_status create_pixels(mr_pixel_file *file, mr_error *error)
{
    const hsize_t none[4] = { 0, file->height, file->width, 3 }, most[4] = { H5S_UNLIMITED, file->height, file->width, 3 };
    const hsize_t chunk[4] = { 1, file->height, file->width, 3 };
    hid_t space = H5Screate_simple(4, none, most), creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 4, chunk);
    H5Pset_obj_track_times(creation, false);
    file->pixels = H5Dcreate2(mr_h5_output_id(file->output), "pixels", H5T_STD_U8LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    H5Pclose(creation);
    H5Sclose(space);
    return file->pixels >= 0 ? MR_OK : mr_h5_error(error, MR_CANNOT_CREATE, "%s: cannot make the dataset pixels", file->path);
}

mr_status mr_pixel_file_create(const char *path, size_t width, size_t height, bool overwrite, mr_pixel_file **out, mr_error *error)
{
    if (!mr_output_name_is_hdf5(path)) return mr_error_set(error, MR_CONFIG, "%s: pixels go to an .h5 file", path);
    if (!overwrite && mr_path_exists(path)) return mr_error_set(error, MR_OUTPUT_DIFFERS, "%s exists; --overwrite replaces it", path);
    mr_pixel_file *file = calloc(1, sizeof *file);
    if (!file) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    *file = (mr_pixel_file){ .path = mr_strdup(path), .temporary = mr_strf("%s.tmp-%ld", path, (long)getpid()), .overwrite = overwrite,
                             .pixels = H5I_INVALID_HID, .width = width, .height = height };
    mr_status status = MR_OK;
    if (!file->path || !file->temporary || !mr_block_init(&file->block, columns, COLUMN_COUNT)) status = mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    if (status == MR_OK) status = mr_h5_output_create(file->temporary, &file->output, error);
    if (status == MR_OK) status = create_pixels(file, error);
    if (status == MR_OK) *out = file;
    else mr_pixel_file_abandon(file);
    return status;
}

static mr_status write_pixels(mr_pixel_file *file, const uint8_t *pixels, mr_error *error)
{
    const hsize_t grown[4] = { file->rows + 1, file->height, file->width, 3 };
    const hsize_t start[4] = { file->rows, 0, 0, 0 }, size[4] = { 1, file->height, file->width, 3 };
    if (H5Dset_extent(file->pixels, grown) < 0) return mr_h5_error(error, MR_IO, "%s: cannot grow", file->path);
    if (!pixels) return MR_OK; /* HDF5 fills with 0 */
    hid_t memory = H5Screate_simple(4, size, NULL), space = H5Dget_space(file->pixels);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL);
    herr_t done = H5Dwrite(file->pixels, H5T_STD_U8LE, memory, space, H5P_DEFAULT, pixels);
    H5Sclose(space);
    H5Sclose(memory);
    return done < 0 ? mr_h5_error(error, MR_IO, "%s: cannot write pixels", file->path) : MR_OK;
}

mr_status mr_pixel_file_put(mr_pixel_file *file, const mr_embedding_row *row, const uint8_t *pixels, mr_error *error)
{
    const uint8_t status = (uint8_t)row->status;
    mr_block *block = &file->block;
    MR_TRY(write_pixels(file, pixels, error));
    MR_TRY(mr_h5_output_check(file->output, error));
    if (!mr_block_put_fixed(block, STATUS, &status) || !mr_block_put_packed(block, ID, row->id) || !mr_block_put_packed(block, ERROR_TEXT, row->error) ||
        !mr_block_put_fixed(block, WIDTH, &row->width) || !mr_block_put_fixed(block, HEIGHT, &row->height))
        return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    mr_block_end_row(block);
    file->rows++;
    return MR_OK;
}

static mr_status write_table(mr_pixel_file *file, mr_error *error)
{
    const uint64_t packed[COLUMN_COUNT] = { [ID] = file->block.data[ID].bytes.length, [ERROR_TEXT] = file->block.data[ERROR_TEXT].bytes.length };
    mr_table_writer *writer;
    MR_TRY(mr_table_writer_create(mr_h5_output_id(file->output), columns, COLUMN_COUNT, file->rows, packed, (mr_table_origins){ 0 }, &writer, error));
    mr_status status = mr_table_writer_append(writer, &file->block, error);
    if (status == MR_OK) status = mr_table_writer_finish(writer, error);
    mr_table_writer_destroy(writer);
    return status;
}

static mr_status close_output(mr_pixel_file *file, mr_error *error)
{
    mr_h5_output *output = file->output;
    file->output = NULL;
    H5Dclose(file->pixels);
    MR_TRY(mr_h5_output_close(output, error));
    if (file->overwrite) return mr_file_replace(file->temporary, file->path, error);
    bool existed;
    MR_TRY(mr_file_publish(file->temporary, file->path, &existed, error));
    return existed ? mr_error_set(error, MR_OUTPUT_DIFFERS, "%s was made by somebody else meanwhile", file->path) : MR_OK;
}

mr_status mr_pixel_file_finish(mr_pixel_file *file, const mr_attribute *attributes, size_t count, mr_error *error)
{
    mr_status status = write_table(file, error);
    for (size_t i = 0; status == MR_OK && i < count; i++)
        status = mr_h5_put_text(mr_h5_output_id(file->output), attributes[i].name, attributes[i].value, error);
    if (status == MR_OK) status = close_output(file, error);
    mr_pixel_file_abandon(file);
    return status;
}

void mr_pixel_file_abandon(mr_pixel_file *file)
{
    if (!file) return;
    if (file->output && file->pixels >= 0) H5Dclose(file->pixels);
    mr_h5_output_abandon(file->output);
    mr_block_fini(&file->block);
    free(file->temporary);
    free(file->path);
    free(file);
}
