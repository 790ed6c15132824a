/* docs/pool-rules.md, section 5: failure, the circuit breaker, health. */
#include "pool_fixture.h"
#include "registry/pool/breaker.h"
#include "registry/registry.h"

#define TEXT MR_CAPABILITY_TEXT_EMBEDDING

/* ---------------------------------------------------------------- asking for a model */

static mr_registry *registry_with(mr_governor **governor, fake_model *fake)
{
    mr_registry *registry;
    mr_governor_settings memory = { .limit = "1M", .reserve = "0" };
    mr_pool_settings settings = mr_pool_settings_default();
    assert_int_equal(mr_governor_create(&memory, governor, NULL), MR_OK);
    assert_int_equal(mr_registry_create(&settings, *governor, NULL, &registry, NULL), MR_OK);
    const struct { const char *key; mr_capability capability; bool present; } entries[] = {
        { "org/small-text", TEXT, true }, { "org/small-text-images", MR_CAPABILITY_IMAGE_EMBEDDING, true }, { "other/writer", MR_CAPABILITY_TEXT_TO_TEXT, false }
    };
    for (size_t i = 0; i < 3; i++) {
        mr_registry_entry entry = { .key = entries[i].key, .path = entries[i].present ? fake->path : NULL, .vtable = fake_vtable(entries[i].capability),
                                    .options = { .threads_per_worker = 1 } };
        assert_int_equal(mr_registry_add(registry, &entry, NULL), MR_OK);
    }
    return registry;
}

static mr_status ask(mr_registry *registry, const char *key, mr_capability capability, mr_error *error)
{
    fake_request request;
    fake_request_init(&request, capability, 1, 1);
    mr_call call = fake_call(&request);
    mr_pool_model *model = NULL;
    mr_status status = mr_registry_find(registry, key, capability, &model, error);
    if (status == MR_OK) status = mr_pool_call(model, &call, error);
    fake_request_fini(&request);
    return status;
}

static void unknown_and_wrong_models_are_refused_by_name(void **state)
{
    (void)state;
    mr_governor *governor;
    fake_model *fake = fake_new();
    mr_registry *registry = registry_with(&governor, fake);
    mr_error error = { 0 };
    assert_int_equal(ask(registry, "org/small-txt", TEXT, &error), MR_NOT_FOUND);
    assert_non_null(strstr(error.text, "\"org/small-text\""));
    assert_int_equal(ask(registry, "zzz", TEXT, &error), MR_NOT_FOUND);
    assert_non_null(strstr(error.text, "millrace models"));
    assert_int_equal(ask(registry, "org/small-text", MR_CAPABILITY_IMAGE_EMBEDDING, &error), MR_WRONG_CAPABILITY);
    assert_non_null(strstr(error.text, "text_embedding"));
    assert_non_null(strstr(error.text, "\"org/small-text-images\""));
    assert_int_equal(ask(registry, "other/writer", MR_CAPABILITY_TEXT_TO_TEXT, &error), MR_MODEL_FILES_MISSING);
    assert_non_null(strstr(error.text, "millrace fetch other/writer"));
    mr_registry_entry twice = { .key = "org/small-text", .path = fake->path, .vtable = fake_vtable(TEXT) };
    assert_int_equal(mr_registry_add(registry, &twice, &error), MR_INVALID_ARGUMENT);
    assert_int_equal(ask(registry, "org/small-text", TEXT, &error), MR_OK);
    mr_registry_destroy(registry);
    assert_int_equal(mr_governor_used(governor), 0);
    mr_governor_destroy(governor);
    fake_reset();
}

