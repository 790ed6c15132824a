/* A bounded first-in first-out queue of pointers between two stages; many producers, many consumers.
 *
 * Items are batches of records (thousands a second at most), so a mutex costs nothing measurable here.
 * `weight` lets the bound be bytes as well as items. Ownership of an item passes with it. */
#ifndef MR_CORE_QUEUE_H
#define MR_CORE_QUEUE_H

#include "core/clock.h"

typedef struct mr_queue mr_queue;

/* max_weight 0 = only the item count bounds. One item always fits an empty queue, whatever its weight. */
mr_status mr_queue_create(size_t max_items, size_t max_weight, mr_clock *clock, mr_queue **out, mr_error *error);
void mr_queue_destroy(mr_queue *queue); /* items still inside are the caller's: drain first */

/* Blocks while full. CANCELLED once closed (the item stays the caller's), TIMEOUT at the deadline. */
mr_status mr_queue_push(mr_queue *queue, void *item, size_t weight, int64_t deadline_ns);
/* Blocks while empty. END once closed and empty, TIMEOUT at the deadline. */
mr_status mr_queue_pop(mr_queue *queue, void **item, int64_t deadline_ns);
/* No more pushes; pops go on until empty. Idempotent. */
void mr_queue_close(mr_queue *queue);

#endif
