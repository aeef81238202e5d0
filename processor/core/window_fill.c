#include "processor/core/window_fill.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "processor/core/state_struct.h"

struct window_fill {
    struct hash_seed seed;
    struct policy_set *policies;
    struct limiter limiters[POLICIES_MAX];
    uint32_t carried_from[POLICIES_MAX]; /* the policy's number in the old set; POLICY_NONE: fill */
    uint64_t next_event_id;              /* 0: nothing added yet */
};

/* The number of the same policy in a set, or POLICY_NONE. */
static uint32_t find_same(const struct policy_set *set, const struct policy *policy)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (policy_equal(&set->items[i], policy))
            return i;
    }
    return POLICY_NONE;
}

struct window_fill *window_fill_new(const struct state *state, const struct policy_set *policies)
{
    struct window_fill *fill = calloc(1, sizeof *fill);
    if (fill == NULL)
        return NULL;
    fill->policies = malloc(sizeof *fill->policies);
    if (fill->policies == NULL) {
        free(fill);
        return NULL;
    }
    *fill->policies = *policies;
    fill->seed = state->seed;
    for (uint32_t i = 0; i < policies->count; i++) {
        fill->carried_from[i] = find_same(state->policies, &policies->items[i]);
        limiter_init(&fill->limiters[i], &policies->items[i]);
    }
    return fill;
}

void window_fill_destroy(struct window_fill **fill)
{
    if (*fill == NULL)
        return;
    for (uint32_t i = 0; i < (*fill)->policies->count; i++)
        limiter_fini(&(*fill)->limiters[i]);
    free((*fill)->policies);
    free(*fill);
    *fill = NULL;
}

const struct policy *window_fill_longest(const struct window_fill *fill)
{
    const struct policy *longest = NULL;
    for (uint32_t i = 0; i < fill->policies->count; i++) {
        const struct policy *policy = &fill->policies->items[i];
        if (fill->carried_from[i] == POLICY_NONE &&
            (longest == NULL || policy->window_ns > longest->window_ns))
            longest = policy;
    }
    return longest;
}

uint64_t window_fill_length_ns(const struct window_fill *fill)
{
    const struct policy *longest = window_fill_longest(fill);
    return longest == NULL ? 0 : longest->window_ns;
}

uint64_t window_fill_from_ns(const struct window_fill *fill, uint64_t now_ns)
{
    const uint64_t length_ns = window_fill_length_ns(fill);
    return now_ns >= length_ns ? now_ns - length_ns + 1 : 0;
}

uint64_t window_fill_next_event_id(const struct window_fill *fill)
{
    return fill->next_event_id;
}

static enum status too_many(const struct policy *policy, enum limiter_room room,
                            struct detail *ret_detail)
{
    bool keys = room == LIMITER_KEYS_FULL;
    return detail_set(ret_detail, STATUS_FULL,
                      "policy %s: the log holds more than %s = %llu within its window",
                      policy->name, keys ? "max_keys" : "max_units",
                      (unsigned long long)(keys ? policy->keys_max : policy->units_max));
}

static enum status add_to_policy(struct window_fill *fill, uint32_t i, const struct charge *spends,
                                 uint64_t stamp_ns, struct detail *ret_detail)
{
    const struct policy *policy = &fill->policies->items[i];
    struct limiter *limiter = &fill->limiters[i];
    struct candidate_charge charge;
    limiter_charge_init(&charge, &fill->seed, i, spends);
    enum status status = limiter_expire(limiter, stamp_ns);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "policy %s: %s", policy->name, status_text(status));
    struct assay assay = limiter_assay(limiter, &charge);
    if (assay.room != LIMITER_ROOM)
        return too_many(policy, assay.room, ret_detail);
    status = limiter_spend(limiter, &charge, assay.slot);
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "policy %s: %s", policy->name,
                          status == STATUS_TOO_LARGE ? "the costs in the log pass 64 bits"
                                                     : status_text(status));
    return STATUS_OK;
}

enum status window_fill_add(struct window_fill *fill, const struct accepted_event *accepted,
                            struct detail *ret_detail)
{
    if (fill->next_event_id != 0 && accepted->event_id != fill->next_event_id)
        return detail_set(ret_detail, STATUS_OUT_OF_ORDER, "event %llu instead of %llu",
                          (unsigned long long)accepted->event_id,
                          (unsigned long long)fill->next_event_id);
    fill->next_event_id = accepted->event_id + 1;
    for (uint32_t i = 0; i < fill->policies->count; i++) {
        const struct policy *policy = &fill->policies->items[i];
        struct charge charge;
        if (fill->carried_from[i] != POLICY_NONE || !policy_matches(policy, accepted->event.type))
            continue;
        if (policy_charge(policy, accepted->source, &accepted->event, &charge, NULL) != STATUS_OK ||
            charge.cost == 0)
            continue; /* it was accepted without this policy: it spent nothing under it */
        enum status status = add_to_policy(fill, i, &charge, accepted->accepted_at_ns, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

void window_fill_decide(struct window_fill *fill, uint64_t now_ns, struct decision *ret_decision)
{
    ret_decision->kind = DECISION_POLICY;
    ret_decision->time_ns = now_ns;
    ret_decision->fill = fill;
    ret_decision->policies = fill->policies;
}

static enum status expire_filled(struct window_fill *fill, uint64_t now_ns)
{
    for (uint32_t i = 0; i < fill->policies->count; i++) {
        enum status status = STATUS_OK;
        if (fill->carried_from[i] == POLICY_NONE)
            status = limiter_expire(&fill->limiters[i], now_ns);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status window_fill_install(struct window_fill *fill, struct state *state)
{
    enum status status = expire_filled(fill, state->expired_ns);
    if (status != STATUS_OK)
        return status;
    assert(fill->next_event_id == 0 || fill->next_event_id == state->position.last_event_id + 1);
    for (uint32_t i = 0; i < fill->policies->count; i++) {
        uint32_t from = fill->carried_from[i];
        if (from == POLICY_NONE)
            continue;
        assert(policy_equal(&state->policies->items[from], &fill->policies->items[i]));
        struct limiter carried = state->limiters[from];
        state->limiters[from] = fill->limiters[i];
        fill->limiters[i] = carried;
    }
    for (uint32_t i = 0; i < POLICIES_MAX; i++) {
        struct limiter old = state->limiters[i];
        state->limiters[i] = fill->limiters[i];
        fill->limiters[i] = old;
    }
    struct policy_set *old = state->policies;
    state->policies = fill->policies;
    fill->policies = old;
    return STATUS_OK;
}
