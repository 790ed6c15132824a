/* Any bytes as any kind of input file (the first byte chooses): every record is well-formed, and passing over records
 * counts the same as reading them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/source.h"

static const char *const endings[] = { "tar", "zip", "jsonl", "txt" };

static void check(const mr_record *record, uint64_t ordinal)
{
    if (record->ordinal != ordinal || record->id.length == 0) abort();
    if (mr_utf8_check(record->id.data, record->id.length) != record->id.length) abort();
    if (mr_utf8_check(record->text.data, record->text.length) != record->text.length) abort();
    if ((record->status == MR_OK) != (record->error_text == NULL)) abort();
    if (record->error_text && mr_utf8_check(record->error_text, strlen(record->error_text)) != strlen(record->error_text)) abort();
    if (record->status != MR_OK && (record->text.length || record->image.length)) abort();
}

static void read_both_ways(const char *path)
{
    const mr_source_options options = { .paths = &path, .path_count = 1, .max_record_bytes = 4096, .max_unpacked_bytes = 1 << 20 };
    mr_source *source;
    mr_error error = { 0 };
    mr_record *record;
    mr_status status;
    uint64_t count = 0;
    if (mr_source_open(&options, &source, &error) != MR_OK) abort();
    while ((status = mr_source_next(source, &record, &error)) == MR_OK) {
        check(record, count++);
        mr_record_free(record);
    }
    if (status != MR_END && !error.text[0]) abort();
    mr_source_close(source);
    if (status != MR_END) return;
    if (mr_source_open(&options, &source, &error) != MR_OK) abort();
    if (mr_source_skip_to(source, count, &error) != MR_OK || mr_source_next(source, &record, &error) != MR_END) abort();
    mr_source_close(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    char path[64];
    snprintf(path, sizeof path, "/tmp/fuzz-source-%ld.%s", (long)getpid(), endings[data[0] % 4]);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1)) abort();
    close(fd);
    read_both_ways(path);
    unlink(path);
    return 0;
}