static void hundreds_of_entries_cost_nothing_until_used(void **state)
{
    (void)state;
    mr_governor *governor;
    fake_model *fake = fake_new();
    mr_registry *registry = registry_with(&governor, fake);
    for (int i = 0; i < 500; i++) {
        char key[32];
        snprintf(key, sizeof key, "many/model-%d", (i * 7919) % 500); /* in no order */
        mr_registry_entry entry = { .key = key, .path = fake->path, .vtable = fake_vtable((mr_capability)(i % MR_CAPABILITY_COUNT)) };
        assert_int_equal(mr_registry_add(registry, &entry, NULL), MR_OK);
    }
    assert_true(mr_registry_has(registry, "many/model-499"));
    assert_int_equal(fake_read(fake, &fake->opens), 0);
    assert_int_equal(mr_governor_used(governor), 0);
    assert_int_equal(ask(registry, "org/small-text", TEXT, NULL), MR_OK);
    assert_int_equal(fake_read(fake, &fake->opens), 1);
    mr_registry_destroy(registry);
    mr_governor_destroy(governor);
    fake_reset();
}

/* ---------------------------------------------------------------- records and requests */

static void a_bad_record_costs_only_itself(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    for (int i = 0; i < MR_CAPABILITY_COUNT; i++) {
        fake_model *fake = fake_new();
        fake->bad_input = 1;
        mr_pool_model *model = fixture_add(&f, fake, (mr_capability)i, mr_capability_text((mr_capability)i), 1);
        fake_request request;
        fake_request_init(&request, (mr_capability)i, 3, 4);
        submit(model, &request);
        assert_int_equal(fake_request_await(&request), MR_OK);
        for (size_t k = 0; k < 4; k++) assert_int_equal(request.statuses[k], k == 1 ? MR_BAD_RECORD : MR_OK);
        mr_model_metrics metrics = metrics_of(model);
        assert_int_equal(metrics.inputs, 4);
        assert_int_equal(metrics.inputs_failed, 1);
        assert_int_equal(metrics.inputs_non_finite, 0);
        fake_request_fini(&request);
    }
    fixture_end(&f);
}

static void the_callers_mistakes_do_not_open_the_breaker(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    fake->run_status = MR_INVALID_ARGUMENT;
    fake->run_failures = 20;
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    for (int i = 0; i < 20; i++) assert_int_equal(call_once(model, TEXT, NULL), MR_INVALID_ARGUMENT);
    assert_int_equal(metrics_of(model).breaker, MR_BREAKER_CLOSED);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    fixture_end(&f);
}

static void non_finite_outputs_count_towards_the_breaker(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    fake->non_finite = true;
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    for (int i = 0; i < 5; i++) assert_int_equal(call_once(model, TEXT, NULL), MR_OK); /* the record failed, not the request */
    mr_error error = { 0 };
    assert_int_equal(call_once(model, TEXT, &error), MR_CIRCUIT_OPEN);
    assert_non_null(strstr(error.text, "finite"));
    assert_int_equal(metrics_of(model).inputs_non_finite, 5);
    fixture_end(&f);
}

/* ---------------------------------------------------------------- worker death */

/* Two workers: the first held in request 1, the second in request 2; requests 3 to 6 queued behind them. */
static void two_held(mr_pool_model *model, fake_model *fake, fake_request *requests)
{
    assert_int_equal(mr_pool_pin(model, 2, NULL), MR_OK);
    await_workers(model, MR_WORKER_IDLE, 2);
    fake_gate(fake, &fake->run_closed, true);
    for (size_t i = 0; i < 6; i++) {
        fake_request_init(&requests[i], TEXT, (int32_t)i + 1, 1);
        submit(model, &requests[i]);
        if (i < 2) fake_await(fake, &fake->runs, i + 1);
    }
}

