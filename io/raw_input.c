#include "io/raw_input.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/pulse.h"
#include "io/unpack.h"

#define BLOCK_BYTES ((size_t)256 << 10) /* large enough that the system calls vanish, small enough for the L2 cache */
#define MAX_LAYERS 2                    /* a .gz that was sent gzipped happens; more of it is a bomb */

/* file -> up to two unpackers -> top -> the reader, or libarchive, whose members are then what is read. */
struct mr_raw_input {
    mr_byte_stream file; /* first: its `next` gets the input from it */
    mr_unpacker *layers[MAX_LAYERS];
    size_t layer_count;
    mr_byte_stream *top;
    mr_str looked_at; /* top's first piece, not given yet */
    uint64_t unpacked; /* bytes top has given */

    const mr_reader_options *options;
    int fd;
    bool seekable, started;
    uint64_t offset; /* in the file */
    char block[BLOCK_BYTES];

    struct archive *archive; /* NULL: a stream */
    mr_error failed;         /* what a callback could not tell through libarchive */
    locale_t utf8;           /* libarchive converts names to the thread's locale, and loses them in "C" */
    mr_str member_block;     /* of the member, not given yet */
    int64_t member_block_at, member_at; /* where it lies; how far the member was given: between them is a hole */
    int64_t sparse_end;                 /* of a sparse member: a hole may be its last part */
    uint64_t delivered;      /* bytes of all members: a hole takes none in the archive */
};

static void moved_to(mr_raw_input *input, uint64_t offset)
{
    input->offset = offset;
    atomic_store_explicit(input->options->position, offset, memory_order_relaxed);
}

/* ---- the file ---- */

#define STOP_POLL_MS 100 /* how soon a wait for a pipe notices mr_source_stop */

/* read(2), but a pipe or terminal that gives nothing does not hold up a stop: -1 with ECANCELED then. */
static ssize_t read_unless_stopped(mr_raw_input *input, char *data, size_t size)
{
    struct pollfd ready = { .fd = input->fd, .events = POLLIN };
    for (;;) {
        if (atomic_load(input->options->stop)) {
            errno = ECANCELED;
            return -1;
        }
        int count = poll(&ready, 1, STOP_POLL_MS); /* at once for a regular file */
        mr_pulse_beat();
        if (count == 0 || (count < 0 && errno == EINTR)) continue;
        if (count < 0) return -1;
        ssize_t got = read(input->fd, data, size);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
    }
}

static mr_status read_file(mr_byte_stream *stream, mr_str *piece, mr_error *error)
{
    mr_raw_input *input = (mr_raw_input *)stream;
    size_t least = input->started ? 1 : MR_UNPACK_PEEK, length = 0;
    while (length < least) {
        ssize_t got = read_unless_stopped(input, input->block + length, BLOCK_BYTES - length);
        if (got < 0) return mr_error_errno(error, errno, "cannot read %s", input->options->name);
        if (got == 0) break;
        length += (size_t)got;
    }
    input->started = true;
    moved_to(input, input->offset + length);
    *piece = (mr_str){ input->block, length };
    return length ? MR_OK : MR_END;
}

/* ---- what is packed in it ---- */

static mr_status check_size(const mr_raw_input *input, uint64_t bytes, mr_error *error)
{
    uint64_t allowed = input->options->max_unpacked_bytes;
    if (bytes <= allowed) return MR_OK;
    return mr_error_set(error, MR_BAD_INPUT, "%s unpacks to more than the %llu bytes allowed", input->options->name, (unsigned long long)allowed);
}

static mr_status damaged(const mr_raw_input *input, const char *reason, mr_error *error)
{
    return mr_error_set(error, MR_BAD_INPUT, "%s: damaged or cut off near byte %llu: %s", input->options->name, (unsigned long long)input->offset, reason);
}

static mr_status next_of_top(mr_raw_input *input, mr_str *piece, mr_error *error)
{
    mr_error problem = { 0 };
    mr_status status = input->top->next(input->top, piece, &problem);
    if (status == MR_BAD_INPUT && input->layer_count) return damaged(input, problem.text, error);
    if (status != MR_OK && error) *error = problem;
    return status;
}

