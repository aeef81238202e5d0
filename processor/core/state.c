#include "processor/core/state.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "processor/core/state_digest.h"
#include "processor/core/state_struct.h"
#include "processor/core/window_fill.h"

/* ---- life ---- */

struct hash_seed state_seed(uint64_t salt)
{
    uint64_t words[2] = {htole64(digest_mix(salt, 1)), htole64(digest_mix(salt, 2))};
    struct hash_seed seed;
    static_assert(sizeof words == sizeof seed.bytes, "a seed is two words");
    memcpy(seed.bytes, words, sizeof words);
    return seed;
}

/* What other policies add to the digest: which, since when, and how full their windows begin. */
static void digest_policies(struct state *state)
{
    const struct policy_set *policies = state->policies;
    uint64_t text = hash_keyed(&state->seed, policies->text, strlen(policies->text));
    state->digest_sum += digest_mix(text, state->position.last_time_ns);
    for (uint32_t i = 0; i < policies->count; i++) {
        const struct limiter *limiter = &state->limiters[i];
        state->digest_sum +=
            digest_mix(text + i, digest_mix(limiter->keys_live, limiter_units(limiter)));
    }
}

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
    digest_policies(state);
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

void state_narrow(struct state *state, struct slice key)
{
    for (uint32_t i = 0; i < state->policies->count; i++)
        if (state->policies->items[i].mode == POLICY_ENFORCE)
            limiter_narrow(&state->limiters[i], key);
}

bool state_is_narrow(const struct state *state)
{
    for (uint32_t i = 0; i < state->policies->count; i++)
        if (limiter_is_narrow(&state->limiters[i]))
            return true;
    return false;
}

/* ---- reading ---- */

struct position state_position(const struct state *state)
{
    return state->position;
}

uint64_t state_digest(const struct state *state)
{
    const struct position *at = &state->position;
    uint64_t digest = digest_mix(state->digest_sum, at->last_event_id);
    digest = digest_mix(digest, at->last_rejection_id);
    digest = digest_mix(digest, at->last_time_ns);
    return digest != 0 ? digest : 1; /* 0 stands for "not kept" */
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

uint64_t state_longest_window_ns(const struct state *state)
{
    uint64_t longest_ns = 0;
    for (uint32_t i = 0; i < state->policies->count; i++)
        if (state->policies->items[i].window_ns > longest_ns)
            longest_ns = state->policies->items[i].window_ns;
    return longest_ns;
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
    state->digest_sum -= digest_of_epoch(source);
    source->epoch = decision->epoch;
    state->digest_sum += digest_of_epoch(source);
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
        state->digest_sum += digest_of_spending(charge, decision->time_ns);
    }
    if (decision->sequence != 0) {
        struct source *source = source_at(state, decision->source);
        source_accept(source, decision->sequence);
        state->digest_sum += source->hash;
    }
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
    struct source *source = source_at(state, decision->source);
    state->digest_sum += digest_of_refusals(source, decision->sequence, decision->count);
    return source_refuse(source, decision->sequence, decision->count);
}

static enum status policies_change(struct state *state, const struct decision *decision)
{
    enum status status = window_fill_install(decision->fill, state);
    if (status == STATUS_OK)
        digest_policies(state);
    return status;
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
        return policies_change(state, decision);
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
