/* docs/pool-rules.md, section 3: routing, queues, timeouts. */
#include <time.h>

#include "pool_fixture.h"
#include "registry/pool/balance.h"

#define TEXT MR_CAPABILITY_TEXT_EMBEDDING
#define MANY 128

static mr_status try_one(mr_pool_model *model, fake_request *request, mr_lane lane)
{
    mr_error error = { 0 };
    mr_call call = fake_call(request);
    call.lane = lane;
    return mr_pool_try_submit(model, &call, &error);
}

/* One worker, held in the run of requests[0]. */
static void hold_one(mr_pool_model *model, fake_model *fake, mr_capability capability, fake_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) fake_request_init(&requests[i], capability, (int32_t)i + 1, 1);
    fake_gate(fake, &fake->run_closed, true);
    submit(model, &requests[0]);
    fake_await(fake, &fake->runs, 1);
}

static void release_all(fake_model *fake, fake_request *requests, size_t count)
{
    fake_gate(fake, &fake->run_closed, false);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fake_request_await(&requests[i]), MR_OK);
        fake_request_fini(&requests[i]);
    }
}

static void queues_are_bounded_by_capability(void **state)
{
    (void)state;
    static const size_t capacities[MR_CAPABILITY_COUNT] = { [MR_CAPABILITY_TEXT_EMBEDDING] = 100, [MR_CAPABILITY_TEXT_TO_TEXT] = 100,
                                                            [MR_CAPABILITY_VISION] = 50, [MR_CAPABILITY_IMAGE_EMBEDDING] = 50,
                                                            [MR_CAPABILITY_TEXT_TO_IMAGE] = 20 };
    fixture f = fixture_default();
    fixture_start(&f);
    static fake_request requests[MANY];
    for (int i = 0; i < MR_CAPABILITY_COUNT; i++) {
        fake_model *fake = fake_new();
        mr_pool_model *model = fixture_add(&f, fake, (mr_capability)i, mr_capability_text((mr_capability)i), 1);
        hold_one(model, fake, (mr_capability)i, requests, 1 + capacities[i] + 1);
        for (size_t k = 1; k <= capacities[i]; k++) assert_int_equal(try_one(model, &requests[k], MR_LANE_INTERACTIVE), MR_OK);
        assert_int_equal(try_one(model, &requests[capacities[i] + 1], MR_LANE_INTERACTIVE), MR_QUEUE_FULL);
        assert_int_equal(metrics_of(model).rejected_full, 1);
        assert_int_equal(metrics_of(model).queued, capacities[i]);
        fake_request_fini(&requests[capacities[i] + 1]);
        release_all(fake, requests, 1 + capacities[i]);
        assert_int_equal(metrics_of(model).pending, 0);
    }
    fixture_end(&f);
}

static void batch_jobs_leave_room_for_others(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    static fake_request requests[MANY];
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    hold_one(model, fake, TEXT, requests, 53);
    for (size_t i = 1; i <= 50; i++) assert_int_equal(try_one(model, &requests[i], MR_LANE_BATCH), MR_OK);
    assert_int_equal(try_one(model, &requests[51], MR_LANE_BATCH), MR_QUEUE_FULL);
    assert_int_equal(try_one(model, &requests[51], MR_LANE_INTERACTIVE), MR_OK);
    fake_request_fini(&requests[52]);
    release_all(fake, requests, 52);
    fixture_end(&f);
}

static void the_priority_lane_is_served_first(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_request requests[5];
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    hold_one(model, fake, TEXT, requests, 5);
    for (size_t i = 1; i < 4; i++) assert_int_equal(try_one(model, &requests[i], MR_LANE_INTERACTIVE), MR_OK);
    assert_int_equal(try_one(model, &requests[4], MR_LANE_PRIORITY), MR_OK);
    fake_gate(fake, &fake->run_closed, false);
    for (size_t i = 0; i < 5; i++) assert_int_equal(fake_request_await(&requests[i]), MR_OK);
    assert_int_equal(requests[4].order, requests[0].order + 1);
    for (size_t i = 1; i < 4; i++) assert_int_equal(requests[i].order, requests[0].order + 1 + i); /* the others in turn */
    for (size_t i = 0; i < 5; i++) fake_request_fini(&requests[i]);
    fixture_end(&f);
}

