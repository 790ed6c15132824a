#include "registry/model_store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/str.h"

struct mr_model_store {
    mr_catalogue *catalogue;
    char *models;    /* NULL when no home is known */
    char *hub_cache; /* NULL when none is known */
};

/* The variable's value; NULL when unset or empty. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* $name/tail, or NULL when the variable is unset (or memory ran out). */
static char *below(const char *name, const char *tail)
{
    const char *value = variable(name);
    return value ? mr_path_join(value, tail) : NULL;
}

static char *find_home(void)
{
    char *home = variable("MILLRACE_HOME") ? mr_strdup(variable("MILLRACE_HOME")) : NULL;
    if (!home) home = below("XDG_DATA_HOME", "millrace");
    if (!home) home = below("HOME", ".local/share/millrace");
    return home;
}

static char *find_hub_cache(void)
{
    char *cache = variable("HF_HUB_CACHE") ? mr_strdup(variable("HF_HUB_CACHE")) : NULL;
    if (!cache) cache = below("HF_HOME", "hub");
    if (!cache) cache = below("XDG_CACHE_HOME", "huggingface/hub");
    if (!cache) cache = below("HOME", ".cache/huggingface/hub");
    return cache;
}

mr_status mr_model_store_open(mr_model_store **out, mr_error *error)
{
    mr_status status = MR_OK;
    mr_model_store *store = calloc(1, sizeof *store);
    char *home = find_home(), *entries = home ? mr_path_join(home, "catalogue") : NULL;
    if (store && home) store->models = mr_path_join(home, "models");
    if (!store || (home && !(entries && store->models))) {
        status = mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory opening the model store");
        goto done;
    }
    store->hub_cache = find_hub_cache();
    MR_TRY_OR(status, mr_catalogue_open(entries, &store->catalogue, error), done);
    *out = store;
    store = NULL;
done:
    mr_model_store_close(store);
    free(entries);
    free(home);
    return status;
}

void mr_model_store_close(mr_model_store *store)
{
    if (!store) return;
    mr_catalogue_close(store->catalogue);
    free(store->models);
    free(store->hub_cache);
    free(store);
}

const mr_catalogue *mr_model_store_catalogue(const mr_model_store *store) { return store->catalogue; }
const char *mr_model_store_models(const mr_model_store *store) { return store->models; }

mr_status mr_model_store_check_home(const mr_model_store *store, mr_error *error)
{
    if (store->models) return MR_OK;
    return mr_error_set(error, MR_CONFIG, "no place for models: set MILLRACE_HOME to a folder (HOME and XDG_DATA_HOME are not set), or name a model's folder");
}

/* models/<key>, malloc'ed; NULL without a home. */
static char *folder_of(const mr_model_store *store, const char *key) { return store->models ? mr_path_join(store->models, key) : NULL; }

/* A regular file (links followed) of the known size. */
static bool has_file(const char *directory, const mr_catalogue_file *file)
{
    struct stat info;
    char *path = mr_path_join(directory, file->path);
    bool there = path && stat(path, &info) == 0 && S_ISREG(info.st_mode) && (file->bytes == 0 || (uint64_t)info.st_size == file->bytes);
    free(path);
    return there;
}

static bool has_all_files(const char *directory, const mr_catalogue_entry *entry)
{
    for (size_t i = 0; i < entry->file_count; i++)
        if (!has_file(directory, &entry->files[i])) return false;
    return true;
}

/* cache/models--org--name, malloc'ed; NULL without a cache. */
static char *repository_folder(const mr_model_store *store, const char *repository)
{
    mr_buf name = { 0 };
    bool fits = store->hub_cache && mr_buf_printf(&name, "%s/models--", store->hub_cache);
    for (const char *c = repository; *c && fits; c++) fits = *c == '/' ? mr_buf_append(&name, "--", 2) : mr_buf_append(&name, c, 1);
    if (!fits) mr_buf_fini(&name);
    return fits ? mr_buf_detach(&name) : NULL;
}

/* The snapshot that refs/main names; NULL when there is none. */
static char *main_snapshot(const char *folder)
{
    char *reference = mr_path_join(folder, "refs/main"), *revision = NULL, *snapshot = NULL;
    size_t length;
    if (reference && mr_file_read(reference, 256, &revision, &length, NULL) == MR_OK) {
        revision[strcspn(revision, "\r\n")] = '\0';
        if (mr_catalogue_is_plain_path(revision)) snapshot = mr_strf("%s/snapshots/%s", folder, revision);
    }
    free(revision);
    free(reference);
    return snapshot;
}

