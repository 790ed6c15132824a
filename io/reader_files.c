/* Whole files as records: an image named on the command line, or an image or text file below a directory. */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "io/input_list.h"
#include "io/name_kind.h"
#include "io/text_repair.h"

/* What is wrong with the file is the record's failure. */
static mr_status read_file(const mr_reader_options *options, mr_record **out, mr_error *error)
{
    const char *path = options->path, *name = options->name;
    const mr_str none = { "", 0 };
    char *data = NULL;
    size_t length = 0;
    mr_error problem;
    mr_buf repaired = { 0 };
    mr_status status = mr_file_read(path, options->max_record_bytes, &data, &length, &problem);
    if (status == MR_OUT_OF_MEMORY) {
        if (error) *error = problem;
        return status;
    }
    if (status == MR_OK && length == 0) status = mr_error_set(&problem, MR_BAD_INPUT, "%s is empty", name);
    mr_str bytes = { data, length };
    bool image = mr_name_kind_of(path) == MR_NAME_IMAGE;
    if (status == MR_OK && !image) {
        status = mr_text_repair(&bytes, options->replace_invalid, &repaired, &problem);
        if (status != MR_OK) mr_error_prefix(&problem, status, "%s", name);
        else if (bytes.length >= 3 && memcmp(bytes.data, "\xEF\xBB\xBF", 3) == 0) bytes = (mr_str){ bytes.data + 3, bytes.length - 3 };
    }
    bool good = status == MR_OK;
    const mr_record_content content = { .id = mr_str_of(options->id), .text = image ? none : bytes, .image = image ? bytes : none, .error_text = good ? NULL : problem.text };
    status = mr_record_create(&content, out, error);
    mr_buf_fini(&repaired);
    free(data);
    if (status == MR_OK) atomic_fetch_add_explicit(options->position, length, memory_order_relaxed);
    return status;
}

typedef struct whole_file {
    const mr_reader_options *options;
    bool done;
} whole_file;

static mr_status open_file(const mr_reader_options *options, void **out, mr_error *error)
{
    whole_file *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a reader", options->name);
    self->options = options;
    *out = self;
    return MR_OK;
}

static mr_status next_file(void *reader, mr_record **out, mr_error *error)
{
    whole_file *self = reader;
    if (self->done) return MR_END;
    self->done = true;
    return out ? read_file(self->options, out, error) : MR_OK;
}

const mr_reader_kind mr_reader_whole_file = { open_file, next_file, free };
