#include "core/queue.h"

#include <stdlib.h>

typedef struct slot {
    void *item;
    size_t weight;
} slot;

struct mr_queue {
    pthread_mutex_t lock; /* leaf */
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    mr_clock *clock;
    size_t max_items;
    size_t max_weight;
    size_t head;
    size_t count;
    size_t weight;
    bool closed;
    slot slots[];
};

mr_status mr_queue_create(size_t max_items, size_t max_weight, mr_clock *clock, mr_queue **out, mr_error *error)
{
    if (max_items == 0 || max_items > SIZE_MAX / (2 * sizeof(slot)))
        return mr_error_set(error, MR_INVALID_ARGUMENT, "queue of %zu items", max_items);
    mr_queue *queue = calloc(1, sizeof *queue + max_items * sizeof(slot));
    if (!queue) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a queue of %zu items", max_items);
    queue->clock = clock;
    queue->max_items = max_items;
    queue->max_weight = max_weight;
    pthread_mutex_init(&queue->lock, NULL);
    mr_clock_cond_init(&queue->not_empty);
    mr_clock_cond_init(&queue->not_full);
    *out = queue;
    return MR_OK;
}

void mr_queue_destroy(mr_queue *queue)
{
    if (!queue) return;
    pthread_cond_destroy(&queue->not_full);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static bool is_full(const mr_queue *queue, size_t weight)
{
    if (queue->count == 0) return false;
    if (queue->count == queue->max_items) return true;
    return queue->max_weight != 0 && (weight > queue->max_weight || queue->weight > queue->max_weight - weight);
}

static void put(mr_queue *queue, void *item, size_t weight)
{
    queue->slots[(queue->head + queue->count) % queue->max_items] = (slot){ item, weight };
    queue->count++;
    queue->weight += weight;
    pthread_cond_signal(&queue->not_empty);
}

mr_status mr_queue_push(mr_queue *queue, void *item, size_t weight, int64_t deadline_ns)
{
    mr_status status = MR_OK;
    pthread_mutex_lock(&queue->lock);
    while (!queue->closed && is_full(queue, weight) && status == MR_OK)
        if (!mr_clock_wait(queue->clock, &queue->not_full, &queue->lock, deadline_ns)) status = MR_TIMEOUT;
    if (queue->closed) status = MR_CANCELLED;
    else if (!is_full(queue, weight)) status = MR_OK;
    if (status == MR_OK) put(queue, item, weight);
    pthread_mutex_unlock(&queue->lock);
    return status;
}

mr_status mr_queue_pop(mr_queue *queue, void **item, int64_t deadline_ns)
{
    bool in_time = true;
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->closed && in_time)
        in_time = mr_clock_wait(queue->clock, &queue->not_empty, &queue->lock, deadline_ns);
    mr_status status = queue->count > 0 ? MR_OK : queue->closed ? MR_END : MR_TIMEOUT;
    if (status == MR_OK) {
        slot taken = queue->slots[queue->head];
        queue->head = (queue->head + 1) % queue->max_items;
        queue->count--;
        queue->weight -= taken.weight;
        *item = taken.item;
        pthread_cond_broadcast(&queue->not_full); /* waiters differ in weight: one signal could wake the wrong one */
    }
    pthread_mutex_unlock(&queue->lock);
    return status;
}

void mr_queue_close(mr_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->not_empty);
    pthread_cond_broadcast(&queue->not_full);
    pthread_mutex_unlock(&queue->lock);
}
