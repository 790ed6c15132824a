/* What every component of a tokenizer.json needs: its type, and the error when that is not known. */
#ifndef MR_TOKENIZER_COMPONENT_H
#define MR_TOKENIZER_COMPONENT_H

#include "tokenizer/json_tree.h"

/* "file: normalizer type "X" is not supported". */
mr_status mr_component_unsupported(mr_json_value component, const char *stage, mr_error *error);
/* The component's "type"; MODEL_CORRUPT when `component` is no object or has none. */
mr_status mr_component_type(mr_json_value component, const char *stage, mr_str *type, mr_error *error);
static inline bool mr_type_is(mr_str type, const char *name) { return mr_str_equal(type, mr_str_of(name)); }
/* malloc'ed copy of `text` (with a NUL behind) as a mr_str; data NULL when out of memory. */
mr_str mr_str_copy(mr_str text);

#endif
