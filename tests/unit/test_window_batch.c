#include "tests/cm.h"

#include <pthread.h>

#include "batch/batcher.h"
#include "pipelines/window.h"

static void out_of_order_goes_in_order_comes_out(void **state)
{
    (void)state;
    mr_window *window;
    int items[3];
    uint64_t sequence[3];
    void *got;
    assert_int_equal(mr_window_create(3, 100, mr_clock_monotonic(), &window, NULL), MR_OK);
    for (int i = 0; i < 3; i++) assert_int_equal(mr_window_enter(window, 10, &sequence[i]), MR_OK);
    mr_window_close(window);
    mr_window_deliver(window, sequence[2], &items[2]);
    mr_window_deliver(window, sequence[0], &items[0]);
    mr_window_deliver(window, sequence[1], &items[1]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mr_window_next(window, &got, MR_CLOCK_FOREVER), MR_OK);
        assert_ptr_equal(got, &items[i]);
        mr_window_leave(window, 10);
    }
    assert_int_equal(mr_window_next(window, &got, MR_CLOCK_FOREVER), MR_END);
    mr_window_destroy(window);
}

static void what_shrinks_makes_room(void **state)
{
    (void)state;
    mr_window *window;
    uint64_t first, second;
    int items[2];
    void *got;
    assert_int_equal(mr_window_create(3, 100, mr_clock_monotonic(), &window, NULL), MR_OK);
    assert_int_equal(mr_window_enter(window, 90, &first), MR_OK);
    mr_window_shrink(window, 80);
    assert_int_equal(mr_window_enter(window, 90, &second), MR_OK); /* would wait for ever */
    mr_window_deliver(window, first, &items[0]);
    mr_window_deliver(window, second, &items[1]);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(mr_window_next(window, &got, MR_CLOCK_FOREVER), MR_OK);
        mr_window_leave(window, i == 0 ? 10 : 90);
    }
    mr_window_destroy(window);
}

enum { RECORDS = 20000, CARRIERS = 3 };

typedef struct carried { uint64_t sequence; size_t bytes; } carried;
static carried records[RECORDS];
static mr_window *shared;
static pthread_mutex_t pick_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t entered, picked;

static void *read_records(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < RECORDS; i++) {
        records[i].bytes = i % 97 == 0 ? 5000 : i % 50; /* some are larger than the whole window */
        if (mr_window_enter(shared, records[i].bytes, &records[i].sequence) != MR_OK) return NULL;
        pthread_mutex_lock(&pick_lock);
        entered = i + 1;
        pthread_mutex_unlock(&pick_lock);
    }
    mr_window_close(shared);
    return NULL;
}

static void *carry(void *argument)
{
    (void)argument;
    for (;;) {
        pthread_mutex_lock(&pick_lock);
        size_t mine = picked < entered ? picked++ : SIZE_MAX;
        bool done = picked == RECORDS;
        pthread_mutex_unlock(&pick_lock);
        if (mine != SIZE_MAX) mr_window_deliver(shared, records[mine].sequence, &records[mine]);
        else if (done) return NULL;
    }
}

static void many_threads_keep_order(void **state)
{
    (void)state;
    pthread_t reader, carriers[CARRIERS];
    void *item;
    assert_int_equal(mr_window_create(64, 1000, mr_clock_monotonic(), &shared, NULL), MR_OK);
    pthread_create(&reader, NULL, read_records, NULL);
    for (int i = 0; i < CARRIERS; i++) pthread_create(&carriers[i], NULL, carry, NULL);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_int_equal(mr_window_next(shared, &item, MR_CLOCK_FOREVER), MR_OK);
        assert_ptr_equal(item, &records[i]);
        mr_window_leave(shared, records[i].bytes);
    }
    assert_int_equal(mr_window_next(shared, &item, MR_CLOCK_FOREVER), MR_END);
    pthread_join(reader, NULL);
    for (int i = 0; i < CARRIERS; i++) pthread_join(carriers[i], NULL);
    mr_window_destroy(shared);
}

static void *enter_one_more(void *argument)
{
    uint64_t sequence;
    *(mr_status *)argument = mr_window_enter(shared, 1, &sequence);
    return NULL;
}

static void cancel_ends_waiting(void **state)
{
    (void)state;
    uint64_t sequence;
    mr_status status = MR_OK;
    pthread_t thread;
    int item;
    void *got;
    assert_int_equal(mr_window_create(1, 10, mr_clock_monotonic(), &shared, NULL), MR_OK);
    assert_int_equal(mr_window_enter(shared, 1, &sequence), MR_OK);
    pthread_create(&thread, NULL, enter_one_more, &status);
    mr_window_deliver(shared, sequence, &item);
    mr_window_cancel(shared);
    pthread_join(thread, NULL);
    assert_int_equal(status, MR_CANCELLED);
    assert_int_equal(mr_window_next(shared, &got, MR_CLOCK_FOREVER), MR_CANCELLED);
    assert_ptr_equal(mr_window_drain(shared), &item);
    assert_null(mr_window_drain(shared));
    mr_window_destroy(shared);
}

static void batches_fill_by_cost(void **state)
{
    (void)state;
    const mr_batch_budget budget = { .max_tokens = 1000, .max_inputs = 4, .attention_length = 500 };
    mr_batch_fill fill = { 0 };
    assert_true(mr_batch_fits(&budget, &fill, 100000)); /* an outlier goes, alone */
    mr_batch_add(&budget, &fill, 100000);
    assert_false(mr_batch_fits(&budget, &fill, 1));
    fill = (mr_batch_fill){ 0 };
    for (int i = 0; i < 4; i++) {
        assert_true(mr_batch_fits(&budget, &fill, 10));
        mr_batch_add(&budget, &fill, 10);
    }
    assert_false(mr_batch_fits(&budget, &fill, 10)); /* max_inputs */
    fill = (mr_batch_fill){ 0 };
    mr_batch_add(&budget, &fill, 400); /* costs 400 * 1.8 = 720 */
    assert_false(mr_batch_fits(&budget, &fill, 400));
    assert_true(mr_batch_fits(&budget, &fill, 200)); /* 200 * 1.4 = 280 */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(out_of_order_goes_in_order_comes_out), cmocka_unit_test(many_threads_keep_order),
                                        cmocka_unit_test(what_shrinks_makes_room),
        cmocka_unit_test(cancel_ends_waiting), cmocka_unit_test(batches_fill_by_cost) };
    return RUN_TESTS(tests);
}
