#include "tests/cm.h"

#include "pipelines/job.h"

static mr_error error;

static mr_status parse(mr_job *job, const char *text)
{
    mr_job_init(job);
    return mr_job_parse(job, text, strlen(text), "job.yaml", &error);
}

static void a_whole_job_is_read(void **state)
{
    (void)state;
    mr_job job;
    assert_int_equal(parse(&job, "version: 1\njob: embed\nmodel: org/name\ninput:\n  paths: [a/*.jsonl, b]\n  id_field: key\n"
                                 "output: {path: out.h5, dtype: f16}\nprecision: auto\nembedding: {prompt: null, normalize: no, dim: 128}\n"
                                 "resources: {threads: auto, memory: 80%}\non_error: {policy: fail, max_failed: 1%}\n"), MR_OK);
    assert_int_equal(mr_job_check(&job, &error), MR_OK);
    assert_int_equal(job.kind, MR_JOB_EMBED);
    assert_int_equal(job.paths.count, 2);
    assert_string_equal(job.paths.items[1], "b");
    assert_string_equal(job.id_field, "key");
    assert_null(job.prompt_name);
    assert_int_equal(job.normalize, 0);
    assert_int_equal(job.dim, 128);
    assert_int_equal(job.threads, 0);
    assert_int_equal(job.output_dtype, 1);
    assert_int_equal(job.on_error, MR_ON_ERROR_FAIL);
    assert_int_equal(mr_job_set(&job, "embedding.dim=64", &error), MR_OK);
    assert_int_equal(job.dim, 64);
    assert_int_equal(mr_job_set(&job, "input.paths=c", &error), MR_OK);
    assert_int_equal(job.paths.count, 1);
    char *identity = mr_job_identity_text(&job), *whole = mr_job_text(&job);
    assert_non_null(strstr(identity, "embedding.dim: 64\n"));
    assert_null(strstr(identity, "resources.memory"));
    assert_non_null(strstr(whole, "resources.memory: 80%\n"));
    mr_job again;
    mr_job_init(&again);
    assert_int_equal(mr_job_set(&job, "embedding.prompt_text=two\nlines: \"x\"", &error), MR_OK);
    free(whole);
    whole = mr_job_text(&job);
    assert_int_equal(mr_job_read_text(&again, whole, &error), MR_OK);
    assert_string_equal(again.prompt_text, "two\nlines: \"x\"");
    char *twice = mr_job_text(&again);
    assert_string_equal(twice, whole);
    assert_int_equal(mr_job_read_text(&again, "nonsense: 1\n", &error), MR_CONFIG);
    mr_job_fini(&again);
    free(twice);
    free(identity);
    free(whole);
    mr_job_fini(&job);
}

static void the_pools_are_set_by_name(void **state)
{
    (void)state;
    mr_job job, again;
    assert_int_equal(parse(&job, "pool: {shutdown_timeout: 250ms, breaker_failures: 7}\n"), MR_OK);
    assert_int_equal(job.pool.shutdown_timeout, MR_CLOCK_SECOND / 4);
    assert_int_equal(job.pool.breaker_failures, 7);
    assert_int_equal(job.pool.request_timeout, MR_CLOCK_FOREVER);
    assert_int_equal(mr_job_set(&job, "pool.request_timeout=2min", &error), MR_OK);
    assert_int_equal(job.pool.request_timeout, 120 * MR_CLOCK_SECOND);
    char *text = mr_job_text(&job); /* what was given, and only that */
    const char *pool = strstr(text, "pool.");
    assert_non_null(pool);
    assert_string_equal(pool, "pool.request_timeout: 2min\npool.shutdown_timeout: 250ms\npool.breaker_failures: 7\n");
    mr_job_init(&again);
    char *nothing = mr_job_text(&again);
    assert_true(!nothing || *nothing == '\0');
    free(nothing);
    assert_int_equal(mr_job_read_text(&again, text, &error), MR_OK);
    char *same = mr_job_text(&again);
    assert_string_equal(strstr(same, "pool."), pool);
    free(same);
    free(text);
    assert_int_equal(parse(&again, "pool:\n  request_timeot: 1s\n"), MR_CONFIG);
    assert_non_null(strstr(error.text, "job.yaml:2:3"));
    assert_non_null(strstr(error.text, "did you mean \"pool.request_timeout\"?"));
    assert_int_equal(parse(&again, "pool:\n  request_timeout: 5\n"), MR_CONFIG);
    assert_non_null(strstr(error.text, "job.yaml:2:20"));
    assert_non_null(strstr(error.text, "30s"));
    assert_int_equal(mr_job_set(&again, "pool.queue_capacity=many", &error), MR_CONFIG);
    assert_non_null(strstr(error.text, "pool.queue_capacity: \"many\""));
    mr_job_fini(&again);
    mr_job_fini(&job);
}

