#include "io/output_name.h"

#include <string.h>

#include "core/str.h"

static bool ends_with(const char *path, const char *one, const char *other)
{
    return mr_str_ends_with(mr_str_of(path), one) || mr_str_ends_with(mr_str_of(path), other);
}

bool mr_output_name_is_hdf5(const char *path)
{
    const char *slash = strrchr(path, '/');
    return ends_with(path, ".h5", ".hdf5") || !strchr(slash ? slash + 1 : path, '.');
}

bool mr_output_name_is_json_lines(const char *path) { return ends_with(path, ".jsonl", ".ndjson"); }

mr_status mr_output_name_check(const char *path, mr_error *error)
{
    if (strcmp(path, "-") == 0 || mr_output_name_is_hdf5(path) || mr_output_name_is_json_lines(path)) return MR_OK;
    return mr_error_set(error, MR_CONFIG, "%s: an output is .h5 (.hdf5), .jsonl (.ndjson), or - for JSON lines on stdout", path);
}
