#include "io/hdf5_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file.h"
#include "core/pulse.h"
#include "core/str.h"
#include "io/file_seal.h"

struct mr_h5_output {
    char *path;
    int fd;
    int first_errno; /* of a read, write or truncate; 0 = none */
    mr_seal seal;
    hid_t id;
};

/* ---- libhdf5's error stack ---- */

/* Of the call that failed last. The stack itself is gone with the next call, and behind a failure come those that clean up. */
static _Thread_local char last_reason[256];

static herr_t keep_innermost(unsigned depth, const H5E_error2_t *entry, void *context)
{
    (void)depth;
    (void)context;
    if (!entry->desc) return -1;
    const char *details = strstr(entry->desc, ": time = "); /* and descriptors, addresses, lines */
    snprintf(last_reason, sizeof last_reason, "%.*s", details ? (int)(details - entry->desc) : (int)sizeof last_reason, entry->desc);
    return -1; /* upward from the innermost: one is enough */
}

static herr_t note_reason(hid_t stack, void *context)
{
    return H5Ewalk2(stack, H5E_WALK_UPWARD, keep_innermost, context);
}

void mr_h5_quiet(void)
{
    H5Eset_auto2(H5E_DEFAULT, note_reason, NULL);
}

mr_status mr_h5_error(mr_error *error, mr_status status, const char *format, ...)
{
    if (!error) return status;
    va_list arguments;
    va_start(arguments, format);
    char what[MR_ERROR_TEXT_MAX - sizeof last_reason - 8];
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return mr_error_set(error, status, "%s: %s", what, last_reason[0] ? last_reason : "libhdf5 gives no reason");
}

/* ---- the driver ---- */

typedef struct driver_file {
    H5FD_t base; /* first: what libhdf5 sees */
    mr_h5_output *output;
    haddr_t end_of_allocation, end_of_file;
} driver_file;

typedef struct driver_info {
    mr_h5_output *output;
} driver_info;

static hid_t driver_id = H5I_INVALID_HID;

static void keep_errno(mr_h5_output *output)
{
    if (!output->first_errno) output->first_errno = errno ? errno : EIO;
}

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t properties, haddr_t max_address)
{
    (void)name, (void)flags, (void)max_address;
    const driver_info *info = H5Pget_driver_info(properties);
    driver_file *file = info ? calloc(1, sizeof *file) : NULL;
    if (!file) return NULL;
    file->output = info->output;
    return &file->base;
}

static herr_t driver_close(H5FD_t *base)
{
    free(base);
    return 0;
}

static int driver_compare(const H5FD_t *a, const H5FD_t *b)
{
    return (a > b) - (a < b);
}

static herr_t driver_query(const H5FD_t *base, unsigned long *flags)
{
    (void)base;
    if (flags) *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const driver_file *)base)->end_of_allocation;
}

static herr_t driver_set_eoa(H5FD_t *base, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    ((driver_file *)base)->end_of_allocation = address;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const driver_file *)base)->end_of_file;
}

static herr_t driver_read(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, void *data)
{
    (void)type, (void)transfer;
    mr_h5_output *output = ((driver_file *)base)->output;
    char *bytes = data;
    while (size > 0) {
        ssize_t got = pread(output->fd, bytes, size, (off_t)address);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) keep_errno(output);
        if (got <= 0) break;
        bytes += got;
        address += (haddr_t)got;
        size -= (size_t)got;
    }
    memset(bytes, 0, size); /* behind the end of the file */
    return 0;
}

static herr_t driver_write(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, const void *data)
{
    (void)transfer;
    driver_file *file = (driver_file *)base;
    const char *bytes = data;
    bool heap = size >= 4 && memcmp(data, "GCOL", 4) == 0; /* attribute texts: libhdf5 calls them raw data, but reads them as structures */
    mr_seal_mark(&file->output->seal, address, address + size, type == H5FD_MEM_DRAW && !heap);
    if (address + size > file->end_of_file) file->end_of_file = address + size;
    while (size > 0 && !file->output->first_errno) {
        ssize_t put = pwrite(file->output->fd, bytes, size, (off_t)address);
        mr_pulse_beat();
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            keep_errno(file->output);
            break;
        }
        bytes += put;
        address += (haddr_t)put;
        size -= (size_t)put;
    }
    return 0;
}

