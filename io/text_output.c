#include "io/text_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/pulse.h"
#include "io/file_publish.h"

#define HOLD_BYTES ((size_t)256 << 10)

static mr_status make_directory_of(const char *path, mr_error *error)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return MR_OK;
    char *directory = mr_strndup(path, (size_t)(slash - path));
    if (!directory) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    mr_status status = mr_path_make_directories(directory, error);
    free(directory);
    return status;
}

static mr_status open_file(mr_text_output *output, mr_error *error)
{
    MR_TRY(make_directory_of(output->path, error));
    if (mr_path_is_directory(output->path)) return mr_error_set(error, MR_CANNOT_CREATE, "%s is a directory", output->path);
    if (mr_path_exists(output->path) && !output->overwrite)
        return mr_error_set(error, MR_OUTPUT_DIFFERS, "%s exists already. Choose another output or add --overwrite", output->path);
    output->temporary = mr_strf("%s.%ld.tmp", output->path, (long)getpid());
    if (!output->temporary) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    output->fd = open(output->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (output->fd >= 0) return MR_OK;
    mr_error_errno(error, errno, "cannot create %s", output->temporary);
    if (error) error->status = MR_CANNOT_CREATE;
    return MR_CANNOT_CREATE;
}

mr_status mr_text_output_open(mr_text_output *output, const char *path, bool overwrite, mr_error *error)
{
    *output = (mr_text_output){ .path = path, .overwrite = overwrite, .fd = -1 };
    mr_status status = MR_OK;
    if (strcmp(path, "-") != 0) {
        status = open_file(output, error);
    } else {
        output->path = "stdout";
        output->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        if (output->fd < 0) status = mr_error_errno(error, errno, "cannot write stdout");
    }
    if (status != MR_OK) mr_text_output_close(output);
    return status;
}

mr_status mr_text_output_flush(mr_text_output *output, bool all, mr_error *error)
{
    size_t done = 0;
    if (!all && output->held.length < HOLD_BYTES) return MR_OK;
    while (done < output->held.length) {
        mr_pulse_beat();
        ssize_t put = write(output->fd, output->held.data + done, output->held.length - done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return mr_error_errno(error, errno, "cannot write %s", output->path);
        done += (size_t)put;
    }
    output->held.length = 0;
    return MR_OK;
}

mr_status mr_text_output_finish(mr_text_output *output, mr_error *error)
{
    MR_TRY(mr_text_output_flush(output, true, error));
    if (!output->temporary) return MR_OK;
    bool existed = false;
    if (fsync(output->fd) != 0) return mr_error_errno(error, errno, "cannot write %s", output->path);
    if (output->overwrite) return mr_file_replace(output->temporary, output->path, error);
    MR_TRY(mr_file_publish(output->temporary, output->path, &existed, error));
    return existed ? mr_error_set(error, MR_OUTPUT_DIFFERS, "%s was made by somebody else meanwhile", output->path) : MR_OK;
}

void mr_text_output_close(mr_text_output *output)
{
    if (!output->path) return;
    if (output->fd >= 0) close(output->fd);
    if (output->temporary) unlink(output->temporary); /* gone already when it was published */
    free(output->temporary);
    mr_buf_fini(&output->held);
    *output = (mr_text_output){ .fd = -1 };
}
