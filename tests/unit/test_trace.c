#include "tests/cm.h"

#include <jansson.h>
#include <pthread.h>

#include "core/trace.h"

#define PATH MR_TEST_TMP "/trace.json"

static json_t *read_trace(void)
{
    json_t *root = json_load_file(PATH, 0, NULL);
    assert_non_null(root);
    return root;
}

static size_t count(const json_t *root, const char *name)
{
    size_t found = 0, index;
    json_t *event;
    json_array_foreach(json_object_get(root, "traceEvents"), index, event) found += strcmp(json_string_value(json_object_get(event, "name")), name) == 0;
    return found;
}

/* Round every thread's spans lies one with the thread's name; its arguments are counters. */
static void check_lives(const json_t *root)
{
    size_t index;
    json_t *event, *counted;
    const char *name;
    for (int i = 0; i < 4; i++) {
        char wanted[16];
        snprintf(wanted, sizeof wanted, "worker %d", i);
        assert_int_equal(count(root, wanted), 1);
    }
    double begin = 0.0, end = 0.0;
    json_int_t thread = 0;
    json_array_foreach(json_object_get(root, "traceEvents"), index, event) {
        if (strcmp(json_string_value(json_object_get(event, "ph")), "X") != 0) continue;
        double from = json_real_value(json_object_get(event, "ts")), to = from + json_real_value(json_object_get(event, "dur"));
        if (strcmp(json_string_value(json_object_get(event, "name")), "step") != 0) {
            begin = from;
            end = to;
            thread = json_integer_value(json_object_get(event, "tid"));
            json_object_foreach(json_object_get(event, "args"), name, counted) assert_true(json_integer_value(counted) >= 0);
        } else {
            assert_int_equal(json_integer_value(json_object_get(event, "tid")), thread);
            assert_true(begin <= from + 0.002 && to <= end + 0.002); /* written in us with three places */
        }
    }
}

static void *work(void *argument)
{
    (void)argument;
    mr_trace_name_thread("worker");
    for (int i = 0; i < 5000; i++) {
        int64_t begin = mr_trace_begin();
        mr_trace_end(begin, "step", "tokens", (uint64_t)i);
    }
    return NULL;
}

static void off_records_nothing(void **state)
{
    (void)state;
    mr_error error;
    assert_int_equal(mr_trace_begin(), 0);
    mr_trace_end(0, "never", NULL, 0);
    mr_trace_start();
    assert_int_equal(mr_trace_write(PATH, &error), MR_OK);
    json_t *root = read_trace();
    assert_int_equal(count(root, "never"), 0);
    json_decref(root);
}

static void every_thread_has_its_spans(void **state)
{
    (void)state;
    mr_error error;
    pthread_t threads[4];
    for (int round = 0; round < 2; round++) { /* a second trace starts empty */
        mr_trace_start();
        for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, NULL);
        for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
        work(NULL); /* this thread lives through both rounds */
        assert_int_equal(mr_trace_write(PATH, &error), MR_OK);
        json_t *root = read_trace();
        assert_int_equal(count(root, "step"), 25000);
        assert_int_equal(count(root, "thread_name"), 5);
        check_lives(root);
        assert_int_equal(json_integer_value(json_object_get(root, "spans_dropped")), 0);
        json_decref(root);
    }
    mr_trace_start();
    assert_int_not_equal(mr_trace_write(MR_TEST_TMP "/no/such/trace.json", &error), MR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(off_records_nothing), cmocka_unit_test(every_thread_has_its_spans) };
    return RUN_TESTS(tests);
}
