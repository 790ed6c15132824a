/* YAML documents with exact positions: libyaml's document tree behind a few accessors.
 *
 * Chosen over libcyaml, which reports the position of the node before an unknown key, takes null for false, and knows
 * no "unset": here every error names file, line and column of the very key or value. */
#ifndef MR_CORE_YAML_H
#define MR_CORE_YAML_H

#include "core/error.h"

typedef struct mr_yaml mr_yaml;
typedef struct mr_yaml_node mr_yaml_node; /* borrowed from its document */

typedef enum mr_yaml_kind { MR_YAML_SCALAR, MR_YAML_SEQUENCE, MR_YAML_MAPPING } mr_yaml_kind;

/* One document; `name` stands for the file in error texts. CONFIG when malformed or empty, also for more than one document. */
mr_status mr_yaml_parse(const char *text, size_t length, const char *name, mr_yaml **out, mr_error *error);
mr_status mr_yaml_load(const char *path, size_t max_bytes, mr_yaml **out, mr_error *error);
void mr_yaml_close(mr_yaml *document);

const mr_yaml_node *mr_yaml_root(const mr_yaml *document);
mr_yaml_kind mr_yaml_node_kind(const mr_yaml_node *node);
size_t mr_yaml_node_size(const mr_yaml_node *node); /* items or pairs; 0 for a scalar */
const mr_yaml_node *mr_yaml_item(const mr_yaml *document, const mr_yaml_node *sequence, size_t index);
/* Key and value of a pair. The key is a scalar without U+0000, else CONFIG; a key seen before in this mapping: CONFIG. */
mr_status mr_yaml_pair(const mr_yaml *document, const mr_yaml_node *mapping, size_t index, const mr_yaml_node **key,
                       const mr_yaml_node **value, mr_error *error);
/* NUL-terminated text of a scalar; NULL for null (empty, ~ or null unquoted) and for anything that is not a scalar. */
const char *mr_yaml_text(const mr_yaml_node *node);
bool mr_yaml_is_null(const mr_yaml_node *node);

/* CONFIG with "<file>:<line>:<column>: <text>". */
mr_status mr_yaml_error_at(const mr_yaml *document, const mr_yaml_node *node, mr_error *error, const char *format, ...)
    MR_PRINTF(4, 5);

#endif
