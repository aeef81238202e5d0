#include "processor/core/explain.h"

#include <assert.h>

#include "processor/core/state_struct.h"

uint64_t explain_now_ns(const struct state *state)
{
    return state->expired_ns;
}

uint32_t explain_slot_count(const struct state *state, uint32_t policy)
{
    assert(policy < state->policies->count);
    return limiter_slot_count(&state->limiters[policy]);
}

/* When what counts has fallen to quota − 1. `walk` stands before the oldest entry. */
static uint64_t wait_of(struct window_walk walk, uint64_t units, uint64_t quota)
{
    uint64_t stamp_ns = 0, cost = 0, wait_ns = 0;
    while (units >= quota && window_walk_next(&walk, &stamp_ns, &cost)) {
        units -= cost;
        wait_ns = walk.length_ns - (walk.now_ns - stamp_ns);
    }
    return wait_ns;
}

bool explain_slot_walk(const struct state *state, uint32_t policy, uint32_t slot,
                       struct policy_key_value *ret_key, struct window_walk *ret_walk)
{
    struct slice bytes;
    return limiter_slot(&state->limiters[policy], slot, &bytes, ret_walk) &&
           limiter_key_value(bytes, ret_key);
}

bool explain_slot(const struct state *state, uint32_t policy, uint32_t slot,
                  struct explain_key *ret_key)
{
    struct window_walk first, walk;
    struct explain_key key = {.slot = slot};
    uint64_t stamp_ns, cost;
    if (!explain_slot_walk(state, policy, slot, &key.key, &first))
        return false;
    walk = first;
    while (window_walk_next(&walk, &stamp_ns, &cost)) {
        if (key.units == 0)
            key.oldest_ns = stamp_ns;
        key.newest_ns = stamp_ns;
        key.units += cost;
    }
    if (key.units == 0)
        return false;
    key.fits_in_ns = wait_of(first, key.units, state->policies->items[policy].quota);
    *ret_key = key;
    return true;
}
