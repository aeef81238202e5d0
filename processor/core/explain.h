/* explain: what a state says of one policy: the keys that have something in their window, how much,
 * and when the next unit fits. Pure; used by `state` and by the request `explain`.
 */
#ifndef WEIR_PROCESSOR_CORE_EXPLAIN_H
#define WEIR_PROCESSOR_CORE_EXPLAIN_H

#include "processor/core/state.h"
#include "processor/core/window.h"

struct explain_key {
    struct policy_key_value key; /* borrows the state */
    uint64_t units;              /* that count as of the state's time */
    uint64_t oldest_ns;          /* stamp of the first of them */
    uint64_t newest_ns;          /* … and of the last */
    uint64_t fits_in_ns;         /* until one more unit fits if nothing is added; 0: now */
    uint32_t slot;               /* where it is kept */
};

/* Log time up to which the windows have passed. */
uint64_t explain_now_ns(const struct state *state);

/* Slots are numbered from 0 up to explain_slot_count. False: the slot is free, or nothing of its
 * key counts. */
uint32_t explain_slot_count(const struct state *state, uint32_t policy);
bool explain_slot(const struct state *state, uint32_t policy, uint32_t slot,
                  struct explain_key *ret_key);
/* Its stamps and costs, oldest first (window_walk_next). False as above. */
bool explain_slot_walk(const struct state *state, uint32_t policy, uint32_t slot,
                       struct policy_key_value *ret_key, struct window_walk *ret_walk);

#endif