static void a_dead_workers_queue_moves_to_its_siblings(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_request requests[6];
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 2);
    two_held(model, fake, requests);
    mr_pool_unpin(model, 2); /* no replacement wanted */
    fake->run_status = MR_WORKER_DIED;
    fake->run_failures = 1;
    fake_hold(fake, 2); /* request 1 ends: its worker dies, request 2 stays where it is */
    assert_int_equal(fake_request_await(&requests[0]), MR_WORKER_DIED);
    await_left(model, 1);
    mr_model_metrics metrics = metrics_of(model);
    assert_int_equal(metrics.requests_moved, 2);
    assert_int_equal(metrics.workers_failed, 1);
    assert_int_equal(workers_of(model), 1);
    assert_int_equal(mr_governor_used(f.governor), 1000 + 100); /* memory returned */
    fake_gate(fake, &fake->run_closed, false);
    for (size_t i = 1; i < 6; i++) assert_int_equal(fake_request_await(&requests[i]), MR_OK);
    assert_int_equal(metrics_of(model).pending, 0);
    for (size_t i = 0; i < 6; i++) fake_request_fini(&requests[i]);
    fixture_end(&f);
}

static void a_request_moves_only_once(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_request requests[6];
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 2);
    two_held(model, fake, requests);
    mr_pool_unpin(model, 2);
    fake->run_status = MR_WORKER_DIED;
    fake->run_failures = 2; /* both */
    fake_hold(fake, 2);
    assert_int_equal(fake_request_await(&requests[0]), MR_WORKER_DIED);
    await_left(model, 1); /* two of the four have moved */
    fake_gate(fake, &fake->run_closed, false);
    size_t died = 0, ok = 0;
    for (size_t i = 1; i < 6; i++) {
        mr_status status = fake_request_await(&requests[i]);
        died += status == MR_WORKER_DIED;
        ok += status == MR_OK;
    }
    assert_int_equal(died, 1 + 2); /* request 2 itself and the two that had moved already */
    assert_int_equal(ok, 2);       /* the other two moved once, to a replacement */
    assert_int_equal(metrics_of(model).pending, 0);
    for (size_t i = 0; i < 6; i++) fake_request_fini(&requests[i]);
    fixture_end(&f);
}

/* What a request answers whose first `deaths` runs kill their worker. */
static mr_status run_and_die(mr_pool_model *model, fake_model *fake, size_t deaths, bool idempotent, mr_error *error)
{
    fake_request request;
    fake_request_init(&request, TEXT, 1, 1);
    mr_call call = fake_call(&request);
    call.idempotent = idempotent;
    fake->run_status = MR_WORKER_DIED;
    fake->run_failures = deaths;
    mr_status status = mr_pool_call(model, &call, error);
    fake_request_fini(&request);
    return status;
}

static void a_running_request_moves_once_if_it_may_be_run_again(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    mr_error error = { 0 };
    assert_int_equal(run_and_die(model, fake, 1, true, &error), MR_OK); /* by the worker that replaced the dead one */
    assert_int_equal(fake->runs, 2);
    mr_model_metrics metrics = metrics_of(model);
    assert_int_equal(metrics.requests, 1);
    assert_int_equal(metrics.requests_moved, 1);
    assert_int_equal(metrics.workers_failed, 1);
    assert_int_equal(metrics.finished[MR_OK], 1);
    assert_int_equal(metrics.finished[MR_WORKER_DIED], 0);
    assert_int_equal(run_and_die(model, fake, 2, true, &error), MR_WORKER_DIED);
    assert_int_equal(fake->runs, 4);
    assert_int_equal(run_and_die(model, fake, 1, false, &error), MR_WORKER_DIED);
    assert_int_equal(fake->runs, 5);
    assert_int_equal(metrics_of(model).pending, 0);
    fixture_end(&f);
}

/* A death counts for the breaker whether or not the request goes on. */
static void deaths_open_the_breaker(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    mr_error error = { 0 };
    for (int i = 0; i < 2; i++) assert_int_equal(run_and_die(model, fake, 2, true, &error), MR_WORKER_DIED);
    assert_int_equal(metrics_of(model).breaker, MR_BREAKER_CLOSED);
    assert_int_equal(run_and_die(model, fake, 1, true, &error), MR_CIRCUIT_OPEN); /* the fifth: its worker is not replaced */
    assert_int_equal(fake->runs, 5);
    assert_int_equal(metrics_of(model).breaker, MR_BREAKER_OPEN);
    assert_int_equal(run_and_die(model, fake, 0, true, &error), MR_CIRCUIT_OPEN);
    fixture_end(&f);
}

