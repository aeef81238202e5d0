/* batch: one group commit while it is being filled, written, published and acknowledged.
 *
 * The core thread fills it, then it belongs to the commit thread. Its bytes are written, published
 * and sent from where they are: libzmq borrows them, so a batch is counted by reference and goes
 * back to the pool when the last one is done with it.
 *
 *   core: batch_pool_take → … → queue → commit: log_append → publish (batch_reference) →
 * batch_release
 */
#ifndef WEIR_PROCESSOR_BATCH_H
#define WEIR_PROCESSOR_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "processor/call.h"
#include "processor/store/log.h"

enum {
    BATCH_TARGET_BYTES =
        768 * 1024, /* of accepted or of rejected records: then it is handed over */
    BATCH_ACKS_BYTES_MAX = 8 * 1024 * 1024,
    BATCH_ACKS_TARGET_BYTES = 4 * 1024 * 1024,
    BATCH_ACKS_BYTES_KEPT = 512 * 1024, /* of memory, from batch to batch */
    BATCH_ANSWERS_MAX = 64,
    BATCH_POOL_FREE_MAX = 16, /* batches kept for reuse */
};

struct batch_pool;

struct batch {
    struct batch_pool *pool;
    struct batch_header header;
    struct buffer sources;  /* part of the log */
    struct buffer accepted; /* part of the log, and the body of the topic `accepted` */
    struct buffer rejected; /* part of the log, and the body of the topic `rejected` */
    struct buffer acks;     /* ack after ack, see batch_ack_next */
    struct call *answers[BATCH_ANSWERS_MAX]; /* owned; they leave when the batch is durable */
    uint32_t answer_count;
    uint32_t references; /* guarded by the pool */
    struct batch *next_free;
};

struct batch_pool *batch_pool_new(void);
/* All batches must be back. */
void batch_pool_destroy(struct batch_pool **pool);

/* An empty batch with one reference. NULL when out of memory. */
struct batch *batch_pool_take(struct batch_pool *pool);
void batch_reference(struct batch *batch);
void batch_release(struct batch *batch);

/* Is there anything that must be on disk? (Acks of resends alone need no write.) */
bool batch_is_durable_matter(const struct batch *batch);
/* Nothing at all in it? */
bool batch_is_empty(const struct batch *batch);

struct batch_view batch_view_of(const struct batch *batch);

/* Appends one ack; batch_ack_next reads them one by one, `offset` starts at 0. */
void batch_ack_add(struct batch *batch, struct slice source, struct slice ack_frame);
bool batch_ack_next(const struct batch *batch, size_t *offset, struct slice *ret_source,
                    struct slice *ret_ack_frame);

#endif
