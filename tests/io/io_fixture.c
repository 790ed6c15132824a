#include "io_fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

void fixture_enter(const char *name)
{
    char *path = mr_strf("%s/io-%s-%ld", MR_TEST_TMP, name, (long)getpid());
    char *clean = mr_strf("rm -rf '%s'", path);
    assert_int_equal(system(clean), 0);
    assert_int_equal(mr_path_make_directories(path, NULL), MR_OK);
    assert_int_equal(chdir(path), 0);
    free(clean);
    free(path);
}

void fixture_write(const char *path, const void *data, size_t length)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void set_packing(struct archive *archive, packing how)
{
    int got = ARCHIVE_OK;
    if (how == GZIP) got = archive_write_add_filter_gzip(archive);
    if (how == ZSTD) got = archive_write_add_filter_zstd(archive);
    if (how == XZ) got = archive_write_add_filter_xz(archive);
    if (how == BZIP2) got = archive_write_add_filter_bzip2(archive);
    assert_int_equal(got, ARCHIVE_OK);
    /* The usual level takes seconds for 3 MiB. */
    if (how == XZ) assert_int_equal(archive_write_set_filter_option(archive, "xz", "compression-level", "1"), ARCHIVE_OK);
}

void fixture_write_packed(const char *path, packing how, const void *data, size_t length)
{
    struct archive *archive = archive_write_new();
    assert_int_equal(archive_write_set_format_raw(archive), ARCHIVE_OK);
    set_packing(archive, how);
    assert_int_equal(archive_write_set_bytes_in_last_block(archive, 1), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    if (length) assert_int_equal(archive_write_data(archive, data, length), length);
    archive_entry_free(entry);
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
}

void fixture_truncate(const char *path, long length)
{
    assert_int_equal(truncate(path, length), 0);
}

char *fixture_read(const char *path, size_t *length)
{
    char *data;
    assert_int_equal(mr_file_read(path, (size_t)1 << 30, &data, length, NULL), MR_OK);
    return data;
}

void fixture_write_archive(const char *path, container format, packing how, const member *members)
{
    struct archive *archive = archive_write_new();
    if (format == PAX) archive_write_set_format_pax(archive);
    if (format == GNU) archive_write_set_format_gnutar(archive);
    if (format == USTAR) archive_write_set_format_ustar(archive);
    if (format == ZIP) archive_write_set_format_zip(archive);
    set_packing(archive, how);
    assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
    for (const member *one = members; one->name; one++) {
        struct archive_entry *entry = archive_entry_new();
        size_t length = one->length || !one->data ? one->length : strlen(one->data);
        archive_entry_set_pathname(entry, one->name);
        archive_entry_set_filetype(entry, one->name[strlen(one->name) - 1] == '/' ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, (la_int64_t)length);
        if (one->hardlink) archive_entry_set_hardlink(entry, one->hardlink);
        assert_true(archive_write_header(archive, entry) >= ARCHIVE_WARN);
        if (length) assert_int_equal(archive_write_data(archive, one->data, length), length);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
}

collected *fixture_collect(const mr_source_options *options)
{
    collected *all = calloc(1, sizeof *all);
    mr_source *source;
    mr_error error = { 0 };
    if (mr_source_open(options, &source, &error) != MR_OK) fail_msg("source does not open: %s", error.text);
    while (all->count < sizeof all->records / sizeof *all->records) {
        all->end = mr_source_next(source, &all->records[all->count], &all->error);
        if (all->end != MR_OK) break;
        assert_int_equal(all->records[all->count]->ordinal, all->count);
        all->count++;
    }
    mr_source_close(source);
    return all;
}

collected *fixture_collect_path(const char *path)
{
    const mr_source_options options = { .paths = &path, .path_count = 1 };
    return fixture_collect(&options);
}

void fixture_collected_free(collected *all)
{
    for (size_t i = 0; i < all->count; i++) mr_record_free(all->records[i]);
    free(all);
}

size_t fixture_count_files(const char *directory, const char *part)
{
    DIR *listing = opendir(directory);
    size_t count = 0;
    const struct dirent *entry;
    while (listing && (entry = readdir(listing)))
        if (entry->d_name[0] != '.' && strstr(entry->d_name, part)) count++;
    if (listing) closedir(listing);
    return count;
}

void assert_text(mr_str got, const char *expected)
{
    assert_int_equal(got.length, strlen(expected));
    assert_memory_equal(got.data, expected, got.length);
}

void assert_contains(const char *text, const char *part)
{
    if (!text || !strstr(text, part)) fail_msg("\"%s\" does not contain \"%s\"", text ? text : "(null)", part);
}