static void a_pinned_worker_that_dies_is_replaced(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 2);
    assert_int_equal(mr_pool_pin(model, 2, NULL), MR_OK);
    await_workers(model, MR_WORKER_IDLE, 2);
    fake->run_status = MR_INTERNAL;
    fake->run_failures = 1;
    assert_int_equal(call_once(model, TEXT, NULL), MR_INTERNAL);
    await_workers(model, MR_WORKER_IDLE, 2);
    assert_int_equal(fake_read(fake, &fake->opens), 1); /* the weights stayed */
    assert_int_equal(metrics_of(model).workers_spawned, 3);
    mr_pool_unpin(model, 2);
    fixture_end(&f);
}

/* ---------------------------------------------------------------- the breaker */

static void the_breaker_timeline(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    fake->run_status = MR_OUT_OF_MEMORY;
    fake->run_failures = 4;
    for (int i = 0; i < 4; i++) assert_int_equal(call_once(model, TEXT, NULL), MR_OUT_OF_MEMORY);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK); /* a success: the count starts again */
    fake->run_failures = 5;
    for (int i = 0; i < 5; i++) assert_int_equal(call_once(model, TEXT, NULL), MR_OUT_OF_MEMORY);
    mr_error error = { 0 };
    assert_int_equal(call_once(model, TEXT, &error), MR_CIRCUIT_OPEN);
    assert_non_null(strstr(error.text, "broke"));
    size_t runs = fake_read(fake, &fake->runs);
    fixture_advance(&f, 60 * SECOND - 1, 0);
    assert_int_equal(call_once(model, TEXT, NULL), MR_CIRCUIT_OPEN);
    assert_int_equal(fake_read(fake, &fake->runs), runs); /* nothing reached the model */
    assert_int_equal(metrics_of(model).rejected_by_breaker, 2);
    fixture_advance(&f, 1, 0);
    assert_int_equal(metrics_of(model).breaker, MR_BREAKER_HALF_OPEN);
    /* Three are let through, the fourth is not. */
    fake_request requests[4];
    fake_gate(fake, &fake->run_closed, true);
    for (size_t i = 0; i < 3; i++) {
        fake_request_init(&requests[i], TEXT, 1, 1);
        submit(model, &requests[i]);
    }
    assert_int_equal(call_once(model, TEXT, NULL), MR_CIRCUIT_OPEN);
    fake_gate(fake, &fake->run_closed, false);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fake_request_await(&requests[i]), MR_OK);
        fake_request_fini(&requests[i]);
    }
    assert_int_equal(metrics_of(model).breaker, MR_BREAKER_CLOSED);
    assert_true(log_has("circuit breaker open"));
    assert_true(log_has("circuit breaker closed"));
    /* Open again, and one failure while half-open opens it for another minute. */
    fake->run_failures = 6;
    for (int i = 0; i < 5; i++) assert_int_equal(call_once(model, TEXT, NULL), MR_OUT_OF_MEMORY);
    fixture_advance(&f, 60 * SECOND, 0);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OUT_OF_MEMORY);
    assert_int_equal(call_once(model, TEXT, NULL), MR_CIRCUIT_OPEN);
    fixture_advance(&f, 60 * SECOND, 0);
    for (int i = 0; i < 3; i++) assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    assert_int_equal(metrics_of(model).breaker, MR_BREAKER_CLOSED);
    fixture_end(&f);
}

