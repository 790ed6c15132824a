#include "io/virtual_rows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/str.h"
#include "io/part_name.h"

#define MAX_NAME 4096

mr_status mr_virtual_map(hid_t creation, const char *name, const mr_virtual_origin *origins, size_t count, uint64_t rows, uint64_t width, mr_error *error)
{
    const hsize_t whole[2] = { rows, width };
    hid_t space = H5Screate_simple(2, whole, NULL);
    uint64_t at = 0;
    bool good = true;
    for (size_t i = 0; good && i < count; i++) {
        const mr_virtual_origin *origin = &origins[i];
        const hsize_t size[2] = { origin->rows, width }, from[2] = { origin->from, 0 }, to[2] = { at, 0 }, piece[2] = { origin->count, width };
        hid_t source = H5Screate_simple(2, size, NULL);
        H5Sselect_hyperslab(source, H5S_SELECT_SET, from, NULL, piece, NULL);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, to, NULL, piece, NULL);
        good = H5Pset_virtual(creation, space, origin->file, name, source) >= 0;
        H5Sclose(source);
        at += origin->count;
    }
    H5Sclose(space);
    return good && at == rows ? MR_OK : mr_h5_error(error, MR_INTERNAL, "cannot describe the virtual dataset %s", name);
}

bool mr_virtual_is(hid_t dataset)
{
    hid_t creation = H5Dget_create_plist(dataset);
    bool is = creation >= 0 && H5Pget_layout(creation) == H5D_VIRTUAL;
    if (creation >= 0) H5Pclose(creation);
    return is;
}

/* "X.parts/part-<first>-<end>.h5", X without a slash. */
static bool is_part_name(const char *name)
{
    const char *slash = strchr(name, '/');
    mr_str directory = { name, slash ? (size_t)(slash - name) : 0 };
    uint64_t first, end;
    return slash && !strchr(slash + 1, '/') && mr_str_ends_with(directory, ".parts") && mr_part_name_parse(slash + 1, &first, &end);
}

/* There, whole, and of at least `bytes`. */
static mr_status check_part(const char *path, const char *name, uint64_t bytes, mr_error *error)
{
    const char *slash = strrchr(path, '/');
    char *part = mr_strf("%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, name);
    struct stat info;
    hid_t file;
    mr_error problem = { 0 };
    mr_status status = part ? MR_OK : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    if (status == MR_OK && (stat(part, &info) != 0 || (uint64_t)info.st_size < bytes))
        status = mr_error_set(error, MR_BAD_INPUT, "%s: its vectors lie in %s, which is missing or too short. Keep the two together", path, part);
    if (status == MR_OK && mr_h5_open_sealed(part, &file, &problem) == MR_OK) H5Fclose(file);
    else if (status == MR_OK) status = mr_error_set(error, MR_BAD_INPUT, "%s: %s", path, problem.text);
    free(part);
    return status;
}

static hssize_t points_of(hid_t space)
{
    hssize_t points = space >= 0 ? H5Sget_select_npoints(space) : -1;
    if (space >= 0) H5Sclose(space);
    return points;
}

mr_status mr_virtual_check(hid_t dataset, const char *path, uint64_t rows, uint64_t width, size_t element_bytes, mr_error *error)
{
    hid_t creation = H5Dget_create_plist(dataset);
    size_t count = 0;
    uint64_t points = 0;
    mr_status status = MR_OK;
    if (H5Pget_virtual_count(creation, &count) < 0) status = mr_h5_error(error, MR_BAD_INPUT, "%s: cannot read where its vectors lie", path);
    for (size_t i = 0; status == MR_OK && i < count; i++) {
        char name[MAX_NAME];
        ssize_t length = H5Pget_virtual_filename(creation, i, name, sizeof name);
        hssize_t here = points_of(H5Pget_virtual_vspace(creation, i));
        if (length <= 0 || (size_t)length >= sizeof name || here < 0 || !is_part_name(name))
            status = mr_error_set(error, MR_BAD_INPUT, "%s: its vectors lie in a file that is no part", path);
        else
            status = check_part(path, name, (uint64_t)here * element_bytes, error);
        points += (uint64_t)here;
    }
    H5Pclose(creation);
    if (status == MR_OK && (points / width != rows || points % width)) status = mr_error_set(error, MR_BAD_INPUT, "%s: not every vector lies in a part", path);
    return status;
}
