/* A model directory's config.json. */
#ifndef MR_MODELS_CONFIG_FILE_H
#define MR_MODELS_CONFIG_FILE_H

#include <jansson.h>

#include "core/error.h"

typedef struct mr_config_file {
    json_t *config; /* an object */
    char *path;     /* for messages */
} mr_config_file;

/* MODEL_FILES_MISSING, MODEL_CORRUPT. */
mr_status mr_config_file_read(const char *directory, mr_config_file *out, mr_error *error);
void mr_config_file_free(mr_config_file *file); /* fine on a zeroed one */

#endif
