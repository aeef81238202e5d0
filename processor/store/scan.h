/* scan: reads the whole log once, in order, checks everything, and finds where it ends. Writes
 * nothing.
 *
 * The end is a header place that is all zero, or a batch that fails its checks. What fails counts
 * as the end only if nothing proves that it had been durable; else the scan is DAMAGED:
 *
 *   - a later segment exists (it is made only when all before it is durable)
 *   - a later header is valid and was written after this batch was durable (write_first)
 *   - a later header is valid and the failing bytes do not look like a torn write (no sector of
 * them is still zero)
 */
#ifndef WEIR_PROCESSOR_STORE_SCAN_H
#define WEIR_PROCESSOR_STORE_SCAN_H

#include "processor/store/batch.h"
#include "processor/store/file.h"

struct scan_result {
    struct batch_chain chain;  /* what the next batch must continue */
    struct durable durable;    /* end of the last good batch */
    uint64_t last_write;       /* in durable.segment: where the write that brought the last batch
                                  begins */
    uint64_t segment;          /* last segment: the one that takes the next batch */
    uint64_t offset;           /* in it: where the next batch goes */
    uint64_t torn_bytes;       /* from offset up to the last byte that is not zero; 0: clean */
    struct detail torn_reason; /* where torn_bytes > 0 */
    bool empty;                /* no segments at all: a new store */
};

/* Visits every batch of the segments in `folder`; from `start` on where it is not NULL, which
 * scan_start_check has passed. DAMAGED names file and offset; IO; NO_MEMORY; what `visit`
 * returned. */
MUST_USE enum status scan_log(const struct folder *folder, const struct log_start *start,
                              log_visit_fn *visit, void *context, struct scan_result *ret_result,
                              struct detail *ret_detail);

/* Is the place there, and does what is written there continue what `start` says came before? A
 * place is in a segment that has a successor. DAMAGED with the reason: no; IO. */
MUST_USE enum status scan_start_check(const struct folder *folder, const struct log_start *start,
                                      struct detail *ret_detail);

/* Finds the end of a log from its last segment alone, in the same way and with the same checks of
 * that segment (with those of the one before, where the last holds no good batch yet). What stands
 * before is not looked at. DAMAGED, IO, NO_MEMORY. */
MUST_USE enum status scan_end(const struct folder *folder, struct scan_result *ret_result,
                              struct detail *ret_detail);

/* What is durable for sure, by the last segment's first batch alone: all that stands before that.
 * ret_sealed->last_time_ns is the time of that batch. END: there is no segment but the last, or it
 * has no whole batch at its beginning. IO, NO_MEMORY. */
MUST_USE enum status scan_sealed(const struct folder *folder, struct durable *ret_sealed,
                                 struct detail *ret_detail);

#endif
