/* Rows as JSON lines: to stdout, or to a file that gets its name when it is complete. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "io/file_publish.h"
#include "io/json_write.h"
#include "io/sink_kind.h"

#define WRITE_BYTES ((size_t)256 << 10) /* held back at most, so that few writes are made */

typedef struct lines_sink {
    mr_sink_options options;
    char *temporary; /* NULL: stdout */
    int fd;
    mr_buf held;
    uint64_t rows;
} lines_sink;

static const char *shown_name(const lines_sink *self)
{
    return self->temporary ? self->options.path : "stdout";
}

static void close_sink(void *sink)
{
    lines_sink *self = sink;
    if (self->fd >= 0) close(self->fd);
    if (self->temporary) unlink(self->temporary); /* gone already when it was published */
    free(self->temporary);
    mr_buf_fini(&self->held);
    free(self);
}

static mr_status open_file(lines_sink *self, mr_error *error)
{
    const char *path = self->options.path;
    const char *slash = strrchr(path, '/');
    if (slash && slash != path) {
        char *directory = mr_strndup(path, (size_t)(slash - path));
        if (!directory) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
        mr_status status = mr_path_make_directories(directory, error);
        free(directory);
        if (status != MR_OK) return status;
    }
    if (mr_path_exists(path) && !self->options.overwrite)
        return mr_error_set(error, MR_OUTPUT_DIFFERS, "%s exists, and JSON lines do not tell which job made them. Choose another output or add --overwrite", path);
    self->temporary = mr_strf("%s.%ld.tmp", path, (long)getpid());
    if (!self->temporary) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a path");
    self->fd = open(self->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (self->fd >= 0) return MR_OK;
    mr_error_errno(error, errno, "cannot create %s", self->temporary);
    if (error) error->status = MR_CANNOT_CREATE;
    return MR_CANNOT_CREATE;
}

static mr_status open_sink(const mr_sink_options *options, void **out, bool *finished, mr_error *error)
{
    *finished = false;
    lines_sink *self = calloc(1, sizeof *self);
    if (!self) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a sink", options->path);
    self->options = *options;
    self->fd = -1;
    mr_status status = MR_OK;
    if (strcmp(options->path, "-") != 0) {
        status = open_file(self, error);
    } else {
        self->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        if (self->fd < 0) status = mr_error_errno(error, errno, "cannot write stdout");
    }
    if (status == MR_OK) *out = self;
    else close_sink(self);
    return status;
}

static const mr_range *committed_ranges(const void *sink, size_t *count)
{
    (void)sink;
    *count = 0;
    return NULL;
}

static mr_status commit(void *sink, mr_error *error)
{
    lines_sink *self = sink;
    size_t done = 0;
    while (done < self->held.length) {
        ssize_t put = write(self->fd, self->held.data + done, self->held.length - done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return mr_error_errno(error, errno, "cannot write %s", shown_name(self));
        done += (size_t)put;
    }
    self->held.length = 0;
    return MR_OK;
}

static mr_status put(void *sink, const mr_embedding_row *row, mr_error *error)
{
    lines_sink *self = sink;
    if (row->ordinal != self->rows) return mr_error_set(error, MR_INTERNAL, "row %llu where row %llu was due", (unsigned long long)row->ordinal, (unsigned long long)self->rows);
    mr_embedding_row kept = *row;
    if (!self->options.store_text) kept.text = (mr_str){ "", 0 };
    if (!mr_json_append_row(&self->held, &kept, row->vector, self->options.dimension))
        return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate row %llu", (unsigned long long)row->ordinal);
    self->rows++;
    return self->held.length >= WRITE_BYTES ? commit(self, error) : MR_OK;
}

static mr_status finish(void *sink, uint64_t total, mr_error *error)
{
    lines_sink *self = sink;
    MR_TRY(commit(self, error));
    if (self->rows != total) return mr_error_set(error, MR_INCOMPLETE, "%s: %llu rows of %llu", shown_name(self), (unsigned long long)self->rows, (unsigned long long)total);
    if (!self->temporary) return MR_OK;
    bool existed = false;
    if (fsync(self->fd) != 0) return mr_error_errno(error, errno, "cannot write %s", self->options.path);
    if (self->options.overwrite && unlink(self->options.path) != 0 && errno != ENOENT)
        return mr_error_errno(error, errno, "cannot replace %s", self->options.path);
    MR_TRY(mr_file_publish(self->temporary, self->options.path, &existed, error));
    if (existed) return mr_error_set(error, MR_OUTPUT_DIFFERS, "%s was made by somebody else meanwhile", self->options.path);
    return MR_OK;
}

const mr_sink_kind mr_sink_json_lines = { open_sink, committed_ranges, put, commit, finish, close_sink };
