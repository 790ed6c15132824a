#include "registry/registry.h"

#include <stdlib.h>
#include <string.h>

/* An entry; its model exists in a pool once its files do. */
typedef struct row {
    char *key;
    mr_capability capability;
    mr_pool_model *model; /* NULL: files missing */
} row;

struct mr_registry {
    mr_pools *pools;
    pthread_mutex_t lock; /* the rows; the pools' locks come after it */
    row *rows;            /* ascending by key */
    size_t count;
    size_t capacity;
};

mr_status mr_registry_create(const mr_pool_settings *settings, mr_governor *governor, mr_clock *clock, mr_registry **out, mr_error *error)
{
    mr_registry *registry = calloc(1, sizeof *registry);
    if (!registry) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate the registry");
    mr_status status = mr_pools_create(settings, governor, clock, &registry->pools, error);
    if (status != MR_OK) {
        free(registry);
        return status;
    }
    pthread_mutex_init(&registry->lock, NULL);
    *out = registry;
    return MR_OK;
}

void mr_registry_destroy(mr_registry *registry)
{
    if (!registry) return;
    mr_pools_destroy(registry->pools);
    for (size_t i = 0; i < registry->count; i++) free(registry->rows[i].key);
    free(registry->rows);
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

/* Position of the key, or where it belongs. Lock held. */
static size_t position(const mr_registry *registry, const char *key, bool *found)
{
    size_t low = 0, high = registry->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(registry->rows[middle].key, key);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    *found = false;
    return low;
}

static bool grow(mr_registry *registry)
{
    if (registry->count < registry->capacity) return true;
    size_t capacity = registry->capacity ? 2 * registry->capacity : 16;
    row *rows = realloc(registry->rows, capacity * sizeof *rows);
    if (!rows) return false;
    registry->rows = rows;
    registry->capacity = capacity;
    return true;
}

/* Lock held. */
static mr_status insert(mr_registry *registry, const mr_registry_entry *entry, mr_error *error)
{
    bool found;
    size_t at = position(registry, entry->key, &found);
    if (found) return mr_error_set(error, MR_INVALID_ARGUMENT, "%s: registered already", entry->key);
    row added = { .key = mr_strdup(entry->key), .capability = entry->vtable->capability };
    if (!added.key || !grow(registry)) {
        free(added.key);
        return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a registry entry", entry->key);
    }
    if (entry->path) {
        mr_pool_model_spec spec = { .key = entry->key, .path = entry->path, .vtable = entry->vtable, .options = entry->options, .loader = entry->loader,
                                    .max_workers = entry->max_workers };
        mr_status status = mr_pools_add_model(registry->pools, &spec, &added.model, error);
        if (status != MR_OK) {
            free(added.key);
            return status;
        }
    }
    memmove(&registry->rows[at + 1], &registry->rows[at], (registry->count - at) * sizeof *registry->rows);
    registry->rows[at] = added;
    registry->count++;
    return MR_OK;
}

mr_status mr_registry_add(mr_registry *registry, const mr_registry_entry *entry, mr_error *error)
{
    pthread_mutex_lock(&registry->lock);
    mr_status status = insert(registry, entry, error);
    pthread_mutex_unlock(&registry->lock);
    return status;
}

bool mr_registry_has(mr_registry *registry, const char *key)
{
    bool found;
    pthread_mutex_lock(&registry->lock);
    (void)position(registry, key, &found);
    pthread_mutex_unlock(&registry->lock);
    return found;
}

/* The nearest key, of one capability or of any (MR_CAPABILITY_COUNT). Lock held. */
static const char *nearest(const mr_registry *registry, const char *key, mr_capability capability)
{
    const char **keys = malloc((registry->count + 1) * sizeof *keys);
    if (!keys) return NULL;
    size_t count = 0;
    for (size_t i = 0; i < registry->count; i++)
        if (capability == MR_CAPABILITY_COUNT || registry->rows[i].capability == capability) keys[count++] = registry->rows[i].key;
    const char *match = mr_str_nearest(key, keys, count);
    free(keys);
    return match;
}

/* Lock held. */
static mr_status find(const mr_registry *registry, const char *key, mr_capability capability, mr_pool_model **out, mr_error *error)
{
    bool found;
    size_t at = position(registry, key, &found);
    if (!found) {
        const char *match = nearest(registry, key, MR_CAPABILITY_COUNT);
        return mr_error_set(error, MR_NOT_FOUND, match ? "no model \"%s\"; did you mean \"%s\"?" : "no model \"%s\"; `millrace models` lists them", key, match);
    }
    const row *entry = &registry->rows[at];
    if (entry->capability != capability) {
        const char *match = nearest(registry, key, capability);
        return mr_error_set(error, MR_WRONG_CAPABILITY, match ? "%s does %s, not %s; \"%s\" does" : "%s does %s, not %s", key,
                            mr_capability_text(entry->capability), mr_capability_text(capability), match);
    }
    if (!entry->model)
        return mr_error_set(error, MR_MODEL_FILES_MISSING, "%s is not on this machine; get it with `millrace fetch %s`", key, key);
    *out = entry->model;
    return MR_OK;
}

mr_status mr_registry_find(mr_registry *registry, const char *key, mr_capability capability, mr_pool_model **out, mr_error *error)
{
    pthread_mutex_lock(&registry->lock);
    mr_status status = find(registry, key, capability, out, error);
    pthread_mutex_unlock(&registry->lock);
    return status;
}

mr_pools *mr_registry_pools(mr_registry *registry) { return registry->pools; }
