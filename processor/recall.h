/* recall: the state as of any place in the log: the nearest snapshot before it, then what follows.
 *
 *     recall_state   for tools: the state as of an event id or a time
 *     recall_begin   for whoever goes on folding: a start (held_store.h), the snapshot thread
 *
 * A snapshot that is damaged, of another log, or does not fit what the log holds is passed over
 * with a warning; without any the fold begins with the log. Reads only.
 */
#ifndef WEIR_PROCESSOR_RECALL_H
#define WEIR_PROCESSOR_RECALL_H

#include "processor/recover.h"
#include "processor/store/batch.h"

/* Everything: nothing ends the fold but the log. */
#define FOLD_END_NONE ((struct fold_end){.event_id = UINT64_MAX, .time_ns = UINT64_MAX})

/* Where a fold begins. */
struct recall {
    struct recovery *recovery; /* the caller's from then on */
    struct log_start start;    /* the batch to fold next; zeroed: the log's first */
    uint64_t snapshot_bytes;   /* size of the snapshot; 0: none */
};

/* A new recovery that stands where the newest good snapshot not behind `end` does, or at the
 * beginning. With `quietly` nothing is said of those that are passed over: whoever began before has
 * done so. GONE: the log no longer has its beginning, and no snapshot stands for it. IO, NO_MEMORY.
 */
MUST_USE enum status recall_begin(const char *directory, struct fold_end end, bool quietly,
                                  struct recall *ret_recall, struct detail *ret_detail);

/* As recall_begin, from the snapshot that stands before batch `number` and no other. NOT_FOUND:
 * there is none; DAMAGED, IO, NO_MEMORY. */
MUST_USE enum status recall_snapshot(const char *directory, uint64_t number,
                                     struct recall *ret_recall, struct detail *ret_detail);

/* The state as of `end`, from the log up to `durable` (a log that somebody writes is read up to
 * there). With a `key` (it has data; borrowed for the state's life) the state is narrow, unless
 * policies changed between the snapshot and the end (state_narrow). The caller destroys it. GONE as
 * recall_begin; `end` is before the oldest snapshot of a log that has lost its beginning, or behind
 * a change of the policies whose windows reach back to what it has lost, with no snapshot in
 * between. DAMAGED, DIVERGED, IO, NO_MEMORY. */
MUST_USE enum status recall_state(const char *directory, const struct durable *durable,
                                  struct fold_end end, struct slice key, struct state **ret_state,
                                  struct detail *ret_detail);

#endif
