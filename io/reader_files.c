/* Whole files as records: one image named on the command line, or every image and text file below a directory. */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/directory_walk.h"
#include "io/input_list.h"

/* The record of one file; what is wrong with the file is the record's failure. `name` is for the error text. */
static mr_status read_file(const mr_reader_options *options, const char *path, const char *name, const char *id, mr_record **out, mr_error *error)
{
    const mr_str none = { "", 0 };
    char *data = NULL;
    size_t length = 0;
    mr_error problem;
    mr_status status = mr_file_read(path, options->max_record_bytes, &data, &length, &problem);
    if (status == MR_OUT_OF_MEMORY) {
        if (error) *error = problem;
        return status;
    }
    if (status == MR_OK && length == 0) status = mr_error_set(&problem, MR_BAD_INPUT, "%s is empty", name);
    mr_str bytes = { data, length };
    bool image = mr_name_kind_of(path) == MR_NAME_IMAGE;
    if (status == MR_OK && !image) {
        size_t good = mr_utf8_check(data, length);
        if (good < length) status = mr_error_set(&problem, MR_BAD_INPUT, "%s: invalid UTF-8 at byte %zu", name, good);
        else if (length >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0) bytes = (mr_str){ data + 3, length - 3 };
    }
    bool good = status == MR_OK;
    const mr_record_content content = { .id = mr_str_of(id), .text = image ? none : bytes, .image = image ? bytes : none, .error_text = good ? NULL : problem.text };
    status = mr_record_create(&content, out, error);
    free(data);
    if (status == MR_OK) atomic_fetch_add_explicit(options->position, length, memory_order_relaxed);
    return status;
}

typedef struct one_image {
    const mr_reader_options *options;
    bool done;
} one_image;

static mr_status open_image(const mr_reader_options *options, void **out, mr_error *error)
{
    one_image *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", options->name);
    self->options = options;
    *out = self;
    return MR_OK;
}

static mr_status next_image(void *reader, mr_record **out, mr_error *error)
{
    one_image *self = reader;
    if (self->done) return MR_END;
    self->done = true;
    return out ? read_file(self->options, self->options->path, self->options->name, self->options->name, out, error) : MR_OK;
}

const mr_reader_kind mr_reader_image = { open_image, next_image, free };

typedef struct directory {
    const mr_reader_options *options;
    mr_directory_walk *walk;
} directory;

static mr_status open_directory(const mr_reader_options *options, void **out, mr_error *error)
{
    directory *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", options->name);
    self->options = options;
    mr_status status = mr_directory_walk_open(options->path, &self->walk, error);
    if (status == MR_OK) *out = self;
    else free(self);
    return status;
}

static void close_directory(void *reader)
{
    directory *self = reader;
    mr_directory_walk_close(self->walk);
    free(self);
}

static mr_status next_file(void *reader, mr_record **out, mr_error *error)
{
    directory *self = reader;
    const char *below;
    MR_TRY(mr_directory_walk_next(self->walk, &below, error));
    if (!out) return MR_OK;
    char *full = mr_path_join(self->options->path, below);
    mr_status status = full ? read_file(self->options, full, full, below, out, error)
                            : mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    free(full);
    return status;
}

const mr_reader_kind mr_reader_directory = { open_directory, next_file, close_directory };
