/* queue: the bounded queue of pointers through which the processor's threads hand things on.
 *
 * Any number of pushers and poppers. queue_push waits while the queue is full (that is the
 * back-pressure), queue_try_push does not. A queue made with a descriptor can be waited for in a
 * poll loop: the descriptor is readable while the queue holds something.
 */
#ifndef WEIR_PROCESSOR_QUEUE_H
#define WEIR_PROCESSOR_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"

struct queue;

/* capacity ≥ 1 items. NULL when out of memory or descriptors. */
struct queue *queue_new(uint32_t capacity, bool with_descriptor);
void queue_destroy(struct queue **queue);

void queue_push(struct queue *queue, void *item);
/* FULL. */
MUST_USE enum status queue_try_push(struct queue *queue, void *item);
/* Takes up to `max` items in order; waits up to timeout_ms (0: does not wait) for the first.
 * Returns their number; 0 after the time or once the queue is closed and empty. */
uint32_t queue_pop(struct queue *queue, void **ret_items, uint32_t max, int timeout_ms);
/* No more pushes will come; wakes who waits. */
void queue_close(struct queue *queue);
/* Closed and empty? */
bool queue_finished(struct queue *queue);
/* −1 without one. */
int queue_descriptor(const struct queue *queue);

#endif
