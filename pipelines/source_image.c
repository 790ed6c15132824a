#include "pipelines/source_image.h"

#include <stdlib.h>

#include "image/decode.h"
#include "io/source.h"

static mr_status decode_record(const mr_record *record, const mr_embedding_row *row, mr_bitmap *out, mr_error *error)
{
    const mr_decode_options options = { 0 };
    if (!mr_str_equal(record->id, row->id) || record->image.length == 0)
        return mr_error_set(error, MR_BAD_INPUT, "record %llu is %.*s now, it was %.*s", (unsigned long long)row->source_record, (int)record->id.length,
                            record->id.data, (int)row->id.length, row->id.data);
    return mr_image_decode((const uint8_t *)record->image.data, record->image.length, &options, out, error);
}

static mr_status load_record(mr_source *source, const mr_embedding_row *row, mr_bitmap *out, mr_error *error)
{
    mr_record *record;
    MR_TRY(mr_source_skip_to(source, row->source_record, error));
    mr_status status = mr_source_next(source, &record, error);
    if (status == MR_END) return mr_error_set(error, MR_BAD_INPUT, "record %llu is not there any more", (unsigned long long)row->source_record);
    MR_TRY(status);
    status = decode_record(record, row, out, error);
    mr_record_free(record);
    return status;
}

mr_status mr_source_image_load(const mr_embedding_file *file, const mr_embedding_row *row, mr_bitmap *out, mr_error *error)
{
    const mr_str name = mr_embedding_file_source_name(file, row->source_index);
    char *path = mr_strndup(name.data, name.length);
    if (!path) return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory");
    const char *const paths[] = { path };
    const mr_source_options options = { .paths = paths, .path_count = 1 };
    mr_source *source;
    mr_status status = mr_source_open(&options, &source, error);
    if (status == MR_OK) {
        status = load_record(source, row, out, error);
        mr_source_close(source);
    }
    if (status != MR_OK && status != MR_OUT_OF_MEMORY) mr_error_prefix(error, status, "%s", path);
    free(path);
    return status;
}
