/* Uses nothing but the public header and the shared library. */
#include "tests/cm.h"

#include <pthread.h>

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

#define CALLERS 8
#define CALLS 10

typedef struct caller {
    pthread_t thread;
    mr_embedder *embedder;
    mr_status status;
    float vector[512];
} caller;

static void *caller_main(void *argument)
{
    caller *self = argument;
    const mr_str text = { "a river", 7 };
    for (int i = 0; i < CALLS && self->status == MR_OK; i++) self->status = mr_embedder_run(self->embedder, &text, 1, self->vector, NULL, NULL);
    return NULL;
}

/* Two embedders of one model, a third with another pooling, called from many threads. */
static void runtime_of_many_callers(void **state)
{
    (void)state;
    static const char *const settings[] = { "pool.shutdown_timeout=2s", "resources.memory=1G" };
    static caller callers[CALLERS];
    mr_error error;
    mr_runtime *runtime;
    mr_embedder *embedders[3];
    assert_int_equal(mr_runtime_open(settings, 2, &runtime, &error), MR_OK);
    for (int i = 0; i < 3; i++) {
        const mr_embedder_options options = { .model = MODEL, .pooling = i == 2 ? "cls" : NULL, .threads = 1, .runtime = runtime };
        assert_int_equal(mr_embedder_open(&options, &embedders[i], &error), MR_OK);
    }
    assert_in_range(mr_embedder_dimension(embedders[0]), 1, 512);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller){ .embedder = embedders[i % 3] };
        assert_int_equal(pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].status, MR_OK);
    }
    size_t bytes = mr_embedder_dimension(embedders[0]) * sizeof(float);
    for (int i = 3; i < CALLERS; i++) assert_memory_equal(callers[i].vector, callers[i % 3].vector, bytes);
    assert_memory_equal(callers[0].vector, callers[1].vector, bytes);
    assert_memory_not_equal(callers[0].vector, callers[2].vector, bytes);
    char *metrics;
    assert_int_equal(mr_runtime_metrics(runtime, &metrics, &error), MR_OK);
    assert_non_null(strstr(metrics, "millrace_requests_total{model=\"" MODEL "?threads=1\",capability=\"text_embedding\"} 60\n"));
    assert_non_null(strstr(metrics, "millrace_requests_total{model=\"" MODEL "?pooling=cls&threads=1\",capability=\"text_embedding\"} 20\n"));
    free(metrics);
    mr_runtime_begin_shutdown(runtime);
    const mr_str text = { "late", 4 };
    assert_int_equal(mr_embedder_run(embedders[0], &text, 1, callers[0].vector, NULL, &error), MR_SHUTTING_DOWN);
    mr_shutdown_report report;
    assert_int_equal(mr_runtime_shutdown(runtime, &report), MR_OK);
    assert_int_equal(report.dropped, 0);
    for (int i = 0; i < 3; i++) mr_embedder_close(embedders[i]);
    mr_runtime_close(runtime);
}

static const char *const hurried[] = { "pool.request_timeout=1ms", "pool.worker_ready_timeout=10s" };

/* The first call to a model, which has no worker then. */
static mr_status call_without_waiting(void)
{
    mr_error error;
    mr_runtime *runtime;
    mr_embedder *hasty;
    static float vector[512];
    assert_int_equal(mr_runtime_open(hurried, 2, &runtime, &error), MR_OK);
    const mr_embedder_options options = { .model = MODEL, .threads = 1, .runtime = runtime, .no_wait = true };
    assert_int_equal(mr_embedder_open(&options, &hasty, &error), MR_OK);
    mr_status status = mr_embedder_run(hasty, &(mr_str){ "a", 1 }, 1, vector, NULL, &error);
    mr_embedder_close(hasty);
    mr_runtime_close(runtime);
    return status;
}

static void a_call_that_does_not_wait_is_told_so(void **state)
{
    (void)state;
    mr_status status = MR_OK;
    for (int i = 0; i < 20 && status != MR_QUEUE_FULL; i++) status = call_without_waiting(); /* on a busy machine a load may be over before the call looks */
    assert_int_equal(status, MR_QUEUE_FULL);
}

static void a_call_out_of_time_is_answered_before_its_run_ends(void **state)
{
    (void)state;
    mr_error error;
    mr_runtime *runtime;
    mr_embedder *urgent;
    static float vectors[512 * 512];
    static mr_str many[512];
    assert_int_equal(mr_runtime_open(hurried, 2, &runtime, &error), MR_OK);
    const mr_embedder_options options = { .model = MODEL, .threads = 1, .runtime = runtime, .urgent = true };
    assert_int_equal(mr_embedder_open(&options, &urgent, &error), MR_OK);
    for (size_t i = 0; i < 512; i++) many[i] = (mr_str){ "a river and a stone under the green tower of the market", 55 };
    assert_int_equal(mr_embedder_run(urgent, many, 512, vectors, NULL, &error), MR_TIMEOUT); /* cold: not within a millisecond */
    mr_embedder_close(urgent);
    mr_runtime_close(runtime);
}

static void runtime_settings(void **state)
{
    (void)state;
    static const struct { const char *setting, *text; } bad[] = {
        { "pool.shutdown_timeot=2s", "did you mean \"pool.shutdown_timeout\"?" },
        { "pool.shutdown_timeout=2", "write 250ms, 30s" },
        { "embedding.dim=3", "a runtime takes" },
        { "resources.memory=lots", "8G" },
        { "resources.metrics=/no/such/folder/x.prom", "/no/such/folder/x.prom" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mr_error error;
        mr_runtime *runtime;
        assert_int_not_equal(mr_runtime_open(&bad[i].setting, 1, &runtime, &error), MR_OK);
        assert_non_null(strstr(error.text, bad[i].text));
    }
    mr_runtime_close(NULL);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedder), cmocka_unit_test(runtime_of_many_callers), cmocka_unit_test(a_call_that_does_not_wait_is_told_so),
        cmocka_unit_test(a_call_out_of_time_is_answered_before_its_run_ends), cmocka_unit_test(runtime_settings), cmocka_unit_test(batch_job),
    };
    return RUN_TESTS(tests);
}
