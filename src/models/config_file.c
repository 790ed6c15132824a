#include "models/config_file.h"

#include <stdlib.h>

#include "core/file.h"
#include "core/json.h"

/* Published files have a few KB; label lists make some larger. */
#define CONFIG_MAX_BYTES ((size_t)16 << 20)

mr_status mr_config_file_read(const char *directory, mr_config_file *out, mr_error *error)
{
    mr_config_file file = { .path = mr_path_join(directory, "config.json") };
    mr_status status = MR_OK;
    if (!file.path) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a path", directory);
    if (!mr_path_exists(file.path)) status = mr_error_set(error, MR_MODEL_FILES_MISSING, "%s does not exist", file.path);
    if (status == MR_OK) status = mr_json_load(file.path, CONFIG_MAX_BYTES, &file.config, error);
    if (status == MR_OK && !json_is_object(file.config)) status = mr_error_set(error, MR_MODEL_CORRUPT, "%s: not a JSON object", file.path);
    if (status != MR_OK) {
        mr_config_file_free(&file);
        return status;
    }
    *out = file;
    return MR_OK;
}

void mr_config_file_free(mr_config_file *file)
{
    json_decref(file->config);
    free(file->path);
    *file = (mr_config_file){ 0 };
}