typedef struct late {
    mr_pool_model *model;
    mr_call call;
    mr_status status;
} late;

static void *submit_main(void *argument)
{
    late *self = argument;
    self->status = mr_pool_submit(self->model, &self->call, NULL);
    return NULL;
}

static void a_full_queue_makes_submit_wait(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.settings.queue_capacity = 2;
    fixture_start(&f);
    fake_request requests[4];
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    hold_one(model, fake, TEXT, requests, 4);
    submit(model, &requests[1]);
    submit(model, &requests[2]);
    late waiting = { .model = model, .call = fake_call(&requests[3]) };
    waiting.call.timeout_ns = 100 * SECOND; /* finite, so that its wait can be seen */
    pthread_t thread;
    pthread_create(&thread, NULL, submit_main, &waiting);
    fixture_await_waiters(&f, 2);
    assert_int_equal(metrics_of(model).queued, 2);
    fake_gate(fake, &fake->run_closed, false);
    pthread_join(thread, NULL);
    assert_int_equal(waiting.status, MR_OK);
    release_all(fake, requests, 4);
    fixture_end(&f);
}

static void waiting_for_room_is_part_of_the_request_time(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.settings.queue_capacity = 1;
    fixture_start(&f);
    fake_request requests[3];
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    hold_one(model, fake, TEXT, requests, 3);
    submit(model, &requests[1]);
    late waiting = { .model = model, .call = fake_call(&requests[2]) };
    waiting.call.timeout_ns = 0; /* the default */
    pthread_t thread;
    pthread_create(&thread, NULL, submit_main, &waiting);
    fixture_advance(&f, 30 * SECOND - 1, 1);
    assert_int_equal(metrics_of(model).timeouts, 0);
    mr_clock_virtual_advance(f.clock, 1);
    pthread_join(thread, NULL);
    assert_int_equal(waiting.status, MR_TIMEOUT);
    assert_int_equal(requests[2].done, 0); /* refused by submit: done is not called */
    assert_int_equal(metrics_of(model).timeouts, 1);
    fake_request_fini(&requests[2]);
    release_all(fake, requests, 2);
    fixture_end(&f);
}

static void a_queued_request_out_of_time_is_cancelled_not_run(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_request requests[3];
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    hold_one(model, fake, TEXT, requests, 3);
    for (size_t i = 1; i < 3; i++) {
        mr_call call = fake_call(&requests[i]);
        call.timeout_ns = i == 1 ? 0 : 40 * SECOND; /* the default is 30 s */
        assert_int_equal(mr_pool_submit(model, &call, NULL), MR_OK);
    }
    fixture_advance(&f, 30 * SECOND - 1, 0);
    assert_false(fake_request_ended(&requests[1]));
    fixture_advance(&f, 1, 0);
    assert_int_equal(fake_request_await(&requests[1]), MR_TIMEOUT);
    assert_false(fake_request_ended(&requests[2]));
    assert_int_equal(metrics_of(model).pending, 2);
    fake_gate(fake, &fake->run_closed, false);
    assert_int_equal(fake_request_await(&requests[0]), MR_OK);
    assert_int_equal(fake_request_await(&requests[2]), MR_OK);
    await_workers(model, MR_WORKER_IDLE, 1);
    assert_int_equal(fake_read(fake, &fake->runs), 2); /* the cancelled one never ran */
    assert_int_equal(metrics_of(model).timeouts, 1);
    assert_int_equal(metrics_of(model).pending, 0);
    for (size_t i = 0; i < 3; i++) fake_request_fini(&requests[i]);
    fixture_end(&f);
}

static void on_released(void *context)
{
    fake_request *request = context;
    pthread_mutex_lock(&request->lock);
    request->released = request->done; /* after done, and once */
    pthread_cond_broadcast(&request->changed);
    pthread_mutex_unlock(&request->lock);
}

static void a_running_request_is_answered_on_time_when_its_memory_may_stay(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_request request;
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    fake_gate(fake, &fake->run_closed, true);
    fake_request_init(&request, TEXT, 1, 1);
    mr_call call = fake_call(&request);
    call.timeout_ns = SECOND;
    call.released = on_released;
    assert_int_equal(mr_pool_submit(model, &call, NULL), MR_OK);
    fake_await(fake, &fake->runs, 1);
    fixture_advance(&f, SECOND, 0);
    assert_int_equal(fake_request_await(&request), MR_TIMEOUT); /* while the run goes on */
    assert_int_equal(request.released, 0);
    assert_int_equal(metrics_of(model).pending, 1); /* the worker is still busy with it */
    fake_gate(fake, &fake->run_closed, false);
    await_pending(model, 0);
    await_workers(model, MR_WORKER_IDLE, 1);
    assert_int_equal(request.released, 1);
    assert_int_equal(request.done, 1);
    fake_request_fini(&request);
    fixture_end(&f);
}

