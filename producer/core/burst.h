/* burst: which events, and how many of them, go over a limit of the policies in force. Pure.
 *
 * Only limits whose key can be the injector's own are aimed at (its source, subject, type or a
 * field of data), so that the burst refuses nobody else's events; where a limit that all share
 * charges the events too, they use a small part of it. A policy counts as exceedable if a bounded
 * number of events is over its quota and its window is longer than it takes to send them.
 */
#ifndef WEIR_PRODUCER_CORE_BURST_H
#define WEIR_PRODUCER_CORE_BURST_H

#include "common/policy/policy.h"
#include "producer/core/catalogue.h"

enum {
    BURST_EVENTS_MAX = 20000,
    BURST_BEYOND = 5,      /* events more than fit */
    BURST_SHARE = 10,      /* at most one in so many units of a quota that others share */
    BURST_COST_PARTS = 10, /* of a quota, where the event may say its own cost */
};
#define BURST_WINDOW_NS_MIN 1000000000ULL
#define BURST_TYPE          "inject.burst"

struct burst {
    struct buffer event; /* all are alike */
    uint64_t events;     /* to be sent */
    uint64_t fits;       /* of them, where nothing was spent under the key before */
    uint64_t window_ns;
    enum policy_key key;
    char policy[POLICY_NAME_BYTES_MAX + 1];
};

void burst_init(struct burst *burst);
void burst_fini(struct burst *burst);

/* Plans the burst that takes the fewest events, those of BURST_TYPE before others. NOT_FOUND, with
 * a detail that says so, when no policy can be exceeded; NO_MEMORY. */
MUST_USE enum status burst_plan(const struct policy_set *policies,
                                const struct injection_place *place, struct burst *ret_burst,
                                struct detail *ret_detail);

/* Appends one submission: as many of the `left` events as may go together, at place's
 * first_sequence. Returns their number. */
uint32_t burst_build(const struct burst *burst, const struct injection_place *place, uint64_t left,
                     struct buffer *bytes);

#endif
