#include "io/raw_input.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)256 << 10) /* large enough that the system calls vanish, small enough for the L2 cache */
#define MAX_FILTERS 3                   /* libarchive counts the file itself: compressed twice at most */

struct mr_raw_input {
    struct archive *archive;
    const mr_reader_options *options;
    int fd;
    bool seekable;
    int read_errno;
    locale_t utf8; /* libarchive converts names to the thread's locale, and loses them in "C" */
    uint64_t offset;
    char block[BLOCK_BYTES];
};

static void moved_to(mr_raw_input *input, uint64_t offset)
{
    input->offset = offset;
    atomic_store_explicit(input->options->position, offset, memory_order_relaxed);
}

static bool is_bomb(const mr_raw_input *input)
{
    la_int64_t unpacked = archive_filter_bytes(input->archive, 0);
    return unpacked > 0 && (uint64_t)unpacked > input->options->max_unpacked_bytes;
}

#define STOP_POLL_MS 100 /* how soon a wait for a pipe notices mr_source_stop */

/* read(2), but a pipe or terminal that gives nothing does not hold up a stop: -1 with ECANCELED then. */
static ssize_t read_unless_stopped(mr_raw_input *input)
{
    struct pollfd ready = { .fd = input->fd, .events = POLLIN };
    for (;;) {
        if (atomic_load(input->options->stop)) {
            errno = ECANCELED;
            return -1;
        }
        int count = poll(&ready, 1, STOP_POLL_MS); /* at once for a regular file */
        if (count == 0 || (count < 0 && errno == EINTR)) continue;
        if (count < 0) return -1;
        ssize_t got = read(input->fd, input->block, BLOCK_BYTES);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
    }
}

static la_ssize_t read_block(struct archive *archive, void *context, const void **block)
{
    mr_raw_input *input = context;
    ssize_t got;
    if (is_bomb(input)) { /* while libarchive passes over a member, nobody else looks */
        archive_set_error(archive, EFBIG, "unpacks to too much");
        return ARCHIVE_FATAL;
    }
    got = read_unless_stopped(input);
    if (got < 0) {
        input->read_errno = errno;
        archive_set_error(archive, errno, "read error");
        return ARCHIVE_FATAL;
    }
    moved_to(input, input->offset + (uint64_t)got);
    *block = input->block;
    return got;
}

static la_int64_t seek_to(struct archive *archive, void *context, la_int64_t offset, int whence)
{
    mr_raw_input *input = context;
    (void)archive;
    off_t at = lseek(input->fd, (off_t)offset, whence);
    if (at < 0) return ARCHIVE_FATAL;
    moved_to(input, (uint64_t)at);
    return at;
}

/* Members that are passed over are not read. Never past the end: libarchive must see a cut-off file as one. */
static la_int64_t skip_over(struct archive *archive, void *context, la_int64_t request)
{
    mr_raw_input *input = context;
    (void)archive;
    struct stat info;
    if (!input->seekable || request < (la_int64_t)BLOCK_BYTES || fstat(input->fd, &info) != 0) return 0;
    la_int64_t rest = (la_int64_t)info.st_size - (la_int64_t)input->offset;
    la_int64_t step = (request < rest ? request : rest) & ~(la_int64_t)511;
    if (step <= 0 || lseek(input->fd, (off_t)step, SEEK_CUR) < 0) return 0;
    moved_to(input, input->offset + (uint64_t)step);
    return step;
}

static bool support(struct archive *archive, mr_raw_format format)
{
    /* ARCHIVE_WARN: only through an outside program, which is then never reached by these four. */
    if (archive_read_support_filter_gzip(archive) != ARCHIVE_OK || archive_read_support_filter_zstd(archive) != ARCHIVE_OK ||
        archive_read_support_filter_xz(archive) != ARCHIVE_OK || archive_read_support_filter_bzip2(archive) != ARCHIVE_OK)
        return false;
    if (archive_read_support_format_empty(archive) != ARCHIVE_OK) return false;
    if (format == MR_RAW_STREAM) return archive_read_support_format_raw(archive) == ARCHIVE_OK;
    return archive_read_support_format_tar(archive) == ARCHIVE_OK && archive_read_support_format_zip(archive) == ARCHIVE_OK;
}

mr_status mr_raw_input_open(const mr_reader_options *options, mr_raw_format format, mr_raw_input **out, mr_error *error)
{
    const char *path = options->path, *name = options->name;
    mr_raw_input *input = calloc(1, sizeof *input);
    if (!input) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a read buffer", name);
    mr_status status = MR_OK;
    input->options = options;
    input->fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (input->fd < 0) {
        status = mr_error_errno(error, errno, "cannot open %s", name);
        goto failed;
    }
    struct stat info;
    input->seekable = fstat(input->fd, &info) == 0 && S_ISREG(info.st_mode) && strcmp(path, "-") != 0;
    input->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    input->archive = archive_read_new();
    if (!input->archive || !support(input->archive, format)) {
        status = mr_error_set(error, MR_INTERNAL, "%s: libarchive was built without gzip, zstd, xz or bzip2", name);
        goto failed;
    }
    archive_read_set_read_callback(input->archive, read_block);
    archive_read_set_skip_callback(input->archive, skip_over);
    if (input->seekable) archive_read_set_seek_callback(input->archive, seek_to);
    archive_read_set_callback_data(input->archive, input);
    if (archive_read_open1(input->archive) != ARCHIVE_OK) {
        status = mr_raw_input_error(input, error);
        goto failed;
    }
    *out = input;
    return MR_OK;
failed:
    mr_raw_input_close(input);
    return status;
}

void mr_raw_input_close(mr_raw_input *input)
{
    if (!input) return;
    if (input->archive) archive_read_free(input->archive);
    if (input->fd >= 0) close(input->fd);
    if (input->utf8) freelocale(input->utf8);
    free(input);
}

struct archive *mr_raw_input_archive(mr_raw_input *input)
{
    return input->archive;
}

mr_status mr_raw_input_next(mr_raw_input *input, struct archive_entry **entry, mr_error *error)
{
    locale_t before = input->utf8 ? uselocale(input->utf8) : (locale_t)0;
    int got;
    do got = archive_read_next_header(input->archive, entry);
    while (got == ARCHIVE_RETRY);
    if (before) uselocale(before);
    if (got == ARCHIVE_EOF) return MR_END;
    if (got < ARCHIVE_WARN) return mr_raw_input_error(input, error);
    return mr_raw_input_check(input, error);
}

mr_status mr_raw_input_check(mr_raw_input *input, mr_error *error)
{
    const char *name = input->options->name;
    if (is_bomb(input))
        return mr_error_set(error, MR_BAD_INPUT, "%s unpacks to more than the %llu bytes allowed", name, (unsigned long long)input->options->max_unpacked_bytes);
    if (archive_filter_count(input->archive) > MAX_FILTERS)
        return mr_error_set(error, MR_BAD_INPUT, "%s is compressed %d times over; unpack it first", name, archive_filter_count(input->archive) - 1);
    return MR_OK;
}

mr_status mr_raw_input_error(mr_raw_input *input, mr_error *error)
{
    const char *name = input->options->name;
    if (input->read_errno) return mr_error_errno(error, input->read_errno, "cannot read %s", name);
    MR_TRY(mr_raw_input_check(input, error));
    const char *text = archive_error_string(input->archive);
    return mr_error_set(error, MR_BAD_INPUT, "%s: damaged or cut off near byte %llu: %s", name, (unsigned long long)input->offset, text ? text : "unknown format");
}
