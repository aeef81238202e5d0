/* recover: folding the log into the state. Applies what was recorded, decides nothing again.
 *
 * The fold is handed each batch by log_open, in order and verified. Afterwards the positions must
 * be those that the batch headers promise, or the log is called damaged; and the state's digest
 * that of the writer, or the fold is called DIVERGED.
 */
#ifndef WEIR_PROCESSOR_RECOVER_H
#define WEIR_PROCESSOR_RECOVER_H

#include "processor/core/state.h"
#include "processor/store/log.h"
#include "processor/store/source_record.h"

enum { GENESIS_BYTES_MAX = POLICY_TEXT_BYTES_MAX + 64 }; /* of the record in batch 0 */

struct recovery;

/* `directory` is the store's, for what a policy change needs of the log. NULL when out of memory.
 */
struct recovery *recovery_new(const char *directory);
void recovery_destroy(struct recovery **recovery);

/* Before the first visit: a state that begins with the genesis is narrowed to `key` (state_narrow),
 * which is borrowed. A visit that comes upon other policies returns UNAVAILABLE when the state is
 * narrow: their windows cannot be told from it. */
void recovery_narrow(struct recovery *recovery, struct slice key);

/* Goes on from a state that was written down with the log's genesis record, instead of from batch
 * 0. Takes the state over when it succeeds; `genesis` may be this recovery's own record, `state`
 * NULL for now. DAMAGED: the record cannot be read. */
MUST_USE enum status recovery_resume(struct recovery *recovery, struct slice genesis,
                                     struct state *state, struct detail *ret_detail);

/* Where a fold ends before the log does: behind the last event that has neither a higher id nor a
 * later time. What was refused before it counts; a batch is applied event by event. */
struct fold_end {
    uint64_t event_id; /* UINT64_MAX: any */
    uint64_t time_ns;  /* UINT64_MAX: any */
};
/* Before the first visit. When the end is met the visit returns END, and time has passed up to
 * `time_ns` where it is set. */
void recovery_end_at(struct recovery *recovery, struct fold_end end);

/* A log_visit_fn; the context is the recovery. */
enum status recovery_visit(void *context, const struct batch_view *batch,
                           struct detail *ret_detail);

/* The log ended before the fold's end: time passes up to it, where one is set. DAMAGED: no genesis
 * was seen; NO_MEMORY. */
MUST_USE enum status recovery_finish(struct recovery *recovery, struct detail *ret_detail);

/* The state so far; NULL before the genesis. It stays the recovery's. */
const struct state *recovery_state(const struct recovery *recovery);
/* The genesis record as it was read; empty if none was seen. */
struct slice recovery_genesis_record(const struct recovery *recovery);
/* The state so far; the caller takes it over (NULL if no genesis was seen). */
struct state *recovery_take_state(struct recovery *recovery);
/* The genesis, its text kept by the recovery; `log_id` is all zero if none was seen. */
const struct genesis *recovery_genesis(const struct recovery *recovery);

#endif
