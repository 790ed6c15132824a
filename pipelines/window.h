/* The window of records in flight: bounds them at its entrance and puts them back in order at its exit.
 *
 *   enter (reader) -> any stages, any order -> deliver -> next (writer), in the order of entering
 *
 * Because every record between source and sink holds a place here, this one bound (count and bytes) bounds the memory
 * of all stages and queues together. Whoever enters a record must deliver it, failed or not. */
#ifndef MR_PIPELINES_WINDOW_H
#define MR_PIPELINES_WINDOW_H

#include "core/clock.h"

typedef struct mr_window mr_window;

mr_status mr_window_create(size_t max_records, size_t max_bytes, mr_clock *clock, mr_window **out, mr_error *error);
void mr_window_destroy(mr_window *window);

/* Waits for room, then gives the next sequence number (0, 1, ...). A record larger than max_bytes gets in alone.
 * CANCELLED after mr_window_cancel. */
mr_status mr_window_enter(mr_window *window, size_t bytes, uint64_t *sequence);
/* No more enters: next returns END after the last delivered one. */
void mr_window_close(mr_window *window);

/* A record inside takes so many bytes less from now on: mr_window_leave is to be told the rest. */
void mr_window_shrink(mr_window *window, size_t bytes);

/* `item` must not be NULL; ownership goes to the one who calls next. Never blocks. */
void mr_window_deliver(mr_window *window, uint64_t sequence, void *item);

/* Waits for the item whose turn it is; its place stays taken until mr_window_leave. CANCELLED, END, TIMEOUT. */
mr_status mr_window_next(mr_window *window, void **item, int64_t deadline_ns);
/* The item last returned by next is dealt with: `bytes` as at enter. */
void mr_window_leave(mr_window *window, size_t bytes);

/* Ends all waiting. */
void mr_window_cancel(mr_window *window);
/* After cancel, when no other thread uses the window: takes out an undelivered-to-writer item, NULL when none is left. */
void *mr_window_drain(mr_window *window);

#endif
