/* A job whose workers die: what was running runs once more, then its records fail; the others are written.
 *
 * The job knows one model implementation; the linker's --wrap puts one in front of it whose chosen runs kill their worker. */
#include <stdatomic.h>

#include "cm.h"

#include "core/str.h"
#include "embed/text_embedder.h"
#include "io/embedding_file.h"
#include "kernels/kernels.h"
#include "pipelines/job_run.h"
#include "registry/registry.h"

#define ROWS 400

static mr_model_vtable deadly;
static atomic_size_t runs;
static size_t first_deadly, deadly_runs; /* of the runs, in their order */

static mr_status run_or_die(void *worker, const void *request, void *response, mr_error *error)
{
    size_t run = atomic_fetch_add(&runs, 1);
    if (run >= first_deadly && run - first_deadly < deadly_runs) return mr_error_set(error, MR_WORKER_DIED, "run %zu was deadly", run);
    return mr_text_embedder.run_batch(worker, request, response, error);
}

mr_status __real_mr_registry_add(mr_registry *registry, const mr_registry_entry *entry, mr_error *error);
mr_status __wrap_mr_registry_add(mr_registry *registry, const mr_registry_entry *entry, mr_error *error);

mr_status __wrap_mr_registry_add(mr_registry *registry, const mr_registry_entry *entry, mr_error *error)
{
    mr_registry_entry changed = *entry;
    deadly = *entry->vtable;
    deadly.run_batch = run_or_die;
    changed.vtable = &deadly;
    return __real_mr_registry_add(registry, &changed, error);
}

static void write_corpus(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < ROWS; i++) fprintf(file, "{\"id\":\"r%d\",\"text\":\"river stone %d\"}\n", i, i % 7);
    fclose(file);
}

/* Batches of at most 64 tokens on one worker, so that the order of the runs is theirs. */
static mr_status run_job(const char *output, size_t from, size_t count, mr_job_progress *progress, mr_error *error)
{
    const char *const settings[] = { "model=" MR_TEST_DATA "/golden/minilm", "input.paths=" MR_TEST_TMP "/deaths.jsonl", output,
                                     "resources.threads=1", "resources.batch_tokens=64" };
    mr_job job;
    mr_job_plan plan;
    mr_job_run *run;
    bool finished;
    atomic_store(&runs, 0);
    first_deadly = from;
    deadly_runs = count;
    mr_job_init(&job);
    job.kind = MR_JOB_EMBED;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) assert_int_equal(mr_job_set(&job, settings[i], error), MR_OK);
    assert_int_equal(mr_job_check(&job, error), MR_OK);
    assert_int_equal(mr_job_plan_make(&job, &plan, error), MR_OK);
    assert_int_equal(mr_job_run_start(&job, &plan, &run, &finished, error), MR_OK);
    assert_false(finished);
    mr_status status = mr_job_run_finish(run, progress, error);
    mr_job_plan_fini(&plan);
    mr_job_fini(&job);
    return status;
}

static void one_death_costs_nothing(void **state)
{
    (void)state;
    mr_error error = { 0 };
    mr_job_progress progress;
    assert_int_equal(run_job("output.path=" MR_TEST_TMP "/one-death.h5", 3, 1, &progress, &error), MR_OK);
    assert_int_equal(progress.ok, ROWS);
    assert_int_equal(progress.failed, 0);
}

static void two_deaths_cost_the_records_of_one_batch(void **state)
{
    (void)state;
    mr_error error = { 0 };
    mr_job_progress progress;
    mr_embedding_file *file;
    mr_embedding_row row;
    assert_int_equal(run_job("output.path=" MR_TEST_TMP "/two-deaths.h5", 0, 2, &progress, &error), MR_RECORDS_FAILED);
    assert_in_range(progress.failed, 1, 64);
    assert_int_equal(progress.ok + progress.failed, ROWS);
    assert_int_equal(mr_embedding_file_open(MR_TEST_TMP "/two-deaths.h5", &file, &error), MR_OK);
    size_t failed = 0;
    for (uint64_t i = 0; i < ROWS; i++) {
        assert_int_equal(mr_embedding_file_row(file, i, &row, &error), MR_OK);
        if (row.status != MR_ROW_FAILED) continue;
        char *reason = mr_strndup(row.error.data, row.error.length);
        assert_string_equal(reason, "WORKER_DIED: run 1 was deadly");
        free(reason);
        assert_int_equal(i, failed); /* the first batch */
        failed++;
    }
    mr_embedding_file_close(file);
    assert_int_equal(failed, progress.failed);
}

/* The breaker ends a job whose every run is deadly: five of them, not one a batch. */
static void a_deadly_model_ends_the_job(void **state)
{
    (void)state;
    mr_error error = { 0 };
    mr_job_progress progress;
    assert_int_equal(run_job("output.path=" MR_TEST_TMP "/deaths.h5", 0, SIZE_MAX, &progress, &error), MR_CIRCUIT_OPEN);
    assert_non_null(strstr(error.text, "deadly"));
    assert_int_equal(atomic_load(&runs), 5);
    assert_int_equal(progress.ok, 0);
}

int main(void)
{
    mr_error error;
    if (mr_kernels_init(NULL, &error) != MR_OK) return 1;
    if (system("rm -rf " MR_TEST_TMP "/*death*.h5*") != 0) return 1; /* of an earlier run */
    write_corpus(MR_TEST_TMP "/deaths.jsonl");
    const struct CMUnitTest tests[] = { cmocka_unit_test(one_death_costs_nothing), cmocka_unit_test(two_deaths_cost_the_records_of_one_batch),
                                        cmocka_unit_test(a_deadly_model_ends_the_job) };
    return RUN_TESTS(tests);
}
