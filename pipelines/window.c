#include "pipelines/window.h"

#include <assert.h>
#include <stdlib.h>

struct mr_window {
    pthread_mutex_t lock; /* leaf */
    pthread_cond_t room;
    pthread_cond_t ready;
    mr_clock *clock;
    size_t max_records;
    size_t max_bytes;
    size_t bytes;
    uint64_t entered; /* next sequence to give out */
    uint64_t taken;   /* next sequence for the writer */
    uint64_t left;    /* places freed so far */
    bool closed;
    bool cancelled;
    void *slots[]; /* [max_records], by sequence modulo max_records */
};

mr_status mr_window_create(size_t max_records, size_t max_bytes, mr_clock *clock, mr_window **out, mr_error *error)
{
    assert(max_records > 0 && max_records < SIZE_MAX / (2 * sizeof(void *)));
    mr_window *window = calloc(1, sizeof *window + max_records * sizeof(void *));
    if (!window) return mr_error_set(error, MR_OUT_OF_MEMORY, "cannot allocate a window of %zu records", max_records);
    window->clock = clock;
    window->max_records = max_records;
    window->max_bytes = max_bytes;
    pthread_mutex_init(&window->lock, NULL);
    mr_clock_cond_init(&window->room);
    mr_clock_cond_init(&window->ready);
    *out = window;
    return MR_OK;
}

void mr_window_destroy(mr_window *window)
{
    if (!window) return;
    pthread_cond_destroy(&window->ready);
    pthread_cond_destroy(&window->room);
    pthread_mutex_destroy(&window->lock);
    free(window);
}

static bool has_room(const mr_window *window, size_t bytes)
{
    uint64_t inside = window->entered - window->left;
    if (inside == 0) return true;
    return inside < window->max_records && bytes <= window->max_bytes && window->bytes <= window->max_bytes - bytes;
}

mr_status mr_window_enter(mr_window *window, size_t bytes, uint64_t *sequence)
{
    pthread_mutex_lock(&window->lock);
    while (!window->cancelled && !has_room(window, bytes)) mr_clock_wait(window->clock, &window->room, &window->lock, MR_CLOCK_FOREVER);
    mr_status status = window->cancelled ? MR_CANCELLED : MR_OK;
    if (status == MR_OK) {
        *sequence = window->entered++;
        window->bytes += bytes;
    }
    pthread_mutex_unlock(&window->lock);
    return status;
}

void mr_window_shrink(mr_window *window, size_t bytes)
{
    pthread_mutex_lock(&window->lock);
    assert(window->bytes >= bytes);
    window->bytes -= bytes;
    pthread_cond_signal(&window->room);
    pthread_mutex_unlock(&window->lock);
}

void mr_window_close(mr_window *window)
{
    pthread_mutex_lock(&window->lock);
    window->closed = true;
    pthread_cond_broadcast(&window->ready);
    pthread_mutex_unlock(&window->lock);
}

void mr_window_deliver(mr_window *window, uint64_t sequence, void *item)
{
    pthread_mutex_lock(&window->lock);
    void **slot = &window->slots[sequence % window->max_records];
    assert(item && !*slot && sequence >= window->taken && sequence < window->entered);
    *slot = item;
    if (sequence == window->taken) pthread_cond_signal(&window->ready);
    pthread_mutex_unlock(&window->lock);
}

static bool is_through(const mr_window *window)
{
    return window->closed && window->taken == window->entered;
}

mr_status mr_window_next(mr_window *window, void **item, int64_t deadline_ns)
{
    bool in_time = true;
    pthread_mutex_lock(&window->lock);
    void **slot = &window->slots[window->taken % window->max_records];
    while (!window->cancelled && !*slot && !is_through(window) && in_time)
        in_time = mr_clock_wait(window->clock, &window->ready, &window->lock, deadline_ns);
    mr_status status = window->cancelled ? MR_CANCELLED : *slot ? MR_OK : is_through(window) ? MR_END : MR_TIMEOUT;
    if (status == MR_OK) {
        *item = *slot;
        *slot = NULL;
        window->taken++;
    }
    pthread_mutex_unlock(&window->lock);
    return status;
}

void mr_window_leave(mr_window *window, size_t bytes)
{
    pthread_mutex_lock(&window->lock);
    assert(window->left < window->taken && window->bytes >= bytes);
    window->left++;
    window->bytes -= bytes;
    pthread_cond_signal(&window->room);
    pthread_mutex_unlock(&window->lock);
}

void mr_window_cancel(mr_window *window)
{
    pthread_mutex_lock(&window->lock);
    window->cancelled = true;
    pthread_cond_broadcast(&window->room);
    pthread_cond_broadcast(&window->ready);
    pthread_mutex_unlock(&window->lock);
}

void *mr_window_drain(mr_window *window)
{
    for (size_t i = 0; i < window->max_records; i++) {
        void *item = window->slots[i];
        window->slots[i] = NULL;
        if (item) return item;
    }
    return NULL;
}
