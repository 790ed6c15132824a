/* The models known by name: what each is and where its files come from.
 *
 * Entries come from configs/models/<name>.yaml, one model a file, compiled into the program, and from a folder of the
 * user's own; there an entry with a known key takes the built-in one's place. Immutable once open. */
#ifndef MR_REGISTRY_CATALOGUE_H
#define MR_REGISTRY_CATALOGUE_H

#include "registry/catalogue_entry.h"

typedef struct mr_catalogue mr_catalogue;

/* The built-in entries and those of `directory`/<any>.yaml; NULL or an absent directory: built-in ones only.
 * CONFIG names file, line, column and the nearest valid key. */
mr_status mr_catalogue_open(const char *directory, mr_catalogue **out, mr_error *error);
void mr_catalogue_close(mr_catalogue *catalogue);

size_t mr_catalogue_count(const mr_catalogue *catalogue);
/* Sorted by key. */
const mr_catalogue_entry *mr_catalogue_at(const mr_catalogue *catalogue, size_t index);
/* NULL when absent. */
const mr_catalogue_entry *mr_catalogue_find(const mr_catalogue *catalogue, const char *key);
/* The key the user may have meant (a near key, or a key whose last part is near); NULL when none is. */
const char *mr_catalogue_nearest(const mr_catalogue *catalogue, const char *key);

#endif
