/* docs/pool-rules.md, section 6: shutdown. */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "pool_fixture.h"

#define TEXT MR_CAPABILITY_TEXT_EMBEDDING

typedef struct closing {
    pthread_t thread;
    mr_pools *pools;
    mr_shutdown_report report;
    mr_status status;
} closing;

static void *closing_main(void *argument)
{
    closing *self = argument;
    self->status = mr_pools_shutdown(self->pools, &self->report);
    return NULL;
}

static void close_later(closing *self, mr_pools *pools)
{
    *self = (closing){ .pools = pools };
    pthread_create(&self->thread, NULL, closing_main, self);
}

static void requests_of_all_five_pools_are_drained_in_one_sequence(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fakes[MR_CAPABILITY_COUNT];
    mr_pool_model *models[MR_CAPABILITY_COUNT];
    static fake_request requests[MR_CAPABILITY_COUNT][4];
    for (int i = 0; i < MR_CAPABILITY_COUNT; i++) {
        fakes[i] = fake_new();
        models[i] = fixture_add(&f, fakes[i], (mr_capability)i, mr_capability_text((mr_capability)i), 1);
        fake_gate(fakes[i], &fakes[i]->run_closed, true);
        for (size_t k = 0; k < 4; k++) {
            fake_request_init(&requests[i][k], (mr_capability)i, 1, 1);
            submit(models[i], &requests[i][k]);
        }
        fake_await(fakes[i], &fakes[i]->runs, 1);
    }
    closing at;
    close_later(&at, f.pools);
    fixture_await_waiters(&f, 2); /* draining */
    mr_error error = { 0 };
    for (int i = 0; i < MR_CAPABILITY_COUNT; i++) assert_int_equal(call_once(models[i], (mr_capability)i, &error), MR_SHUTTING_DOWN);
    mr_clock_virtual_advance(f.clock, 2 * SECOND + SECOND / 2);
    for (int i = MR_CAPABILITY_COUNT - 1; i >= 0; i--) fake_gate(fakes[i], &fakes[i]->run_closed, false);
    pthread_join(at.thread, NULL);
    assert_int_equal(at.status, MR_OK);
    assert_int_equal(at.report.drained, MR_CAPABILITY_COUNT * 4);
    assert_int_equal(at.report.dropped, 0);
    for (int i = 0; i < MR_CAPABILITY_COUNT; i++) {
        for (size_t k = 0; k < 4; k++) {
            assert_int_equal(fake_request_await(&requests[i][k]), MR_OK);
            fake_request_fini(&requests[i][k]);
        }
        assert_int_equal(workers_of(models[i]), 0);
        assert_int_equal(fake_read(fakes[i], &fakes[i]->closes), 1);
    }
    assert_true(log_has("graceful shutdown complete (2.5s, 20 requests drained)"));
    fixture_end(&f);
}

static void an_idle_shutdown_takes_no_time(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.real_clock = true;
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 2);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    mr_shutdown_report report;
    assert_int_equal(mr_pools_shutdown(f.pools, &report), MR_OK);
    assert_true(report.seconds < 4); /* the timeout is 5 */
    assert_int_equal(call_once(model, TEXT, NULL), MR_SHUTTING_DOWN);
    assert_int_equal(mr_pool_pin(model, 1, NULL), MR_SHUTTING_DOWN);
    assert_int_equal(mr_pools_shutdown(f.pools, &report), MR_OK); /* again: the same report */
    assert_true(log_has("s, 0 requests drained)"));
    fixture_end(&f);
}

static void the_timeout_drops_and_counts_what_is_queued(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    fake_request requests[4];
    fake_gate(fake, &fake->run_closed, true);
    for (size_t i = 0; i < 4; i++) {
        fake_request_init(&requests[i], TEXT, 1, 1);
        submit(model, &requests[i]);
    }
    fake_await(fake, &fake->runs, 1);
    closing at;
    close_later(&at, f.pools);
    fixture_advance(&f, 5 * SECOND - 1, 1);
    assert_false(fake_request_ended(&requests[3]));
    mr_clock_virtual_advance(f.clock, 1);
    for (size_t i = 1; i < 4; i++) assert_int_equal(fake_request_await(&requests[i]), MR_SHUTTING_DOWN);
    assert_false(fake_request_ended(&requests[0])); /* in flight: it has the grace of a second */
    fake_gate(fake, &fake->run_closed, false);
    assert_int_equal(fake_request_await(&requests[0]), MR_OK);
    pthread_join(at.thread, NULL);
    assert_int_equal(at.status, MR_TIMEOUT);
    assert_int_equal(at.report.dropped, 3);
    assert_int_equal(at.report.stuck, 0);
    mr_model_metrics metrics = metrics_of(model);
    assert_int_equal(metrics.requests_dropped, 3);
    assert_int_equal(metrics.finished[MR_SHUTTING_DOWN], 3);
    assert_int_equal(metrics.pending, 0);
    assert_true(log_has("3 dropped"));
    for (size_t i = 0; i < 4; i++) fake_request_fini(&requests[i]);
    fixture_end(&f);
}

