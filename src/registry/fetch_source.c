#include "registry/fetch_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/str.h"

bool mr_fetch_pause(int64_t delay_ns, int64_t *remaining_ns)
{
    if (*remaining_ns <= 0) return false;
    if (delay_ns > *remaining_ns) delay_ns = *remaining_ns;
    struct timespec pause = { .tv_sec = (time_t)(delay_ns / MR_CLOCK_SECOND), .tv_nsec = (long)(delay_ns % MR_CLOCK_SECOND) };
    nanosleep(&pause, NULL);
    *remaining_ns -= delay_ns;
    return true;
}

void mr_fetch_report(const mr_fetch_job *job, const char *name, uint64_t done, uint64_t total)
{
    if (!job->options.progress) return;
    mr_fetch_progress progress = {
        .file = name,
        .file_done = done,
        .file_total = total,
        .total_done = job->total_done + done,
        .total = mr_catalogue_entry_bytes(job->entry),
    };
    job->options.progress(job->options.context, &progress);
}

uint64_t mr_fetch_limit(const mr_catalogue_file *file)
{
    return file->bytes ? file->bytes : MR_FETCH_MAX_UNKNOWN;
}

mr_status mr_fetch_staged_path(const mr_fetch_job *job, const mr_catalogue_file *file, const char *suffix, char **out, mr_error *error)
{
    char *path = mr_strf("%s/%s%s", job->staging, file->path, suffix);
    char *folder = path ? mr_strndup(path, (size_t)(strrchr(path, '/') - path)) : NULL;
    mr_status status = folder ? mr_path_make_directories(folder, error)
                              : mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory fetching a model");
    free(folder);
    if (status == MR_OK)
        *out = path;
    else
        free(path);
    return status;
}

mr_status mr_fetch_check(const mr_catalogue_file *file, const char *path, mr_error *error)
{
    struct stat info;
    char hex[MR_SHA256_HEX];
    if (stat(path, &info) != 0) return mr_error_errno(error, errno, "cannot read %s", path);
    if (file->bytes && (uint64_t)info.st_size != file->bytes)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s has %lld bytes instead of %llu", file->path, (long long)info.st_size, (unsigned long long)file->bytes);
    if (!file->sha256) return MR_OK;
    MR_TRY(mr_sha256_file(path, hex, error));
    if (strcmp(hex, file->sha256) != 0)
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s has SHA-256 %s instead of %s", file->path, hex, file->sha256);
    return MR_OK;
}

static mr_status sync_file(const char *path, mr_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    mr_status status = MR_OK;
    if (fd < 0 || fsync(fd) != 0) status = mr_error_errno(error, errno, "cannot sync %s", path);
    if (fd >= 0) close(fd);
    return status;
}

mr_status mr_fetch_accept(mr_fetch_job *job, size_t index, const char *part, mr_error *error)
{
    const mr_catalogue_file *file = &job->entry->files[index];
    char *staged = NULL;
    mr_status status = mr_fetch_check(file, part, error);
    if (status == MR_MODEL_CORRUPT) unlink(part);
    if (status == MR_OK) status = sync_file(part, error);
    if (status == MR_OK) status = mr_fetch_staged_path(job, file, "", &staged, error);
    if (status == MR_OK && rename(part, staged) != 0) status = mr_error_errno(error, errno, "cannot rename %s", part);
    if (status == MR_OK) {
        struct stat info;
        uint64_t bytes = stat(staged, &info) == 0 ? (uint64_t)info.st_size : file->bytes;
        job->wanted[index] = false;
        mr_fetch_report(job, file->path, bytes, bytes);
        job->total_done += bytes;
    }
    free(staged);
    return status;
}
