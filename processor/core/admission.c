#include "processor/core/admission.h"

#include <assert.h>
#include <stddef.h>

#include "processor/core/state_struct.h"

/* ---- before the verdict: what an event would spend ---- */

void admission_prepare(const struct state *state, struct candidate *candidate)
{
    candidate->status = STATUS_OK;
    candidate->charge_count = 0;
    for (uint32_t i = 0; i < state->policies->count; i++) {
        const struct policy *policy = &state->policies->items[i];
        struct charge charge;
        if (!policy_matches(policy, candidate->event.type))
            continue;
        bool shadow = policy->mode == POLICY_SHADOW;
        enum status status = policy_charge(policy, candidate->source_name, &candidate->event,
                                           &charge, shadow ? NULL : &candidate->detail);
        if (status == STATUS_OK) {
            struct candidate_charge *added = &candidate->charges[candidate->charge_count++];
            limiter_charge_init(added, &state->seed, i, &charge);
            limiter_prefetch_bucket(&state->limiters[i], added);
        } else if (!shadow) {
            /* a shadow policy refuses nothing, not even this */
            candidate->status = STATUS_INVALID;
            return;
        }
    }
}

void admission_prefetch(const struct state *state, struct candidate *candidate)
{
    for (uint32_t i = 0; i < candidate->charge_count; i++) {
        struct candidate_charge *charge = &candidate->charges[i];
        limiter_prefetch_slot(&state->limiters[charge->policy], charge);
    }
}

void admission_prefetch_windows(const struct state *state, const struct candidate *candidate)
{
    for (uint32_t i = 0; i < candidate->charge_count; i++) {
        const struct candidate_charge *charge = &candidate->charges[i];
        limiter_prefetch_window(&state->limiters[charge->policy], charge);
    }
}

/* ---- the verdict ---- */

/* An acceptance without charges: the fields that every verdict has. Those that have a meaning only
 * sometimes are set then; the whole is too large to be cleared for each event. */
static void start_verdict(const struct state *state, uint32_t source, uint64_t sequence,
                          uint64_t now_ns, struct decision *ret_decision)
{
    ret_decision->kind = DECISION_ACCEPT;
    ret_decision->time_ns = now_ns;
    ret_decision->source = source;
    ret_decision->sequence = sequence;
    ret_decision->count = 1;
    ret_decision->event_id = state->position.last_event_id + 1;
    ret_decision->policy = POLICY_NONE;
    ret_decision->policy_charge = 0;
    ret_decision->retry_after_ns = RETRY_NEVER;
    ret_decision->charge_count = 0;
    ret_decision->charges = NULL;
    ret_decision->shadow_count = 0;
    ret_decision->spends = 0;
    ret_decision->detail.text[0] = '\0';
}

static void take_charges(struct decision *decision, const struct candidate *candidate)
{
    decision->charge_count = candidate->charge_count;
    decision->charges = candidate->charges;
}

static void turn_down(struct decision *decision, enum reason reason)
{
    decision->kind = DECISION_REFUSE;
    decision->reason = reason;
    decision->event_id = 0;
    decision->shadow_count = 0;
    decision->spends = 0;
}

static void report_shadow(struct decision *decision, uint32_t charge, const struct assay *result)
{
    decision->shadows[decision->shadow_count++] = (struct shadow_report){
        .policy = decision->charges[charge].policy,
        .charge = charge,
        .retry_after_ns = result->wait_ns > 0 ? result->wait_ns : RETRY_NEVER,
    };
}

static void blame(struct decision *decision, uint32_t charge, uint64_t retry_after_ns)
{
    decision->policy = decision->charges[charge].policy;
    decision->policy_charge = charge;
    decision->retry_after_ns = retry_after_ns;
}

static void explain_full(const struct policy *policy, enum limiter_room room,
                         struct detail *ret_detail)
{
    bool keys = room == LIMITER_KEYS_FULL;
    enum status status =
        detail_set(ret_detail, STATUS_UNAVAILABLE, "policy %s: %s = %llu %s", policy->name,
                   keys ? "max_keys" : "max_units",
                   (unsigned long long)(keys ? policy->keys_max : policy->units_max),
                   keys ? "keys are live" : "acceptances are in the window");
    (void)status;
}

static bool is_shadow(const struct state *state, const struct candidate_charge *charge)
{
    return state->policies->items[charge->policy].mode == POLICY_SHADOW;
}

void admission_tick(uint64_t now_ns, struct decision *ret_decision)
{
    ret_decision->kind = DECISION_TICK;
    ret_decision->time_ns = now_ns;
}

/* What speaks against an event, over all enforcing policies. */
struct objections {
    uint64_t longest_ns;    /* the longest wait; 0: every window has room */
    uint32_t slowest;       /* the first charge that waits so long */
    enum limiter_room room; /* why the first charge that meets a cap does */
    uint32_t full;          /* that charge */
};

