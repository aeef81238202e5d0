/* admission: decide. Pure: (const state, input, now) → decision; no I/O, no clock, no change.
 *
 * Once per batch: admission_tick → state_apply. For each event: prepare (which policies match, what
 * it would spend, where to look) → prefetch → decide → state_apply. prepare and the two prefetches
 * of a whole group run ahead of the first decide, so that the cache misses overlap; the prefetches
 * may be left out.
 */
#ifndef WEIR_PROCESSOR_CORE_ADMISSION_H
#define WEIR_PROCESSOR_CORE_ADMISSION_H

#include "processor/core/state.h"

enum { ADMISSION_GROUP_MAX = 64 };

struct candidate {
    struct event event;
    struct slice source_name;
    uint32_t source;    /* slot; SOURCE_NONE for unsequenced events */
    uint64_t sequence;  /* 0: unsequenced */
    enum status status; /* OK; INVALID: a field that a policy needs is missing or of the wrong type
                           (detail) */
    uint32_t charge_count;
    struct candidate_charge charges[POLICIES_MAX];
    struct detail detail; /* filled when status is not OK */
};

/* Fills status, charge_count, charges (and detail) of a candidate whose first four fields are set;
 * touches the index of each key so that it is on its way to the cache. Depends on the policies
 * only, never on time or windows. */
void admission_prepare(const struct state *state, struct candidate *candidate);
/* Second step: finds the slot of each key and touches it. */
void admission_prefetch(const struct state *state, struct candidate *candidate);
/* Third step: reads the slots and touches the windows behind them. */
void admission_prefetch_windows(const struct state *state, const struct candidate *candidate);

/* Time is `now_ns` (≥ the last time). Applied before anything is decided at that time, so that the
 * number of live keys is exact and no key is refused for one that has just ended. */
void admission_tick(uint64_t now_ns, struct decision *ret_decision);

/* The verdict on one prepared candidate at `now_ns`, the time of the last tick: kind ACCEPT or
 * REFUSE (rate_limited, invalid, unavailable). All matching enforcing policies pass together or
 * nothing is spent. The decision borrows the candidate. */
void admission_decide(const struct state *state, const struct candidate *candidate, uint64_t now_ns,
                      struct decision *ret_decision);

/* The decision that a logged acceptance stands for (after a tick to its time, as it was live):
 * spends all charges whatever the windows hold (recovery), except shadow charges that did not fit
 * then, which is decided again from the windows.
 */
void admission_recorded(const struct state *state, const struct candidate *candidate,
                        uint64_t accepted_at_ns, struct decision *ret_decision);

/* A refusal that needs no look at the windows (invalid, too_large, malformed, unavailable): uses
 * `count` sequences. */
void admission_refuse(const struct state *state, uint32_t source, uint64_t sequence, uint64_t count,
                      enum reason reason, uint64_t now_ns, struct decision *ret_decision);

/* The next epoch for a source. UNAVAILABLE above SOURCES_MAX. */
MUST_USE enum status admission_hello(const struct state *state, struct slice source,
                                     uint64_t now_ns, struct decision *ret_decision);

/* What stands between a submission's header and its first event that may be decided: order of the
 * checks in docs/protocol.md: epoch, then sequence. */
enum entrance {
    ENTRANCE_OPEN,   /* decide from event `skip` on; the first `skip` are duplicates */
    ENTRANCE_FENCED, /* epoch older, or never given out */
    ENTRANCE_GAP,    /* first_sequence > last + 1 */
};
struct entry {
    enum entrance entrance;
    uint32_t source; /* slot; SOURCE_NONE: unknown source, or unsequenced */
    uint64_t skip;   /* events already decided, ≤ count */
};
struct entry admission_enter(const struct state *state, struct slice source, uint64_t epoch,
                             uint64_t first_sequence, uint32_t count);

#endif
