#include "tests/cm.h"

#include <pthread.h>
#include <sched.h>

#include "core/clock.h"
#include "core/queue.h"

typedef struct waiter_state {
    mr_clock *clock;
    pthread_mutex_t lock;
    pthread_cond_t condition;
    int64_t deadline;
    int64_t woke_at;
} waiter_state;

static void *wait_until_deadline(void *argument)
{
    waiter_state *state = argument;
    pthread_mutex_lock(&state->lock);
    while (mr_clock_wait(state->clock, &state->condition, &state->lock, state->deadline)) {}
    state->woke_at = mr_clock_now(state->clock);
    pthread_mutex_unlock(&state->lock);
    return NULL;
}

static void virtual_time_wakes_only_what_is_due(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    mr_clock *clock;
    waiter_state waiters[COUNT];
    pthread_t threads[COUNT];
    assert_int_equal(mr_clock_virtual_create(&clock, NULL), MR_OK);
    int64_t start = mr_clock_now(clock);
    for (int i = 0; i < COUNT; i++) {
        waiters[i] = (waiter_state){ .clock = clock, .deadline = start + (i + 1) * MR_CLOCK_SECOND };
        pthread_mutex_init(&waiters[i].lock, NULL);
        mr_clock_cond_init(&waiters[i].condition);
        pthread_create(&threads[i], NULL, wait_until_deadline, &waiters[i]);
    }
    for (int second = 0; second < COUNT; second++) {
        while (mr_clock_virtual_waiters(clock) != (size_t)(COUNT - second)) sched_yield();
        mr_clock_virtual_advance(clock, MR_CLOCK_SECOND);
        pthread_join(threads[second], NULL);
        assert_int_equal(waiters[second].woke_at, waiters[second].deadline);
    }
    for (int i = 0; i < COUNT; i++) {
        pthread_cond_destroy(&waiters[i].condition);
        pthread_mutex_destroy(&waiters[i].lock);
    }
    mr_clock_virtual_destroy(clock);
}

static void monotonic_wait_times_out(void **state)
{
    (void)state;
    mr_clock *clock = mr_clock_monotonic();
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition;
    mr_clock_cond_init(&condition);
    pthread_mutex_lock(&lock);
    int64_t start = mr_clock_now(clock), deadline = mr_clock_deadline(clock, 20 * MR_CLOCK_MILLISECOND);
    while (mr_clock_wait(clock, &condition, &lock, deadline)) {}
    assert_true(mr_clock_now(clock) - start >= 20 * MR_CLOCK_MILLISECOND);
    pthread_mutex_unlock(&lock);
    assert_int_equal(mr_clock_deadline(clock, MR_CLOCK_FOREVER), MR_CLOCK_FOREVER);
    pthread_cond_destroy(&condition);
}

static void queue_keeps_order_and_bounds(void **state)
{
    (void)state;
    mr_queue *queue;
    mr_clock *clock = mr_clock_monotonic();
    int items[4];
    void *got;
    assert_int_equal(mr_queue_create(3, 100, clock, &queue, NULL), MR_OK);
    assert_int_equal(mr_queue_push(queue, &items[0], 1000, 0), MR_OK); /* heavier than the bound, but alone */
    assert_int_equal(mr_queue_push(queue, &items[1], 1, 0), MR_TIMEOUT);
    assert_int_equal(mr_queue_pop(queue, &got, MR_CLOCK_FOREVER), MR_OK);
    assert_int_equal(mr_queue_push(queue, &items[0], 50, 0), MR_OK);
    assert_int_equal(mr_queue_push(queue, &items[1], 50, 0), MR_OK);
    assert_int_equal(mr_queue_push(queue, &items[2], 1, 0), MR_TIMEOUT);
    assert_int_equal(mr_queue_push(queue, &items[2], 1, mr_clock_deadline(clock, MR_CLOCK_MILLISECOND)), MR_TIMEOUT);
    assert_int_equal(mr_queue_pop(queue, &got, MR_CLOCK_FOREVER), MR_OK);
    assert_ptr_equal(got, &items[0]);
    mr_queue_close(queue);
    assert_int_equal(mr_queue_push(queue, &items[3], 1, MR_CLOCK_FOREVER), MR_CANCELLED);
    assert_int_equal(mr_queue_pop(queue, &got, MR_CLOCK_FOREVER), MR_OK);
    assert_ptr_equal(got, &items[1]);
    assert_int_equal(mr_queue_pop(queue, &got, MR_CLOCK_FOREVER), MR_END);
    mr_queue_destroy(queue);
    assert_int_equal(mr_queue_create(3, 0, clock, &queue, NULL), MR_OK);
    assert_int_equal(mr_queue_pop(queue, &got, mr_clock_deadline(clock, MR_CLOCK_MILLISECOND)), MR_TIMEOUT);
    mr_queue_destroy(queue);
}

enum { PRODUCERS = 3, CONSUMERS = 3, PER_PRODUCER = 5000 };
static mr_queue *shared_queue;
static unsigned char numbers[PRODUCERS * PER_PRODUCER];

static void *produce(void *argument)
{
    size_t first = (size_t)(uintptr_t)argument * PER_PRODUCER;
    for (size_t i = 0; i < PER_PRODUCER; i++)
        if (mr_queue_push(shared_queue, &numbers[first + i], 1, MR_CLOCK_FOREVER) != MR_OK) return (void *)1;
    return NULL;
}

static void *consume(void *argument)
{
    (void)argument;
    void *item;
    while (mr_queue_pop(shared_queue, &item, MR_CLOCK_FOREVER) == MR_OK) ++*(unsigned char *)item;
    return NULL;
}

static void every_item_arrives_once(void **state)
{
    (void)state;
    pthread_t producers[PRODUCERS], consumers[CONSUMERS];
    assert_int_equal(mr_queue_create(16, 0, mr_clock_monotonic(), &shared_queue, NULL), MR_OK);
    for (size_t i = 0; i < CONSUMERS; i++) pthread_create(&consumers[i], NULL, consume, NULL);
    for (size_t i = 0; i < PRODUCERS; i++) pthread_create(&producers[i], NULL, produce, (void *)(uintptr_t)i);
    for (size_t i = 0; i < PRODUCERS; i++) pthread_join(producers[i], NULL);
    mr_queue_close(shared_queue);
    for (size_t i = 0; i < CONSUMERS; i++) pthread_join(consumers[i], NULL);
    for (size_t i = 0; i < sizeof numbers; i++) assert_int_equal(numbers[i], 1);
    mr_queue_destroy(shared_queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(virtual_time_wakes_only_what_is_due), cmocka_unit_test(monotonic_wait_times_out),
        cmocka_unit_test(queue_keeps_order_and_bounds), cmocka_unit_test(every_item_arrives_once),
    };
    return RUN_TESTS(tests);
}
