/* Uses nothing but the public header and the shared library. */
#include "tests/cm.h"

#include "millrace.h"

#define MODEL MR_TEST_DATA "/golden/minilm"

static void embedder(void **state)
{
    (void)state;
    mr_error error;
    mr_embedder *embedder;
    const mr_embedder_options options = { .model = MODEL, .threads = 1 };
    assert_int_equal(mr_embedder_open(&options, &embedder, &error), MR_OK);
    size_t dimension = mr_embedder_dimension(embedder);
    const mr_str texts[] = { { "one", 3 }, { "\xff", 1 }, { "one", 3 } };
    float *vectors = calloc(3 * dimension, sizeof *vectors);
    mr_status statuses[3];
    assert_int_equal(mr_embedder_run(embedder, texts, 3, vectors, statuses, &error), MR_OK);
    assert_int_equal(statuses[0], MR_OK);
    assert_int_equal(statuses[1], MR_BAD_RECORD);
    assert_memory_equal(vectors, vectors + 2 * dimension, dimension * sizeof *vectors);
    assert_int_equal(mr_embedder_run(embedder, texts, 3, vectors, NULL, &error), MR_BAD_RECORD);
    assert_int_equal(mr_embedder_run(embedder, texts, 0, vectors, NULL, &error), MR_OK);
    free(vectors);
    mr_embedder_close(embedder);
    const mr_embedder_options wrong = { .model = MR_TEST_DATA "/golden" };
    assert_int_not_equal(mr_embedder_open(&wrong, &embedder, &error), MR_OK);
    assert_int_not_equal(strlen(error.text), 0);
}

static void batch_job(void **state)
{
    (void)state;
    mr_error error;
    mr_batch_job *job;
    mr_batch_job_counts counts;
    FILE *file = fopen(MR_TEST_TMP "/api.jsonl", "w");
    fputs("{\"id\":1,\"text\":\"one\"}\n{\"id\":2,\"text\":\"two\"}\nnonsense\n", file);
    fclose(file);
    assert_int_equal(mr_batch_job_open(NULL, &job, &error), MR_OK);
    assert_int_equal(mr_batch_job_set(job, "model=" MODEL, &error), MR_OK);
    assert_int_equal(mr_batch_job_set(job, "input.paths=" MR_TEST_TMP "/api.jsonl", &error), MR_OK);
    assert_int_equal(mr_batch_job_set(job, "output.path=" MR_TEST_TMP "/api.h5", &error), MR_OK);
    assert_int_equal(mr_batch_job_set(job, "output.overwrite=true", &error), MR_OK);
    assert_int_equal(mr_batch_job_run(job, &counts, &error), MR_RECORDS_FAILED);
    assert_int_equal(counts.ok, 2);
    assert_int_equal(counts.failed, 1);
    assert_int_equal(mr_batch_job_set(job, "output.pth=x", &error), MR_CONFIG);
    mr_batch_job_close(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(embedder), cmocka_unit_test(batch_job) };
    return RUN_TESTS(tests);
}
