#include "pipelines/embedder.h"

#include <stdlib.h>
#include <string.h>

#include "capability/text_embedding.h"
#include "embed/prepare_text.h"
#include "embed/sentence_config.h"
#include "embed/text_embedder.h"
#include "pipelines/job_run.h"
#include "registry/registry.h"

struct mr_embedder {
    mr_job job; /* the settings, in the form the plan takes them */
    mr_job_plan plan;
    mr_text_preparer *preparer;
    mr_governor *governor;
    mr_registry *registry;
    mr_pool_model *model;
};

/* "key: value" of a job_settings text; NULL when absent. malloc'ed. */
static char *setting_of(const char *lines, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = lines; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, key, length) == 0 && strncmp(line + length, ": ", 2) == 0) return mr_strndup(line + length + 2, strcspn(line + length + 2, "\n"));
    return NULL;
}

mr_status mr_embedder_options_of_file(const mr_embedding_file *file, mr_embedder_options *out, mr_error *error)
{
    const char *model = mr_embedding_file_attribute(file, "model");
    if (!model) return mr_error_set(error, MR_BAD_INPUT, "the file does not say which model its vectors come from; name it with -m");
    *out = (mr_embedder_options){ .model = model };
    const char *settings = mr_embedding_file_attribute(file, "job_settings");
    char *dim = setting_of(settings, "embedding.dim"), *pooling = setting_of(settings, "embedding.pooling");
    if (dim) out->dim = strtoul(dim, NULL, 10);
    if (pooling) out->pooling = mr_embedding_file_attribute(file, "pooling"); /* overridden by one mode: the attribute is that mode */
    free(dim);
    free(pooling);
    return MR_OK;
}
