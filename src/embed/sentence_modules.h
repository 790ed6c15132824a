/* modules.json and the config.json of each module: the part of sentence_config that describes the chain. */
#ifndef MR_EMBED_SENTENCE_MODULES_H
#define MR_EMBED_SENTENCE_MODULES_H

#include <jansson.h>

#include "embed/sentence_config.h"

/* Small JSON files of a model directory. */
#define MR_SENTENCE_JSON_MAX ((size_t)4 << 20)

/* Sets backbone_directory, poolings, include_prompt and modules (sizes of Dense and LayerNorm as their files say). */
mr_status mr_sentence_modules_read(const char *directory, mr_sentence_config *config, mr_error *error);

/* Sizes of one Dense or LayerNorm from its directory's config.json. */
mr_status mr_sentence_module_read(mr_sentence_module *module, mr_error *error);

/* Loads <directory>/<name> when it exists; *out = NULL otherwise. *where [free] is its path. The document is an object, or with
 * `array` an array. */
mr_status mr_sentence_json_optional(const char *directory, const char *name, bool array, json_t **out, char **where, mr_error *error);

#endif
