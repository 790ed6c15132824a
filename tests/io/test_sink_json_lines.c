/* JSON lines out, to a file and stdout, and exports of a finished output. */
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/file.h"
#include "io/export.h"
#include "io/json_write.h"
#include "sink_fixture.h"

#define TOTAL 40

/* Every line parses, and says what the job put. */
static void check_lines(const char *path, bool with_text)
{
    size_t length;
    char *data = fixture_read(path, &length);
    char *line = data;
    for (uint64_t i = 0; i < TOTAL; i++) {
        const mr_embedding_row row = job_row(i);
        size_t end = strcspn(line, "\n");
        assert_int_equal(line[end], '\n');
        json_t *object = json_loadb(line, end, 0, NULL);
        assert_non_null(object);
        assert_text(row.id, json_string_value(json_object_get(object, "id")));
        static const char *const names[] = { "ok", "truncated", "failed" };
        assert_string_equal(json_string_value(json_object_get(object, "status")), names[row.status]);
        assert_int_equal(json_integer_value(json_object_get(object, "tokens")), row.tokens);
        const json_t *vector = json_object_get(object, "embedding");
        assert_int_equal(json_array_size(vector), row.vector ? JOB_DIMENSION : 0);
        for (size_t k = 0; k < json_array_size(vector); k++) assert_true((float)json_number_value(json_array_get(vector, k)) == row.vector[k]);
        const char *reason = json_string_value(json_object_get(object, "error"));
        assert_text(row.error, reason ? reason : "");
        const char *text = json_string_value(json_object_get(object, "text"));
        assert_text(with_text ? row.text : (mr_str){ "", 0 }, text ? text : "");
        json_decref(object);
        line += end + 1;
    }
    assert_int_equal(*line, '\0');
    free(data);
}

static void to_a_file(void **state)
{
    (void)state;
    mr_sink_options options = job_options("out/rows.jsonl");
    bool finished;
    mr_error error;
    assert_int_equal(job_run(&options, TOTAL, &finished, NULL), MR_OK);
    check_lines("out/rows.jsonl", true);
    /* The same job again: done, or refused where the file system cannot tell. */
    if (setxattr("out/rows.jsonl", "user.millrace.test", "", 0, 0) == 0) {
        assert_int_equal(job_run(&options, TOTAL, &finished, &error), MR_OK);
        assert_true(finished);
    } else {
        assert_int_equal(job_run(&options, TOTAL, &finished, &error), MR_OUTPUT_DIFFERS);
    }
    options.fingerprint = "another";
    assert_int_equal(job_run(&options, TOTAL, &finished, &error), MR_OUTPUT_DIFFERS);
    assert_contains(error.text, "out/rows.jsonl exists and does not say that this job made it");
    options.overwrite = true;
    options.store_text = false;
    options.dtype = MR_VECTOR_BINARY; /* of no effect here */
    assert_int_equal(job_run(&options, TOTAL, &finished, NULL), MR_OK);
    check_lines("out/rows.jsonl", false);
    assert_int_equal(fixture_count_files("out", ""), 1);
}

static void resumed(void **state)
{
    (void)state;
    mr_sink_options options = job_options("resumed.jsonl");
    options.rows_per_part = 7;
    mr_sink *sink;
    bool finished;
    mr_error error;
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    assert_int_equal(job_put(sink, 0, 30, NULL), MR_OK);
    assert_int_equal(mr_sink_finish(sink, TOTAL, &error), MR_INCOMPLETE);
    mr_sink_close(sink);
    assert_false(mr_path_exists("resumed.jsonl")); /* nothing under the final name before it is complete */
    assert_int_equal(mr_sink_open(&options, &sink, &finished, NULL), MR_OK);
    size_t count;
    assert_int_equal(mr_sink_committed(sink, &count)->end, 30);
    assert_int_equal(job_put(sink, 30, TOTAL, NULL), MR_OK);
    assert_int_equal(mr_sink_finish(sink, TOTAL, &error), MR_OK);
    mr_sink_close(sink);
    check_lines("resumed.jsonl", true);
    assert_false(mr_path_exists("resumed.jsonl.parts"));
}