static void errors_name_the_place(void **state)
{
    (void)state;
    static const struct { const char *text, *expected; } cases[] = {
        { "input:\n  paths: [a]\n  text_feild: x\n", "job.yaml:3:3: unknown key \"input.text_feild\"; did you mean \"input.text_field\"?" },
        { "model: [a]\n", "job.yaml:1:8: \"model\" must be a single value" },
        { "embedding: {dim: -3}\n", "job.yaml:1:18: embedding.dim: \"-3\" is not a whole number from 1 to 4294967295" },
        { "embedding:\n  normalize: maybe\n", "job.yaml:2:14: embedding.normalize: \"maybe\" is neither true nor false" },
        { "precision: f64\n", "job.yaml:1:12: precision: \"f64\" is not one of auto, f32, bf16, int8" },
        { "model: a\nmodel: b\n", "job.yaml:2:1: key \"model\" appears twice" },
        { "input: 3\n", "job.yaml:1:8: expected \"key: value\" lines in input." },
        { "a: [b\n", "job.yaml:2:1: not valid YAML: did not find expected ',' or ']'" },
        { "", "job.yaml: the file is empty" },
        { "model: a\n---\nmodel: b\n", "job.yaml: more than one document" },
        { "version: 2\n", "job.yaml:1:1: job file version 2 is newer than this program understands (1)" },
        { "- a\n", "job.yaml:1:1: expected \"key: value\" lines" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_job job;
        assert_int_equal(parse(&job, cases[i].text), MR_CONFIG);
        assert_string_equal(error.text, cases[i].expected);
        mr_job_fini(&job);
    }
}

static void impossible_jobs_are_refused(void **state)
{
    (void)state;
    static const char *const extras[] = { "resources: {memory: 120%}\n", "resources: {memory: lots}\n", "on_error: {max_failed: x}\n", "embedding: {prompt: a, prompt_text: b}\n" };
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
        mr_job job;
        char text[256];
        snprintf(text, sizeof text, "job: embed\nmodel: m\ninput: {paths: [a]}\noutput: {path: o}\n%s", extras[i]);
        assert_int_equal(parse(&job, text), MR_OK);
        assert_int_equal(mr_job_check(&job, &error), MR_CONFIG);
        mr_job_fini(&job);
    }
    mr_job job;
    mr_job_init(&job);
    assert_int_equal(mr_job_check(&job, &error), MR_CONFIG);
    assert_int_equal(mr_job_set(&job, "nonsense", &error), MR_CONFIG);
    assert_int_equal(mr_job_set(&job, "precison=f32", &error), MR_CONFIG);
    assert_string_equal(error.text, "--set: unknown key \"precison\"; did you mean \"precision\"?");
    mr_job_fini(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_whole_job_is_read), cmocka_unit_test(the_pools_are_set_by_name), cmocka_unit_test(errors_name_the_place), cmocka_unit_test(impossible_jobs_are_refused) };
    return RUN_TESTS(tests);
}
