/* workload: plausible events of a small shop, from a seed. Pure.
 *
 * Subjects are numbered; of every eight, four are orders, two users, one a product and one a
 * payment. Each has a small state, so that its events make sense one after another: an order is
 * created, confirmed, shipped or cancelled, with the same user, amount and currency all along;
 * stock is taken away only where there is some. The same options give the same bytes for ever.
 * Written for speed (parts of events are encoded once, at the start); no allocation after that.
 */
#ifndef WEIR_PRODUCER_CORE_WORKLOAD_H
#define WEIR_PRODUCER_CORE_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"

enum {
    WORKLOAD_SUBJECTS_MAX = 100 * 1000 * 1000,
    /* Room that workload_put needs; about 100 of them are used. */
    WORKLOAD_EVENT_BYTES_MAX = 256,
};

struct workload; /* opaque */

struct workload_options {
    uint64_t seed;
    uint32_t subjects; /* 1 … WORKLOAD_SUBJECTS_MAX; one byte of memory each */
    bool bursts;       /* now and then one subject gets most of the events for a while */
};

MUST_USE enum status workload_new(const struct workload_options *options,
                                  struct workload **ret_workload);
void workload_destroy(struct workload **workload);

/* Writes one event at `at`, where WORKLOAD_EVENT_BYTES_MAX are free; returns the next free byte. */
uint8_t *workload_put(struct workload *workload, uint8_t *at, uint64_t occurred_at_ns);

#endif