static herr_t driver_truncate(H5FD_t *base, hid_t transfer, hbool_t closing)
{
    (void)transfer, (void)closing;
    driver_file *file = (driver_file *)base;
    if (file->end_of_file == file->end_of_allocation) return 0;
    if (!file->output->first_errno && ftruncate(file->output->fd, (off_t)file->end_of_allocation) != 0) keep_errno(file->output);
    file->end_of_file = file->end_of_allocation;
    return 0;
}

static const H5FD_class_t driver_class = {
    .name = "millrace_output",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG, /* objects still open never keep a file alive */
    .fapl_size = sizeof(driver_info),
    .open = driver_open,
    .close = driver_close,
    .cmp = driver_compare,
    .query = driver_query,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* ---- writing ---- */

static hid_t create_through_driver(mr_h5_output *output)
{
    if (H5Iget_type(driver_id) != H5I_VFL) driver_id = H5FDregister(&driver_class);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    const driver_info info = { output };
    hid_t id = H5I_INVALID_HID;
    hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    if (access >= 0 && H5Pset_driver(access, driver_id, &info) >= 0) id = H5Fcreate(output->path, H5F_ACC_TRUNC, creation, access);
    H5Pclose(creation);
    if (access >= 0) H5Pclose(access);
    return id;
}

/* libhdf5 1.10 does not survive being refused memory for a file's cache (H5AC_create): it opens none where there is hardly any. */
#define OPENING_BYTES ((size_t)8 << 20)

static bool has_memory_to_open(void)
{
    void *probe = mmap(NULL, OPENING_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return probe != MAP_FAILED && munmap(probe, OPENING_BYTES) == 0;
}

mr_status mr_h5_output_create(const char *path, mr_h5_output **out, mr_error *error)
{
    mr_h5_quiet();
    mr_h5_output *output = has_memory_to_open() ? calloc(1, sizeof *output) : NULL;
    if (!output) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a file", path);
    output->id = H5I_INVALID_HID;
    output->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    mr_status status = MR_OK;
    if (output->fd < 0) {
        status = mr_error_errno(error, errno, "cannot create %s", path);
        if (status != MR_NO_SPACE) status = MR_CANNOT_CREATE;
        if (error) error->status = status;
        goto failed;
    }
    output->path = mr_strdup(path);
    output->id = output->path ? create_through_driver(output) : H5I_INVALID_HID;
    if (output->id < 0) {
        status = mr_h5_error(error, MR_CANNOT_CREATE, "cannot create %s", path);
        goto failed;
    }
    *out = output;
    return MR_OK;
failed:
    mr_h5_output_abandon(output);
    return status;
}

hid_t mr_h5_output_id(const mr_h5_output *output)
{
    return output->id;
}

mr_status mr_h5_output_check(const mr_h5_output *output, mr_error *error)
{
    if (!output->first_errno) return MR_OK;
    mr_status status = mr_error_errno(error, output->first_errno, "cannot write %s", output->path);
    if (output->first_errno == EFBIG) status = mr_error_set(error, MR_NO_SPACE, "cannot write %s: %s", output->path, strerror(EFBIG));
    return status;
}

static void release(mr_h5_output *output, bool keep)
{
    if (output->id >= 0) H5Fclose(output->id);
    if (output->fd >= 0) close(output->fd);
    mr_seal_fini(&output->seal);
    if (!keep && output->path) unlink(output->path);
    free(output->path);
    free(output);
}

mr_status mr_h5_output_close(mr_h5_output *output, mr_error *error)
{
    mr_status status = MR_OK;
    hid_t id = output->id;
    output->id = H5I_INVALID_HID;
    if (H5Fclose(id) < 0) status = mr_h5_error(error, MR_IO, "cannot finish %s", output->path);
    if (status == MR_OK && !output->first_errno) status = mr_seal_write(&output->seal, output->fd, output->path, error);
    if (status == MR_OK && !output->first_errno && fsync(output->fd) != 0) keep_errno(output);
    if (output->first_errno) status = mr_h5_output_check(output, error);
    release(output, status == MR_OK);
    return status;
}

void mr_h5_output_abandon(mr_h5_output *output)
{
    if (output) release(output, false);
}

/* ---- reading ---- */

/* A link into another file would make libhdf5 open one whose seal nobody has checked. */
static herr_t check_link(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    (void)group, (void)name, (void)context;
    return info->type == H5L_TYPE_HARD || info->type == H5L_TYPE_SOFT ? 0 : 1;
}

static mr_status open_for_reading(const char *path, bool must_be_sealed, hid_t *out, mr_error *error)
{
    bool sealed;
    mr_h5_quiet();
    if (mr_path_is_directory(path)) return mr_error_set(error, MR_BAD_INPUT, "%s is a directory", path);
    if (!has_memory_to_open()) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: not enough memory to open it", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return mr_error_errno(error, errno, "cannot open %s", path);
    mr_status status = mr_seal_check(fd, path, &sealed, error);
    close(fd);
    if (status != MR_OK) return status;
    if (!sealed && must_be_sealed) return mr_error_set(error, MR_BAD_INPUT, "%s is not complete: it has no seal", path);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    H5Pset_file_locking(access, false, true); /* ours are never written in place, and network file systems refuse locks */
    hid_t id = H5Fopen(path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (id < 0) return mr_h5_error(error, MR_BAD_INPUT, "%s is not a readable HDF5 file", path);
    if (H5Lvisit(id, H5_INDEX_NAME, H5_ITER_NATIVE, check_link, NULL) != 0) {
        H5Fclose(id);
        return mr_error_set(error, MR_BAD_INPUT, "%s refers to other files, or its table of contents cannot be read", path);
    }
    H5Eclear2(H5E_DEFAULT);
    *out = id;
    return MR_OK;
}

mr_status mr_h5_open(const char *path, hid_t *out, mr_error *error)
{
    return open_for_reading(path, false, out, error);
}

mr_status mr_h5_open_sealed(const char *path, hid_t *out, mr_error *error)
{
    return open_for_reading(path, true, out, error);
}

/* ---- attributes ---- */

static mr_status put(hid_t object, const char *name, hid_t type, const void *value, mr_error *error)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return good ? MR_OK : mr_h5_error(error, MR_IO, "cannot write the attribute %s", name);
}

static hid_t text_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

mr_status mr_h5_put_text(hid_t object, const char *name, const char *value, mr_error *error)
{
    hid_t type = text_type();
    if (!value) value = "";
    mr_status status = put(object, name, type, &value, error);
    H5Tclose(type);
    return status;
}

mr_status mr_h5_put_number(hid_t object, const char *name, uint64_t value, mr_error *error)
{
    return put(object, name, H5T_STD_U64LE, &value, error);
}

static char *read_string(hid_t attribute, hid_t type)
{
    if (H5Tis_variable_str(type) <= 0) return NULL;
    char *stored = NULL;
    hid_t memory = H5Tcopy(H5T_C_S1);
    H5Tset_size(memory, H5T_VARIABLE);
    H5Tset_cset(memory, H5Tget_cset(type));
    char *copy = NULL;
    if (H5Aread(attribute, memory, &stored) >= 0) copy = mr_strdup(stored ? stored : "");
    if (stored) H5free_memory(stored);
    H5Tclose(memory);
    return copy;
}

static char *read_number(hid_t attribute)
{
    uint64_t value;
    return H5Aread(attribute, H5T_NATIVE_UINT64, &value) >= 0 ? mr_strf("%llu", (unsigned long long)value) : NULL;
}

char *mr_h5_get_text(hid_t object, const char *name)
{
    hid_t attribute = H5Aexists(object, name) > 0 ? H5Aopen(object, name, H5P_DEFAULT) : H5I_INVALID_HID;
    if (attribute < 0) return NULL;
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    char *text = NULL;
    if (space >= 0 && H5Sget_simple_extent_type(space) == H5S_SCALAR) {
        if (H5Tget_class(type) == H5T_STRING) text = read_string(attribute, type);
        else if (H5Tget_class(type) == H5T_INTEGER) text = read_number(attribute);
    }
    if (space >= 0) H5Sclose(space);
    if (type >= 0) H5Tclose(type);
    H5Aclose(attribute);
    H5Eclear2(H5E_DEFAULT);
    return text;
}

struct attribute_walk {
    mr_h5_attribute_visitor *visit;
    void *context;
};

static herr_t visit_attribute(hid_t object, const char *name, const H5A_info_t *info, void *context)
{
    (void)info;
    const struct attribute_walk *walk = context;
    char *value = mr_h5_get_text(object, name);
    bool more = !value || walk->visit(walk->context, name, value);
    free(value);
    return more ? 0 : 1;
}

void mr_h5_each_attribute(hid_t object, mr_h5_attribute_visitor *visit, void *context)
{
    struct attribute_walk walk = { visit, context };
    hsize_t at = 0;
    if (H5Aiterate2(object, H5_INDEX_CRT_ORDER, H5_ITER_INC, &at, visit_attribute, &walk) < 0 && at == 0)
        H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_attribute, &walk);
    H5Eclear2(H5E_DEFAULT);
}