static void failed_loads_open_the_breaker_once_each(void **state)
{
    (void)state;
    fixture f = fixture_default();
    fixture_start(&f);
    fake_model *fake = fake_new();
    fake->load_status = MR_MODEL_CORRUPT;
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 4);
    for (int i = 0; i < 5; i++) { /* two workers each, one load */
        assert_int_equal(call_once(model, TEXT, NULL), MR_MODEL_CORRUPT);
        await_left(model, 0);
    }
    assert_int_equal(call_once(model, TEXT, NULL), MR_CIRCUIT_OPEN);
    assert_int_equal(fake_read(fake, &fake->opens), 5);
    fixture_end(&f);
}

static void what_was_admitted_before_says_nothing_later(void **state)
{
    (void)state;
    mr_breaker breaker;
    mr_breaker_init(&breaker, 2, 3, 60);
    uint64_t early, later, probe;
    assert_true(mr_breaker_admit(&breaker, 0, &early));
    assert_true(mr_breaker_admit(&breaker, 0, &later));
    assert_false(mr_breaker_record(&breaker, 1, later, MR_VERDICT_FAILURE));
    assert_true(mr_breaker_admit(&breaker, 1, &later));
    assert_true(mr_breaker_record(&breaker, 1, later, MR_VERDICT_FAILURE)); /* open until 61 */
    assert_false(mr_breaker_record(&breaker, 30, early, MR_VERDICT_SUCCESS));
    assert_false(mr_breaker_admit(&breaker, 60, &probe));
    assert_true(mr_breaker_admit(&breaker, 61, &probe));
    assert_false(mr_breaker_record(&breaker, 62, early, MR_VERDICT_FAILURE));
    /* A cancelled probe gives its place back. */
    assert_true(mr_breaker_admit(&breaker, 62, &probe));
    assert_true(mr_breaker_admit(&breaker, 62, &probe));
    assert_false(mr_breaker_admit(&breaker, 62, &later));
    assert_false(mr_breaker_record(&breaker, 62, probe, MR_VERDICT_NONE));
    assert_true(mr_breaker_admit(&breaker, 62, &probe));
    assert_false(mr_breaker_record(&breaker, 63, probe, MR_VERDICT_SUCCESS));
    assert_false(mr_breaker_record(&breaker, 63, probe, MR_VERDICT_SUCCESS));
    assert_true(mr_breaker_record(&breaker, 63, probe, MR_VERDICT_SUCCESS));
    assert_int_equal(mr_breaker_state_at(&breaker, 63), MR_BREAKER_CLOSED);
}

/* ---------------------------------------------------------------- health */

typedef struct trap {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool caught, open;
} trap;

/* A caller's callback that does not come back: the worker is neither Processing nor answering. */
static void fall_asleep(void *context, mr_status status, const mr_error *error)
{
    (void)status;
    (void)error;
    trap *self = context;
    pthread_mutex_lock(&self->lock);
    self->caught = true;
    pthread_cond_broadcast(&self->changed);
    while (!self->open) pthread_cond_wait(&self->changed, &self->lock);
    pthread_mutex_unlock(&self->lock);
}

static void a_silent_worker_is_replaced(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.settings.ping_interval = 10 * SECOND;
    f.settings.ping_timeout = 5 * SECOND;
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 1);
    trap caught = { .caught = false };
    pthread_mutex_init(&caught.lock, NULL);
    pthread_cond_init(&caught.changed, NULL);
    fake_request request;
    fake_request_init(&request, TEXT, 1, 1);
    mr_call call = fake_call(&request);
    call.done = fall_asleep;
    call.context = &caught;
    assert_int_equal(mr_pool_submit(model, &call, NULL), MR_OK);
    pthread_mutex_lock(&caught.lock);
    while (!caught.caught) pthread_cond_wait(&caught.changed, &caught.lock);
    pthread_mutex_unlock(&caught.lock);
    fake_request queued; /* behind the silent one */
    fake_request_init(&queued, TEXT, 2, 1);
    submit(model, &queued);
    fixture_advance(&f, 10 * SECOND, 0); /* pinged */
    fixture_advance(&f, 5 * SECOND - 1, 0);
    assert_int_equal(metrics_of(model).workers_failed, 0);
    fixture_advance(&f, 1, 0);
    assert_int_equal(fake_request_await(&queued), MR_OK); /* by the replacement */
    assert_true(log_has("does not answer; replaced"));
    assert_int_equal(metrics_of(model).workers_failed, 1);
    assert_int_equal(metrics_of(model).workers_spawned, 2);
    assert_int_equal(mr_governor_used(f.governor), 1000 + 200); /* what the silent one holds, it holds */
    pthread_mutex_lock(&caught.lock);
    caught.open = true;
    pthread_cond_broadcast(&caught.changed);
    pthread_mutex_unlock(&caught.lock);
    fake_await(fake, &fake->destroys, 1); /* it cleans up after itself when it comes back */
    fake_request_fini(&request);
    fake_request_fini(&queued);
    fixture_end(&f);
}