static mr_status add_layers(mr_raw_input *input, mr_error *error)
{
    for (;;) {
        mr_unpacker *layer = NULL;
        mr_str first = { "", 0 };
        mr_status status = next_of_top(input, &first, error);
        if (status != MR_OK && status != MR_END) return status;
        MR_TRY(mr_unpacker_create(input->top, first, &layer, error));
        if (!layer) {
            input->looked_at = first;
            return MR_OK;
        }
        if (input->layer_count == MAX_LAYERS) {
            mr_unpacker_destroy(layer);
            return mr_error_set(error, MR_BAD_INPUT, "%s is compressed more than twice over; unpack it first", input->options->name);
        }
        input->layers[input->layer_count++] = layer;
        input->top = mr_unpacker_stream(layer);
    }
}

static mr_status read_top(mr_raw_input *input, mr_str *piece, mr_error *error)
{
    mr_str next = input->looked_at;
    input->looked_at = (mr_str){ "", 0 };
    if (next.length == 0) MR_TRY(next_of_top(input, &next, error));
    input->unpacked += next.length;
    MR_TRY(check_size(input, input->unpacked, error)); /* also while libarchive passes over a member */
    *piece = next;
    return MR_OK;
}

/* ---- libarchive ---- */

static la_ssize_t give_block(struct archive *archive, void *context, const void **block)
{
    mr_raw_input *input = context;
    mr_str piece;
    mr_status status = read_top(input, &piece, &input->failed);
    if (status == MR_END) return 0;
    if (status != MR_OK) {
        input->failed.status = status;
        archive_set_error(archive, EIO, "%s", input->failed.text);
        return ARCHIVE_FATAL;
    }
    *block = piece.data;
    return (la_ssize_t)piece.length;
}

static la_int64_t seek_to(struct archive *archive, void *context, la_int64_t offset, int whence)
{
    mr_raw_input *input = context;
    (void)archive;
    off_t at = lseek(input->fd, (off_t)offset, whence);
    if (at < 0) return ARCHIVE_FATAL;
    input->looked_at = (mr_str){ "", 0 };
    moved_to(input, (uint64_t)at);
    return at;
}

/* Members that are passed over are not read. Never past the end: libarchive must see a cut-off file as one. */
static la_int64_t skip_over(struct archive *archive, void *context, la_int64_t request)
{
    mr_raw_input *input = context;
    (void)archive;
    struct stat info;
    if (input->looked_at.length || request < (la_int64_t)BLOCK_BYTES || fstat(input->fd, &info) != 0) return 0;
    la_int64_t rest = (la_int64_t)info.st_size - (la_int64_t)input->offset;
    la_int64_t step = (request < rest ? request : rest) & ~(la_int64_t)511;
    if (step <= 0 || lseek(input->fd, (off_t)step, SEEK_CUR) < 0) return 0;
    moved_to(input, input->offset + (uint64_t)step);
    return step;
}

static mr_status archive_problem(mr_raw_input *input, mr_error *error)
{
    if (input->failed.status != MR_OK) {
        if (error) *error = input->failed;
        return input->failed.status;
    }
    const char *text = archive_error_string(input->archive);
    return damaged(input, text ? text : "unknown format", error);
}

static mr_status open_archive(mr_raw_input *input, mr_error *error)
{
    struct archive *archive = input->archive = archive_read_new();
    if (!archive || archive_read_support_format_tar(archive) != ARCHIVE_OK || archive_read_support_format_zip(archive) != ARCHIVE_OK ||
        archive_read_support_format_empty(archive) != ARCHIVE_OK)
        return mr_error_set(error, MR_INTERNAL, "%s: libarchive cannot read tar and zip", input->options->name);
    input->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    archive_read_set_read_callback(archive, give_block);
    if (input->seekable && input->layer_count == 0) {
        archive_read_set_skip_callback(archive, skip_over);
        archive_read_set_seek_callback(archive, seek_to);
    }
    archive_read_set_callback_data(archive, input);
    return archive_read_open1(archive) == ARCHIVE_OK ? MR_OK : archive_problem(input, error);
}

