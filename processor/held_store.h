/* held_store: a store that this process holds: locked, opened, folded into the state, its policies
 * settled. What every command does before it decides anything.
 *
 *     held_store_init → held_store_lock → held_store_open → held_store_settle → … → held_store_fini
 *
 * Belongs to the main thread; `state` may be taken over (set it to NULL), `log` may be used by one
 * other thread.
 */
#ifndef WEIR_PROCESSOR_HELD_STORE_H
#define WEIR_PROCESSOR_HELD_STORE_H

#include "processor/core/state.h"
#include "processor/recover.h"
#include "processor/store/log.h"

struct held_store {
    const char *directory;
    uint64_t segment_bytes; /* of new segments; 0: as usual */
    int lock_fd;            /* -1: not locked */
    struct recovery *recovery;
    struct log *log;
    struct state *state; /* as the log tells it; owned until somebody takes it over */
    struct log_id log_id;
    const char *genesis_policy; /* canonical text of the log's first policies */
};

void held_store_init(struct held_store *held, const char *directory);
void held_store_fini(struct held_store *held);

/* Makes the folder if it is missing and takes its lock. BUSY, IO. */
MUST_USE enum status held_store_lock(struct held_store *held, struct detail *ret_detail);

/* Opens the log and folds it. A new one begins with the policies `first` and the time
 * `created_at_ns`. Says on the log what was repaired. INTERRUPTED when a stop was asked for
 * meanwhile; as log_open. */
MUST_USE enum status held_store_open(struct held_store *held, const struct policy_set *first,
                                     uint64_t created_at_ns, struct detail *ret_detail);

/* Policies that differ from those in force enter the log as an event of time `now_ns` (not before
 * the log's last time), with a warning, since somebody may have set those in force while it ran;
 * NULL: those in force stay. CONFIG: their windows reach back to what the log no longer holds; as
 * policy_change_make. */
MUST_USE enum status held_store_settle(struct held_store *held, const struct policy_set *wanted,
                                       uint64_t now_ns, struct detail *ret_detail);

#endif