static void healthy_workers_answer(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.settings.ping_interval = 10 * SECOND;
    f.settings.ping_timeout = 5 * SECOND;
    f.settings.idle_before_evict = MR_CLOCK_FOREVER;
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "a/b", 2);
    assert_int_equal(call_once(model, TEXT, NULL), MR_OK);
    await_workers(model, MR_WORKER_IDLE, 2);
    for (int i = 0; i < 20; i++) {
        fixture_advance(&f, 5 * SECOND, 0);
        await_answers(model);
    }
    assert_int_equal(metrics_of(model).workers_failed, 0);
    assert_int_equal(workers_of(model), 2);
    fixture_end(&f);
}

static void a_stalled_run_is_reported_once_and_left_alone(void **state)
{
    (void)state;
    fixture f = fixture_default();
    f.settings.ping_interval = 10 * SECOND;
    f.settings.ping_timeout = 5 * SECOND;
    fixture_start(&f);
    fake_model *fake = fake_new();
    mr_pool_model *model = fixture_add(&f, fake, TEXT, "org/slow", 1);
    fake_gate(fake, &fake->run_closed, true);
    fake_request request;
    fake_request_init(&request, TEXT, 77, 1);
    submit(model, &request);
    fake_await(fake, &fake->runs, 1);
    fixture_advance(&f, 115 * SECOND, 0);
    log_start();
    fixture_advance(&f, 5 * SECOND, 0);
    assert_true(log_has("org/slow: worker 1 has been running request 77 of stage test for 120 s"));
    log_start();
    fixture_advance(&f, 60 * SECOND, 0);
    fake_gate(fake, &fake->run_closed, false);
    assert_int_equal(fake_request_await(&request), MR_OK);
    assert_int_equal(metrics_of(model).workers_failed, 0);
    fake_request_fini(&request);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_and_wrong_models_are_refused_by_name),
        cmocka_unit_test(hundreds_of_entries_cost_nothing_until_used),
        cmocka_unit_test(a_bad_record_costs_only_itself),
        cmocka_unit_test(the_callers_mistakes_do_not_open_the_breaker),
        cmocka_unit_test(non_finite_outputs_count_towards_the_breaker),
        cmocka_unit_test(a_dead_workers_queue_moves_to_its_siblings),
        cmocka_unit_test(a_request_moves_only_once),
        cmocka_unit_test(a_running_request_moves_once_if_it_may_be_run_again),
        cmocka_unit_test(deaths_open_the_breaker),
        cmocka_unit_test(a_pinned_worker_that_dies_is_replaced),
        cmocka_unit_test(the_breaker_timeline),
        cmocka_unit_test(failed_loads_open_the_breaker_once_each),
        cmocka_unit_test(what_was_admitted_before_says_nothing_later),
        cmocka_unit_test(a_silent_worker_is_replaced),
        cmocka_unit_test(healthy_workers_answer),
        cmocka_unit_test(a_stalled_run_is_reported_once_and_left_alone),
    };
    return RUN_TESTS(tests);
}