/* Runs the job with stdout going to `file` in a child; its status. */
static int run_to_stdout(int file, bool close_reader, int reader)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_IGN); /* as the program does */
        dup2(file, STDOUT_FILENO);
        if (close_reader) close(reader);
        mr_sink_options options = job_options("-");
        bool finished;
        mr_error error = { 0 };
        mr_status status = job_run(&options, TOTAL, &finished, &error);
        _exit(status == MR_OK || strstr(error.text, "stdout") ? (int)status : 99);
    }
    int result;
    waitpid(child, &result, 0);
    return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

static void to_stdout(void **state)
{
    (void)state;
    int file = open("stdout.jsonl", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_int_equal(run_to_stdout(file, false, -1), MR_OK);
    close(file);
    check_lines("stdout.jsonl", true);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(run_to_stdout(ends[1], true, ends[0]), MR_IO); /* nobody reads */
    close(ends[1]);
    int full = open("/dev/full", O_WRONLY);
    assert_int_equal(run_to_stdout(full, false, -1), MR_NO_SPACE);
    close(full);
}

static void floats_read_back(void **state)
{
    (void)state;
    uint32_t bits = 12345;
    for (int i = 0; i < 20000; i++) {
        bits = bits * 1664525u + 1013904223u;
        float value;
        memcpy(&value, &bits, sizeof value);
        mr_buf text = { 0 };
        assert_true(mr_json_append_float(&text, value));
        if (isfinite(value)) assert_true(strtof(text.data, NULL) == value);
        else assert_string_equal(text.data, "null");
        mr_buf_fini(&text);
    }
    mr_buf text = { 0 };
    assert_true(mr_json_append_string(&text, (mr_str){ "a\"\\\n\x01\0\xC3\xA9", 8 }));
    assert_string_equal(text.data, "\"a\\\"\\\\\\n\\u0001\\u0000\xC3\xA9\"");
    mr_buf_fini(&text);
}

static void exports(void **state)
{
    (void)state;
    mr_sink_options options = job_options("source.h5");
    bool finished;
    assert_int_equal(job_run(&options, TOTAL, &finished, NULL), MR_OK);
    mr_embedding_file *file;
    mr_error error;
    assert_int_equal(mr_embedding_file_open("source.h5", &file, NULL), MR_OK);
    assert_int_equal(mr_export_jsonl(file, "exported.jsonl", false, NULL), MR_OK);
    check_lines("exported.jsonl", true);
    assert_int_equal(mr_export_jsonl(file, "exported.jsonl", false, &error), MR_OUTPUT_DIFFERS);
    assert_int_equal(mr_export_npy(file, "exported.npy", false, NULL), MR_OK);
    assert_int_equal(mr_export_npy(file, "exported.npy", true, NULL), MR_OK);
    size_t length;
    char *npy = fixture_read("exported.npy", &length);
    size_t header = (unsigned char)npy[8] + 256u * (unsigned char)npy[9] + 10;
    assert_memory_equal(npy, "\x93NUMPY\x01\x00", 8);
    assert_int_equal(header % 64, 0);
    assert_int_equal(npy[header - 1], '\n');
    assert_memory_equal(npy + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (40, 12), }", 61);
    assert_int_equal(length, header + TOTAL * JOB_DIMENSION * 4);
    const mr_embedding_row row = job_row(9);
    assert_memory_equal(npy + header + 9 * JOB_DIMENSION * 4, row.vector, JOB_DIMENSION * 4);
    free(npy);
    mr_embedding_file_close(file);
}

int main(void)
{
    fixture_enter("json-lines");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_a_file),
        cmocka_unit_test(resumed),
        cmocka_unit_test(to_stdout),
        cmocka_unit_test(floats_read_back),
        cmocka_unit_test(exports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
