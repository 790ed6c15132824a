/* One catalogue entry from its YAML text. */
#ifndef MR_REGISTRY_CATALOGUE_ENTRY_H
#define MR_REGISTRY_CATALOGUE_ENTRY_H

#include "registry/catalogue.h"

/* `name` stands for the file in error texts. On MR_OK the caller owns what is inside `out`. */
mr_status mr_catalogue_entry_parse(const char *text, size_t length, const char *name, mr_catalogue_entry *out, mr_error *error);
void mr_catalogue_entry_fini(mr_catalogue_entry *entry);

/* The files of configs/models, compiled in (catalogue.cmake writes the table). */
typedef struct mr_catalogue_builtin {
    const char *name;
    const unsigned char *text;
    size_t length;
} mr_catalogue_builtin;

extern const mr_catalogue_builtin mr_catalogue_builtins[];
extern const size_t mr_catalogue_builtin_count;

#endif
