#include "tests/unit/processor/state_compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "processor/core/admission.h"
#include "tests/unit/processor/traffic.h"

static void sources_compare(const struct state *a, const struct state *b)
{
    assert_int_equal(state_source_count(a), state_source_count(b));
    for (uint32_t i = 0; i < state_source_count(a); i++) {
        struct source_info one = state_source(a, i);
        uint32_t slot = state_find_source(b, one.name);
        assert_int_not_equal(slot, SOURCE_NONE);
        struct source_info other = state_source(b, slot);
        assert_int_equal(one.epoch, other.epoch);
        assert_int_equal(one.last_sequence, other.last_sequence);
        for (uint64_t sequence = 1; sequence <= one.last_sequence; sequence++)
            assert_int_equal(state_verdict(a, i, sequence), state_verdict(b, slot, sequence));
    }
}

static void limits_compare(const struct state *a, const struct state *b)
{
    const struct policy_set *policies = state_policies(a);
    assert_string_equal(policies->text, state_policies(b)->text);
    for (uint32_t i = 0; i < policies->count; i++) {
        assert_int_equal(state_policy_keys(a, i), state_policy_keys(b, i));
        assert_int_equal(state_policy_units(a, i), state_policy_units(b, i));
    }
}

static void tick(struct state *state, uint64_t now_ns, struct decision *decision)
{
    admission_tick(now_ns, decision);
    assert_int_equal(state_apply(state, decision), STATUS_OK);
}

/* What a state makes of one event; it goes on as if it had decided it. */
struct verdict_seen {
    enum decision_kind kind;
    enum reason reason;
    uint32_t policy;
    uint64_t retry_after_ns;
    uint32_t shadow_count;
    uint64_t spends;
};

static struct verdict_seen decide(struct state *state, struct slice bytes, uint64_t now_ns,
                                  struct decision *decision)
{
    static struct candidate candidate;
    struct mp_reader reader = mp_reader_of(bytes);
    assert_int_equal(event_read(&reader, &candidate.event, NULL, NULL), STATUS_OK);
    candidate.source_name = slice_of_text("source-1");
    candidate.source = SOURCE_NONE;
    candidate.sequence = 0;
    admission_prepare(state, &candidate);
    admission_decide(state, &candidate, now_ns, decision);
    struct verdict_seen seen = {.kind = decision->kind,
                                .policy = decision->policy,
                                .retry_after_ns = decision->retry_after_ns,
                                .shadow_count = decision->shadow_count,
                                .spends = decision->spends};
    if (decision->kind == DECISION_REFUSE)
        seen.reason = decision->reason;
    assert_int_equal(state_apply(state, decision), STATUS_OK);
    return seen;
}

static void futures_compare(struct state *a, struct state *b, uint64_t now_ns, uint64_t seed)
{
    struct decision *decision = calloc(1, sizeof *decision);
    struct buffer event;
    struct rng rng;
    rng_init(&rng, seed);
    buffer_init(&event, EVENT_BYTES_MAX);
    for (int i = 0; i < 2000; i++) {
        now_ns += rng_below(&rng, 4) == 0 ? rng_below(&rng, 5 * NS_PER_MS) : 0;
        tick(a, now_ns, decision);
        tick(b, now_ns, decision);
        limits_compare(a, b);
        buffer_clear(&event);
        traffic_event_write(&rng, false, &event);
        struct verdict_seen one = decide(a, buffer_slice(&event), now_ns, decision);
        struct verdict_seen other = decide(b, buffer_slice(&event), now_ns, decision);
        assert_int_equal(one.kind, other.kind);
        assert_int_equal(one.reason, other.reason);
        assert_int_equal(one.policy, other.policy);
        assert_int_equal(one.retry_after_ns, other.retry_after_ns);
        assert_int_equal(one.shadow_count, other.shadow_count);
        assert_int_equal(one.spends, other.spends);
    }
    buffer_fini(&event);
    free(decision);
}

void states_compare(struct state *a, struct state *b, uint64_t now_ns, uint64_t seed)
{
    struct position one = state_position(a), other = state_position(b);
    assert_int_equal(one.last_event_id, other.last_event_id);
    assert_int_equal(one.last_rejection_id, other.last_rejection_id);
    assert_int_equal(one.last_time_ns, other.last_time_ns);
    sources_compare(a, b);
    futures_compare(a, b, now_ns, seed);
}
