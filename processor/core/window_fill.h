/* window_fill: the windows of other policies, filled from the log before they come into force.
 *
 * A policy that stays word for word keeps its live windows. Every other one starts with what was
 * accepted in its last window, so a change refills nothing: the limits hold over what came before
 * it. Reading the log is the caller's work and may go on in another thread while the state moves
 * on; in the end the caller adds what was accepted meanwhile, and then applies the change:
 *
 *     window_fill_new → window_fill_add … (oldest first, none left out) → window_fill_decide →
 *     state_apply
 *
 * What enters is every event with a stamp ≥ window_fill_from_ns, whatever the quota, for a shadow
 * policy as well: what would have fitted under it depends on where the reading began, and
 * that is earlier when live than in recovery. Older events do no harm. Owned by one thread at a
 * time.
 */
#ifndef WEIR_PROCESSOR_CORE_WINDOW_FILL_H
#define WEIR_PROCESSOR_CORE_WINDOW_FILL_H

#include "processor/core/state.h"

struct window_fill;

/* Copies the policies and what it needs of the state. NULL when out of memory. */
struct window_fill *window_fill_new(const struct state *state, const struct policy_set *policies);
void window_fill_destroy(struct window_fill **fill);

/* The policy with the longest window that must be filled; NULL: none, nothing need be added. It is
 * the fill's. */
const struct policy *window_fill_longest(const struct window_fill *fill);
/* The length of that window; 0: none. */
uint64_t window_fill_length_ns(const struct window_fill *fill);
/* Events that were accepted at this time or later enter where the change is made at `now_ns`. */
uint64_t window_fill_from_ns(const struct window_fill *fill, uint64_t now_ns);

/* Adds one accepted event. Ids go up by one from wherever the first one is. OUT_OF_ORDER; FULL when
 * the windows hold more than the policy's max_keys or max_units; TOO_LARGE when costs pass 64 bits;
 * NO_MEMORY. After a failure the fill can only be destroyed. */
struct accepted_event {
    uint64_t event_id;
    uint64_t accepted_at_ns;
    struct slice source;
    struct event event;
};
MUST_USE enum status window_fill_add(struct window_fill *fill,
                                     const struct accepted_event *accepted,
                                     struct detail *ret_detail);

/* The id that must be added next; 0: any. */
uint64_t window_fill_next_event_id(const struct window_fill *fill);

/* The decision that brings the policies into force. candidates prepared before
 * it are void. Afterwards the caller destroys the fill, which then holds what was in force before
 * (its windows may be large: not in a thread that must go on). */
void window_fill_decide(struct window_fill *fill, uint64_t now_ns, struct decision *ret_decision);

/* For state_apply: exchanges policies and windows with those of the state. NO_MEMORY. */
MUST_USE enum status window_fill_install(struct window_fill *fill, struct state *state);

#endif