static void without_that_the_answer_waits_for_the_run(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_request request;
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    fake_gate(fake, &fake->run_closed, true);
    fake_request_init(&request, TEXT, 1, 1);
    mr_call call = fake_call(&request);
    call.timeout_ns = SECOND;
    assert_int_equal(mr_pool_submit(model, &call, NULL), MR_OK);
    fake_await(fake, &fake->runs, 1);
    fixture_advance(&f, 2 * SECOND, 0);
    assert_false(fake_request_ended(&request)); /* its memory is in use */
    fake_gate(fake, &fake->run_closed, false);
    assert_int_equal(fake_request_await(&request), MR_TIMEOUT);
    fake_request_fini(&request);
    fixture_end(&f);
}

static void *call_main(void *argument)
{
    late *self = argument;
    self->status = mr_pool_call(self->model, &self->call, NULL);
    return NULL;
}

static void a_blocking_call_ends_on_time_too(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_request request;
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    fake_gate(fake, &fake->run_closed, true);
    fake_request_init(&request, TEXT, 1, 1);
    late calling = { .model = model, .call = fake_call(&request) };
    calling.call.timeout_ns = SECOND;
    calling.call.released = on_released;
    request.done = 7; /* on_released copies it: shows that it was called */
    pthread_t thread;
    pthread_create(&thread, NULL, call_main, &calling);
    fake_await(fake, &fake->runs, 1);
    fixture_advance(&f, SECOND, 0);
    pthread_join(thread, NULL);
    assert_int_equal(calling.status, MR_TIMEOUT);
    fake_gate(fake, &fake->run_closed, false);
    await_workers(model, MR_WORKER_IDLE, 1);
    assert_int_equal(request.released, 7);
    fake_request_fini(&request);
    fixture_end(&f);
}

static void a_worker_that_runs_dry_steals(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_request requests[8];
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 2);
    assert_int_equal(mr_pool_pin(model, 2, NULL), MR_OK);
    await_workers(model, MR_WORKER_IDLE, 2);
    fake_gate(fake, &fake->run_closed, true);
    for (size_t i = 0; i < 8; i++) {
        fake_request_init(&requests[i], TEXT, (int32_t)i + 1, 1);
        submit(model, &requests[i]);
        if (i < 2) fake_await(fake, &fake->runs, i + 1);
    }
    fake_hold(fake, 1); /* the worker of request 1 stays where it is: its queue of three is the other one's to empty */
    for (size_t i = 1; i < 8; i++) assert_int_equal(fake_request_await(&requests[i]), MR_OK);
    assert_false(fake_request_ended(&requests[0]));
    assert_int_equal(metrics_of(model).requests_stolen, 3);
    fake_gate(fake, &fake->run_closed, false);
    assert_int_equal(fake_request_await(&requests[0]), MR_OK);
    assert_int_equal(metrics_of(model).pending, 0);
    for (size_t i = 0; i < 8; i++) fake_request_fini(&requests[i]);
    mr_pool_unpin(model, 2);
    fixture_end(&f);
}

/* ---------------------------------------------------------------- power of two choices, as a function */

static void the_choice_is_the_shorter_queue_then_the_longer_rest(void **state)
{
    (void)state;
    uint64_t random = 1;
    const mr_candidate pair[] = { { 3, 10 }, { 2, 20 } }, tie[] = { { 2, 20 }, { 2, 10 } }, one[] = { { 9, 9 } };
    for (int i = 0; i < 100; i++) {
        assert_int_equal(mr_balance_pick(pair, 2, &random), 1);
        assert_int_equal(mr_balance_pick(tie, 2, &random), 1);
        assert_int_equal(mr_balance_pick(one, 1, &random), 0);
    }
    /* Of three with different lengths the longest is never chosen, the others by how often they meet it or each other. */
    const mr_candidate three[] = { { 0, 0 }, { 1, 0 }, { 2, 0 } };
    size_t chosen[3] = { 0 };
    for (int i = 0; i < 3000; i++) chosen[mr_balance_pick(three, 3, &random)]++;
    assert_int_equal(chosen[2], 0);
    assert_in_range(chosen[0], 1850, 2150); /* 2000 expected, standard deviation 26 */
}

