#include "processor/core/state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "processor/core/state_struct.h"
#include "processor/core/window_fill.h"

/* ---- life ---- */

static struct policy_set *policies_copy(const struct policy_set *policies)
{
    struct policy_set *copy = malloc(sizeof *copy);
    if (copy != NULL)
        *copy = *policies;
    return copy;
}

struct state *state_new(const struct policy_set *policies, const struct hash_seed *seed)
{
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL)
        return NULL;
    state->seed = *seed;
    state->policies = policies_copy(policies);
    if (state->policies == NULL) {
        free(state);
        return NULL;
    }
    for (uint32_t i = 0; i < policies->count; i++)
        limiter_init(&state->limiters[i], &policies->items[i]);
    sources_init(&state->sources, seed);
    return state;
}

void state_destroy(struct state **state)
{
    if (*state == NULL)
        return;
    for (uint32_t i = 0; i < (*state)->policies->count; i++)
        limiter_fini(&(*state)->limiters[i]);
    sources_fini(&(*state)->sources);
    free((*state)->policies);
    free(*state);
    *state = NULL;
}

/* ---- reading ---- */

struct position state_position(const struct state *state)
{
    return state->position;
}

const struct policy_set *state_policies(const struct state *state)
{
    return state->policies;
}

uint32_t state_find_source(const struct state *state, struct slice name)
{
    return sources_find(&state->sources, name);
}

static struct source *source_at(const struct state *state, uint32_t slot)
{
    assert(slot < state->sources.count);
    return &state->sources.items[slot];
}

struct source_info state_source(const struct state *state, uint32_t slot)
{
    const struct source *source = source_at(state, slot);
    return (struct source_info){
        .name = {.data = source->name, .size = source->name_size},
        .epoch = source->epoch,
        .last_sequence = source->last_sequence,
    };
}

uint32_t state_source_count(const struct state *state)
{
    return state->sources.count;
}

enum verdict state_verdict(const struct state *state, uint32_t source, uint64_t sequence)
{
    return source_verdict(source_at(state, source), sequence);
}

uint64_t state_policy_keys(const struct state *state, uint32_t policy)
{
    assert(policy < state->policies->count);
    return state->limiters[policy].keys_live;
}

uint64_t state_policy_units(const struct state *state, uint32_t policy)
{
    assert(policy < state->policies->count);
    return limiter_units(&state->limiters[policy]);
}

/* ---- changing ---- */

/* What ended by `now_ns` is forgotten. A function of time alone, so it does not matter whether a
 * DECISION_TICK or the next recorded decision brings the time. */
static enum status pass_time(struct state *state, uint64_t now_ns)
{
    for (uint32_t i = 0; i < state->policies->count; i++) {
        enum status status = limiter_expire(&state->limiters[i], now_ns);
        if (status != STATUS_OK)
            return status;
    }
    state->expired_ns = now_ns;
    return STATUS_OK;
}

static enum status hello(struct state *state, const struct decision *decision)
{
    uint32_t slot = decision->source;
    if (slot == SOURCE_NONE) {
        enum status status = sources_enter(&state->sources, decision->name, &slot);
        if (status != STATUS_OK)
            return status;
    }
    struct source *source = source_at(state, slot);
    assert(decision->epoch >= source->epoch);
    source->epoch = decision->epoch;
    return STATUS_OK;
}

static enum status accept(struct state *state, const struct decision *decision)
{
    assert(decision->event_id == state->position.last_event_id + 1);
    for (uint32_t i = 0; i < decision->charge_count; i++) {
        if ((decision->spends & 1ULL << i) == 0)
            continue;
        const struct candidate_charge *charge = &decision->charges[i];
        enum status status =
            limiter_spend(&state->limiters[charge->policy], charge, decision->slots[i]);
        if (status != STATUS_OK)
            return status;
    }
    if (decision->sequence != 0)
        source_accept(source_at(state, decision->source), decision->sequence);
    state->position.last_event_id = decision->event_id;
    return STATUS_OK;
}

static enum status refuse(struct state *state, const struct decision *decision)
{
    for (uint32_t i = 0; i < decision->charge_count; i++) {
        const struct candidate_charge *charge = &decision->charges[i];
        limiter_trim(&state->limiters[charge->policy], charge);
    }
    if (decision->sequence == 0)
        return STATUS_OK;
    return source_refuse(source_at(state, decision->source), decision->sequence, decision->count);
}

static enum status change(struct state *state, const struct decision *decision)
{
    switch (decision->kind) {
    case DECISION_TICK:
        return STATUS_OK;
    case DECISION_HELLO:
        return hello(state, decision);
    case DECISION_ACCEPT:
        return accept(state, decision);
    case DECISION_REFUSE:
        return refuse(state, decision);
    case DECISION_RECORDED:
        state->position.last_rejection_id += decision->count;
        return STATUS_OK;
    case DECISION_POLICY:
        return window_fill_install(decision->fill, state);
    }
    assert(false && "a kind of decision that state_apply does not know");
    return STATUS_INVALID;
}

enum status state_apply(struct state *state, const struct decision *decision)
{
    assert(decision->time_ns >= state->expired_ns);
    if (decision->time_ns > state->expired_ns) {
        enum status status = pass_time(state, decision->time_ns);
        if (status != STATUS_OK)
            return status;
    }
    if (decision->kind != DECISION_TICK)
        state->position.last_time_ns = decision->time_ns;
    return change(state, decision);
}
