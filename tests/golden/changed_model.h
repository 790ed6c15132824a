/* A model's directory with one thing in it changed. Failures end the test. */
#ifndef MR_TESTS_CHANGED_MODEL_H
#define MR_TESTS_CHANGED_MODEL_H

#include "core/error.h"

void changed_model_must(mr_status status, const mr_error *error);
char *changed_model_path(const char *directory, const char *name); /* free() it */

/* Links every file of a model, but for what is expected of it, into `copy`, an empty folder; folders are made. */
void changed_model_link(const char *from, const char *copy);

/* Of a linked file a changed copy takes the link's place: `key`, a path with dots, set to the JSON `value`; a tensor set to 0. */
void changed_model_set(const char *path, const char *key, const char *value);
void changed_model_zero(const char *path, const char *name);

#endif
