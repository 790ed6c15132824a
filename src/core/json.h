/* jansson, with bounds and error texts that name the file and the key. */
#ifndef MR_CORE_JSON_H
#define MR_CORE_JSON_H

#include <jansson.h>

#include "core/error.h"

/* As json_loadb, but *exhausted says that memory ran out, which jansson may report as any error of the text. */
json_t *mr_json_parse(const char *text, size_t length, size_t flags, json_error_t *problem, bool *exhausted);

/* Parses a file of at most max_bytes. Free with json_decref. `what` failures: NO_INPUT when absent,
 * MODEL_CORRUPT naming line and column when malformed. U+0000 is kept in strings; duplicate keys are refused.
 * In a file with an integer beyond 64 bits all integers are reals: read them with mr_json_size. */
mr_status mr_json_load(const char *path, size_t max_bytes, json_t **out, mr_error *error);

/* Typed members of an object. Absent or null: `fallback` (or false from _has). A value of another type or out of
 * range is CONFIG-like: MODEL_CORRUPT naming `where` and the key. */
mr_status mr_json_size(const json_t *object, const char *key, size_t fallback, size_t *out, const char *where, mr_error *error);
mr_status mr_json_double(const json_t *object, const char *key, double fallback, double *out, const char *where, mr_error *error);
mr_status mr_json_bool(const json_t *object, const char *key, bool fallback, bool *out, const char *where, mr_error *error);
/* Borrowed from `object`; `fallback` may be NULL. */
mr_status mr_json_string(const json_t *object, const char *key, const char *fallback, const char **out, const char *where, mr_error *error);

#endif