/* Behind an archive's own end: the checksum of what it is packed in, and whoever writes into a pipe, want to be read on. */
static mr_status drain(mr_raw_input *input, mr_error *error)
{
    mr_str rest;
    mr_status status = MR_OK;
    while (status == MR_OK && (input->layer_count || !input->seekable)) status = read_top(input, &rest, error);
    return status == MR_OK ? MR_END : status;
}

mr_status mr_raw_input_next(mr_raw_input *input, struct archive_entry **entry, mr_error *error)
{
    locale_t before = input->utf8 ? uselocale(input->utf8) : (locale_t)0;
    int got;
    do got = archive_read_next_header(input->archive, entry);
    while (got == ARCHIVE_RETRY);
    if (before) uselocale(before);
    if (got == ARCHIVE_EOF) return drain(input, error);
    if (got < ARCHIVE_WARN) return archive_problem(input, error);
    input->member_block = (mr_str){ "", 0 };
    input->member_at = input->member_block_at = 0;
    input->sparse_end = archive_entry_sparse_count(*entry) > 0 ? archive_entry_size(*entry) : 0;
    return MR_OK;
}

static mr_status next_member_block(mr_raw_input *input, mr_error *error)
{
    const void *data;
    size_t length;
    int got;
    do got = archive_read_data_block(input->archive, &data, &length, &input->member_block_at);
    while (got == ARCHIVE_RETRY || (got == ARCHIVE_OK && length == 0));
    if (got == ARCHIVE_EOF) {
        input->member_block_at = input->sparse_end;
        return input->member_at < input->sparse_end ? MR_OK : MR_END;
    }
    if (got == ARCHIVE_FATAL) return archive_problem(input, error);
    const char *reason = archive_error_string(input->archive);
    if (got != ARCHIVE_OK) return mr_error_set(error, MR_BAD_RECORD, "%s", reason ? reason : "cannot be read");
    input->member_block = (mr_str){ data, length };
    return MR_OK;
}

/* The holes of a sparse member are zeros. */
static mr_status read_member(mr_raw_input *input, mr_str *piece, mr_error *error)
{
    static const char zeros[65536];
    if (input->member_block.length == 0) MR_TRY(next_member_block(input, error));
    int64_t hole = input->member_block_at - input->member_at;
    if (hole > 0) {
        *piece = (mr_str){ zeros, hole < (int64_t)sizeof zeros ? (size_t)hole : sizeof zeros };
    } else {
        *piece = input->member_block;
        input->member_block = (mr_str){ "", 0 };
    }
    input->member_at += (int64_t)piece->length;
    input->delivered += piece->length;
    return check_size(input, input->delivered, error);
}

/* ---- all of it ---- */

mr_status mr_raw_input_open(const mr_reader_options *options, mr_raw_format format, mr_raw_input **out, mr_error *error)
{
    const char *path = options->path, *name = options->name;
    mr_raw_input *input = calloc(1, sizeof *input);
    if (!input) return mr_error_set(error, MR_OUT_OF_MEMORY, "%s: cannot allocate a read buffer", name);
    mr_status status = MR_OK;
    input->options = options;
    input->file.next = read_file;
    input->top = &input->file;
    input->fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (input->fd < 0) {
        status = mr_error_errno(error, errno, "cannot open %s", name);
        goto failed;
    }
    struct stat info;
    input->seekable = fstat(input->fd, &info) == 0 && S_ISREG(info.st_mode) && strcmp(path, "-") != 0;
    MR_TRY_OR(status, add_layers(input, error), failed);
    if (format == MR_RAW_ARCHIVE) MR_TRY_OR(status, open_archive(input, error), failed);
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
    while (input->layer_count) mr_unpacker_destroy(input->layers[--input->layer_count]);
    if (input->fd >= 0) close(input->fd);
    if (input->utf8) freelocale(input->utf8);
    free(input);
}

mr_status mr_raw_input_read(mr_raw_input *input, mr_str *piece, mr_error *error)
{
    return input->archive ? read_member(input, piece, error) : read_top(input, piece, error);
}