typedef enum policy { RANDOM, ROUND_ROBIN, TWO_CHOICES } policy;

/* Eight workers, two of them five times slower, an arrival per tick at 80 % of what all can serve together. Mean queue length
 * that an arrival finds in front of it. */
static double simulate(policy how)
{
    enum { WORKERS = 8, ARRIVALS = 200000 };
    static const double rate[WORKERS] = { 5, 5, 5, 5, 5, 5, 1, 1 }; /* relative; 32 together */
    mr_candidate workers[WORKERS] = { { 0, 0 } };
    double credit[WORKERS] = { 0 }, seen = 0;
    uint64_t random = 42, plain = 7;
    for (int arrival = 0; arrival < ARRIVALS; arrival++) {
        size_t at = how == ROUND_ROBIN ? (size_t)arrival % WORKERS : 0;
        if (how == RANDOM) {
            plain = plain * UINT64_C(6364136223846793005) + 1442695040888963407;
            at = (size_t)(plain >> 33) % WORKERS;
        }
        if (how == TWO_CHOICES) at = mr_balance_pick(workers, WORKERS, &random);
        seen += (double)workers[at].pending;
        if (workers[at].pending < 1000) workers[at].pending++; /* the others' queues have no end under some policies */
        workers[at].last_used_ns = arrival;
        for (size_t i = 0; i < WORKERS; i++) {
            credit[i] += rate[i] / 32 / 0.8;
            while (credit[i] >= 1) {
                credit[i] -= 1;
                if (workers[i].pending > 0) workers[i].pending--;
            }
        }
    }
    return seen / ARRIVALS;
}

static void two_choices_beat_random_and_round_robin_under_skew(void **state)
{
    (void)state;
    double by_random = simulate(RANDOM), by_turns = simulate(ROUND_ROBIN), by_two = simulate(TWO_CHOICES);
    print_message("mean queue found: random %.1f, round robin %.1f, two choices %.2f\n", by_random, by_turns, by_two);
    assert_true(by_two * 20 < by_random);
    assert_true(by_two * 20 < by_turns);
}

static void pending_returns_to_zero_after_every_kind_of_ending(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.settings.breaker_failures = 100;
    fixture_start(&f);
    static const mr_status endings[] = { MR_OK, MR_BAD_INPUT, MR_OUT_OF_MEMORY, MR_CANCELLED, MR_WORKER_DIED, MR_INTERNAL };
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        fake_model *fake = fake_new();
        mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 2);
        fake->run_status = endings[i];
        fake->run_failures = 1;
        assert_int_equal(call_once(model, TEXT, NULL), endings[i]);
        await_pending(model, 0);
        assert_int_equal(metrics_of(model).finished[endings[i]], 1);
        assert_int_equal(call_once(model, TEXT, NULL), MR_OK); /* whatever happened, the next one is served */
        assert_int_equal(metrics_of(model).pending, 0);
    }
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_are_bounded_by_capability),
        cmocka_unit_test(batch_jobs_leave_room_for_others),
        cmocka_unit_test(the_priority_lane_is_served_first),
        cmocka_unit_test(a_full_queue_makes_submit_wait),
        cmocka_unit_test(waiting_for_room_is_part_of_the_request_time),
        cmocka_unit_test(a_queued_request_out_of_time_is_cancelled_not_run),
        cmocka_unit_test(a_running_request_is_answered_on_time_when_its_memory_may_stay),
        cmocka_unit_test(without_that_the_answer_waits_for_the_run),
        cmocka_unit_test(a_blocking_call_ends_on_time_too),
        cmocka_unit_test(a_worker_that_runs_dry_steals),
        cmocka_unit_test(the_choice_is_the_shorter_queue_then_the_longer_rest),
        cmocka_unit_test(two_choices_beat_random_and_round_robin_under_skew),
        cmocka_unit_test(pending_returns_to_zero_after_every_kind_of_ending),
    };
    return RUN_TESTS(tests);
}
