/* The registry: key -> model. A caller asks for a model by key and calls it; that it is pooled is invisible.
 *
 * Adding an entry costs nothing: files are looked at and workers started on the first call. Thread-safe. */
#ifndef MR_REGISTRY_REGISTRY_H
#define MR_REGISTRY_REGISTRY_H

#include "registry/pool/pool.h"

typedef struct mr_registry mr_registry;

/* As mr_pools_create / mr_pools_destroy. */
mr_status mr_registry_create(const mr_pool_settings *settings, mr_governor *governor, mr_clock *clock, mr_registry **out, mr_error *error);
void mr_registry_destroy(mr_registry *registry);

typedef struct mr_registry_entry {
    const char *key;               /* "org/name"; copied */
    const char *path;              /* model directory or file; copied. NULL: not on this machine */
    const mr_model_vtable *vtable; /* static */
    mr_model_options options;
    mr_loader loader;              /* zeroed: synchronous */
    size_t max_workers;            /* 0: by the settings */
} mr_registry_entry;

/* INVALID_ARGUMENT when the key is already there. */
mr_status mr_registry_add(mr_registry *registry, const mr_registry_entry *entry, mr_error *error);
bool mr_registry_has(mr_registry *registry, const char *key);

/* The model of a key, for calls with the structs of `capability`. Borrowed until destroy; a stage asks once and then uses
 * mr_pool_submit, _call, _pin, ... on it. NOT_FOUND or WRONG_CAPABILITY, naming the near matches; MODEL_FILES_MISSING with the
 * command that gets them. */
mr_status mr_registry_find(mr_registry *registry, const char *key, mr_capability capability, mr_pool_model **out, mr_error *error);

/* The pools behind it: metrics, maintenance, shutdown. */
mr_pools *mr_registry_pools(mr_registry *registry);

#endif