static void weigh(const struct state *state, uint32_t i, struct objections *objections,
                  struct decision *decision)
{
    const struct candidate_charge *charge = &decision->charges[i];
    struct assay assay = limiter_assay(&state->limiters[charge->policy], charge);
    decision->slots[i] = assay.slot;
    if (assay_fits(&assay)) {
        if (charge->cost > 0)
            decision->spends |= 1ULL << i;
    } else if (is_shadow(state, charge)) {
        report_shadow(decision, i, &assay);
    } else if (assay.wait_ns > objections->longest_ns) {
        objections->longest_ns = assay.wait_ns;
        objections->slowest = i;
    } else if (assay.wait_ns == 0 && objections->room == LIMITER_ROOM) {
        objections->room = assay.room;
        objections->full = i;
    }
}

void admission_decide(const struct state *state, const struct candidate *candidate, uint64_t now_ns,
                      struct decision *ret_decision)
{
    assert(now_ns == state->expired_ns);
    start_verdict(state, candidate->source, candidate->sequence, now_ns, ret_decision);
    if (candidate->status != STATUS_OK) {
        turn_down(ret_decision, REASON_INVALID);
        ret_decision->detail = candidate->detail;
        return;
    }
    struct objections objections = {.room = LIMITER_ROOM};
    take_charges(ret_decision, candidate);
    for (uint32_t i = 0; i < candidate->charge_count; i++)
        weigh(state, i, &objections, ret_decision);
    if (objections.longest_ns > 0) {
        turn_down(ret_decision, REASON_RATE_LIMITED);
        blame(ret_decision, objections.slowest, objections.longest_ns);
    } else if (objections.room != LIMITER_ROOM) {
        turn_down(ret_decision, REASON_UNAVAILABLE);
        blame(ret_decision, objections.full, RETRY_NEVER);
        explain_full(&state->policies->items[ret_decision->policy], objections.room,
                     &ret_decision->detail);
    }
}

void admission_recorded(const struct state *state, const struct candidate *candidate,
                        uint64_t accepted_at_ns, struct decision *ret_decision)
{
    assert(accepted_at_ns == state->expired_ns);
    start_verdict(state, candidate->source, candidate->sequence, accepted_at_ns, ret_decision);
    take_charges(ret_decision, candidate);
    for (uint32_t i = 0; i < candidate->charge_count; i++) {
        const struct candidate_charge *charge = &candidate->charges[i];
        struct assay result = limiter_assay(&state->limiters[charge->policy], charge);
        ret_decision->slots[i] = result.slot;
        if (charge->cost > 0 && (!is_shadow(state, charge) || assay_fits(&result)))
            ret_decision->spends |= 1ULL << i;
    }
}

void admission_refuse(const struct state *state, uint32_t source, uint64_t sequence, uint64_t count,
                      enum reason reason, uint64_t now_ns, struct decision *ret_decision)
{
    assert(now_ns >= state->position.last_time_ns);
    start_verdict(state, source, sequence, now_ns, ret_decision);
    turn_down(ret_decision, reason);
    ret_decision->count = count;
}

/* ---- sources ---- */

enum status admission_hello(const struct state *state, struct slice source, uint64_t now_ns,
                            struct decision *ret_decision)
{
    uint32_t slot = sources_find(&state->sources, source);
    uint64_t epoch = 0;
    if (slot != SOURCE_NONE)
        epoch = state->sources.items[slot].epoch;
    else if (state->sources.count == SOURCES_MAX)
        return STATUS_UNAVAILABLE;
    if (epoch == UINT64_MAX)
        return STATUS_UNAVAILABLE;
    ret_decision->kind = DECISION_HELLO;
    ret_decision->time_ns = now_ns;
    ret_decision->source = slot;
    ret_decision->name = source;
    ret_decision->epoch = epoch + 1;
    return STATUS_OK;
}

struct entry admission_enter(const struct state *state, struct slice source, uint64_t epoch,
                             uint64_t first_sequence, uint32_t count)
{
    struct entry entry = {.entrance = ENTRANCE_OPEN, .source = SOURCE_NONE, .skip = 0};
    if (first_sequence == 0)
        return entry;
    entry.source = sources_find(&state->sources, source);
    if (entry.source == SOURCE_NONE || state->sources.items[entry.source].epoch != epoch) {
        entry.entrance = ENTRANCE_FENCED;
        return entry;
    }
    uint64_t last = state->sources.items[entry.source].last_sequence;
    if (first_sequence - 1 > last) {
        entry.entrance = ENTRANCE_GAP;
        return entry;
    }
    uint64_t decided = last - (first_sequence - 1);
    entry.skip = decided < count ? decided : count;
    return entry;
}
