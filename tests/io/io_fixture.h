/* What the io tests share: a folder per test, files made through libarchive, records collected. */
#ifndef MR_TESTS_IO_FIXTURE_H
#define MR_TESTS_IO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/sink.h"
#include "io/source.h"

/* An empty folder MR_TEST_TMP/io-<name>-<pid>, made the working directory; the test's paths are relative to it. */
void fixture_enter(const char *name);

typedef enum packing { PLAIN, GZIP, ZSTD, XZ, BZIP2 } packing;

void fixture_write(const char *path, const void *data, size_t length);
void fixture_write_packed(const char *path, packing how, const void *data, size_t length);
void fixture_truncate(const char *path, long length);
char *fixture_read(const char *path, size_t *length); /* free() it */

typedef struct member {
    const char *name;
    const char *data;
    size_t length; /* 0: strlen(data) */
    const char *hardlink;
} member;

typedef enum container { PAX, GNU, USTAR, ZIP } container;

/* Members until a NULL name. */
void fixture_write_archive(const char *path, container format, packing how, const member *members);

typedef struct collected {
    mr_record *records[4096];
    size_t count;
    mr_status end; /* what ended the stream */
    mr_error error;
} collected;

collected *fixture_collect(const mr_source_options *options); /* fails the test when the source does not open */
collected *fixture_collect_path(const char *path);
void fixture_collected_free(collected *all);

/* Number of files in a folder whose names contain `part`; 0 when the folder is not there. */
size_t fixture_count_files(const char *directory, const char *part);

void assert_text(mr_str got, const char *expected);
void assert_contains(const char *text, const char *part);

#endif