static void waiting_submitters_are_sent_away(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    fake_gate(fake, &fake->load_closed, true);
    crowd *all = crowd_start(model, TEXT, 10);
    fixture_await_waiters(&f, 11);
    closing at;
    close_later(&at, f.pools);
    assert_int_equal(crowd_end(all, MR_SHUTTING_DOWN, NULL), 10);
    fake_gate(fake, &fake->load_closed, false);
    pthread_join(at.thread, NULL);
    assert_int_equal(at.status, MR_OK);
    fixture_end(&f);
}

static void never_load(void *context, const mr_load_request *request, mr_load *load)
{
    (void)request;
    *(mr_load **)context = load;
}

static void a_load_that_hangs_does_not_hold_up_the_shutdown(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.real_clock = true;
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_load *hung = NULL;
    mr_pool_model *model;
    mr_pool_model_spec spec = { .key = "a/b", .path = fake->path, .vtable = fake_vtable(TEXT), .options = { .threads_per_worker = 1 },
                                .loader = { never_load, &hung }, .max_workers = 2 };
    assert_int_equal(mr_pools_add_model(f.pools, &spec, &model, NULL), MR_OK);
    assert_int_equal(mr_pool_pin(model, 2, NULL), MR_OK);
    await_workers(model, MR_WORKER_LOADING, 2);
    mr_shutdown_report report;
    assert_int_equal(mr_pools_shutdown(f.pools, &report), MR_OK);
    assert_true(report.seconds < 4); /* the timeout is 5 */
    mr_error late = { MR_NETWORK, "too late" };
    mr_load_complete(hung, MR_NETWORK, NULL, &late); /* may come at any time later */
    fixture_end(&f);
}

static void a_worker_that_will_not_stop_is_counted(void **state)
{
    (void)state;
    /* What it uses stays allocated, so this happens in a child that simply exits. */
    pid_t child = fork();
    if (child == 0) {
        fixture f = fixture_default();
        f.real_clock = true;
        f.settings.shutdown_timeout = SECOND / 10;
        fixture_start(&f);
        fake_model *fake = fake_new();
        mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
        static fake_request requests[3];
        fake_gate(fake, &fake->run_closed, true);
        for (size_t i = 0; i < 3; i++) {
            fake_request_init(&requests[i], TEXT, 1, 1);
            submit(model, &requests[i]);
        }
        fake_await(fake, &fake->runs, 1);
        mr_shutdown_report report;
        mr_status status = mr_pools_shutdown(f.pools, &report);
        bool right = status == MR_TIMEOUT && report.dropped == 2 && report.stuck == 1 && report.seconds < 10 && log_has("1 workers still running");
        mr_pools_destroy(f.pools); /* returns at once */
        _exit(right ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
}

static void evicting_workers_finish_what_they_hold(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.settings.shutdown_timeout = 0; /* everybody is asked to leave at once */
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    fake_request request;
    fake_request_init(&request, TEXT, 1, 1);
    fake_gate(fake, &fake->run_closed, true);
    submit(model, &request);
    fake_await(fake, &fake->runs, 1);
    closing at;
    close_later(&at, f.pools);
    fixture_await_waiters(&f, 2);
    assert_int_equal(metrics_of(model).workers[MR_WORKER_EVICTING], 1);
    assert_false(fake_request_ended(&request));
    fake_gate(fake, &fake->run_closed, false);
    assert_int_equal(fake_request_await(&request), MR_OK);
    pthread_join(at.thread, NULL);
    assert_int_equal(at.report.stuck, 0);
    fake_request_fini(&request);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* Those that fork come first: the child inherits one thread only. */
        cmocka_unit_test(a_worker_that_will_not_stop_is_counted),
        cmocka_unit_test(requests_of_all_five_pools_are_drained_in_one_sequence),
        cmocka_unit_test(an_idle_shutdown_takes_no_time),
        cmocka_unit_test(the_timeout_drops_and_counts_what_is_queued),
        cmocka_unit_test(waiting_submitters_are_sent_away),
        cmocka_unit_test(a_load_that_hangs_does_not_hold_up_the_shutdown),
        cmocka_unit_test(evicting_workers_finish_what_they_hold),
    };
    return RUN_TESTS(tests);
}