/* The entry's own revision when its files are there, else main with all of them. */
static char *locate_in_hub_cache(const mr_model_store *store, const mr_catalogue_entry *entry)
{
    char *folder = entry->hub.repository ? repository_folder(store, entry->hub.repository) : NULL;
    if (!folder) return NULL;
    char *snapshot = mr_strf("%s/snapshots/%s", folder, entry->hub.revision);
    if (!snapshot || !has_all_files(snapshot, entry)) {
        free(snapshot);
        snapshot = main_snapshot(folder);
        if (snapshot && !has_all_files(snapshot, entry)) {
            free(snapshot);
            snapshot = NULL;
        }
    }
    free(folder);
    return snapshot;
}

char *mr_model_store_locate(const mr_model_store *store, const mr_catalogue_entry *entry)
{
    char *directory = folder_of(store, entry->key);
    if (directory && has_all_files(directory, entry)) return directory;
    free(directory);
    return locate_in_hub_cache(store, entry);
}

mr_status mr_model_store_entry(const mr_model_store *store, const char *key, const mr_catalogue_entry **out, mr_error *error)
{
    const mr_catalogue_entry *entry = mr_catalogue_find(store->catalogue, key);
    if (entry) {
        *out = entry;
        return MR_OK;
    }
    const char *near = mr_catalogue_nearest(store->catalogue, key);
    if (near) return mr_error_set(error, MR_NOT_FOUND, "no model \"%s\"; did you mean %s? (`millrace models` lists all)", key, near);
    return mr_error_set(error, MR_NOT_FOUND, "no model \"%s\": neither a directory, a .gguf file nor a key of the catalogue (`millrace models` lists those)", key);
}

/* A folder of either place for a key the catalogue does not know. */
static char *locate_unlisted(const mr_model_store *store, const char *key)
{
    if (!mr_catalogue_is_plain_path(key)) return NULL;
    char *directory = folder_of(store, key);
    if (directory && mr_path_is_directory(directory)) return directory;
    free(directory);
    char *folder = repository_folder(store, key), *snapshot = folder ? main_snapshot(folder) : NULL;
    free(folder);
    if (snapshot && mr_path_is_directory(snapshot)) return snapshot;
    free(snapshot);
    return NULL;
}

#define NAMES_SHOWN 5

static mr_status files_missing(const mr_model_store *store, const mr_catalogue_entry *entry, mr_error *error)
{
    mr_buf names = { 0 };
    size_t missing = 0;
    char *directory = mr_path_join(store->models, entry->key);
    for (size_t i = 0; directory && i < entry->file_count; i++) {
        if (has_file(directory, &entry->files[i])) continue;
        if (missing < NAMES_SHOWN) mr_buf_printf(&names, "%s%s", missing ? ", " : "", entry->files[i].path);
        missing++;
    }
    mr_error_set(error, MR_MODEL_FILES_MISSING, "%s: %zu of %zu files are missing or incomplete in %s (%s%s); get them with: millrace fetch %s",
                 entry->key, missing, entry->file_count, directory ? directory : store->models, names.data ? names.data : "",
                 missing > NAMES_SHOWN ? ", ..." : "", entry->key);
    mr_buf_fini(&names);
    free(directory);
    return MR_MODEL_FILES_MISSING;
}

const char *mr_model_store_prompt(const mr_model_store *store, const char *model, const char *name)
{
    const mr_catalogue_entry *entry = mr_catalogue_find(store->catalogue, model);
    for (size_t i = 0; entry && i < entry->prompt_count; i++)
        if (strcmp(entry->prompts[i].name, name) == 0) return entry->prompts[i].text;
    return NULL;
}

mr_status mr_model_store_resolve(const mr_model_store *store, const char *model, char **path, mr_error *error)
{
    if (!*model) return mr_error_set(error, MR_INVALID_ARGUMENT, "the model's name is empty");
    const mr_catalogue_entry *entry = mr_catalogue_find(store->catalogue, model);
    char *found = mr_path_exists(model) ? mr_strdup(model) : entry ? mr_model_store_locate(store, entry) : locate_unlisted(store, model);
    if (found) {
        *path = found;
        return MR_OK;
    }
    if (entry) MR_TRY(mr_model_store_check_home(store, error));
    if (entry) return files_missing(store, entry, error);
    if (strchr("/.~", *model) || mr_str_ends_with(mr_str_of(model), ".gguf"))
        return mr_error_set(error, MR_NOT_FOUND, "no model at %s: no such file or directory", model);
    return mr_model_store_entry(store, model, &entry, error);
}
