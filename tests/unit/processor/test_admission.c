#include "core_support.h"

#include <stdio.h>

#define POLICY(name, rest) "[policy \"" name "\"]\n" rest "\n"

/* ---- verdicts ---- */

static void accepts_everything_without_policies(void **unused)
{
    (void)unused;
    struct state *state = support_state("");
    struct support_event *event = support_event_new();
    for (unsigned i = 0; i < 1000; i++)
        assert_true(support_submit(state, event, "s", 1000));
    free(event);
    state_destroy(&state);
}

static void refuses_the_event_until_exactly_the_window_edge(void **unused)
{
    (void)unused;
    struct state *state = support_state(POLICY("p", "key = subject\nquota = 1\nwindow = 60s"));
    struct support_event *event = support_event_new();
    uint64_t window_ns = 60000000000;
    assert_true(support_submit(state, event, "s", 1000));
    assert_false(support_submit(state, event, "s", 1000));
    assert_int_equal(event->decision.reason, REASON_RATE_LIMITED);
    assert_int_equal(event->decision.policy, 0);
    assert_int_equal(event->decision.policy_charge, 0);
    assert_true(event->decision.retry_after_ns == window_ns);
    assert_int_equal(event->decision.charge_count, 1);
    assert_true(slice_equal_text(event->decision.charges[0].key.text, "s"));
    assert_false(support_submit(state, event, "s", 1000 + window_ns - 1));
    assert_int_equal(event->decision.retry_after_ns, 1);
    assert_true(support_submit(state, event, "s", 1000 + window_ns));
    free(event);
    state_destroy(&state);
}

static void spends_nothing_at_all_when_one_policy_refuses(void **unused)
{
    (void)unused;
    struct state *state = support_state(POLICY("wide", "key = source\nquota = 10\nwindow = 100ns")
                                            POLICY("tight", "key = subject\nquota = 1\n"
                                                            "window = 100ns"));
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "s", 1000));
    for (unsigned i = 0; i < 20; i++)
        assert_false(support_submit(state, event, "s", 1000));
    assert_int_equal(state_policy_units(state, 0), 1);
    for (unsigned i = 0; i < 9; i++) {
        char subject[16];
        snprintf(subject, sizeof subject, "s%u", i);
        assert_true(support_submit(state, event, subject, 1000));
    }
    assert_false(support_submit(state, event, "one-more", 1000));
    assert_int_equal(event->decision.policy, 0);
    free(event);
    state_destroy(&state);
}

static void names_the_policy_with_the_longest_wait_and_the_first_of_equals(void **unused)
{
    (void)unused;
    struct state *state =
        support_state(POLICY("short", "key = subject\nquota = 1\nwindow = 10ns")
                          POLICY("long", "key = subject\nquota = 1\nwindow = 50ns")
                              POLICY("as-long", "key = type\nquota = 1\nwindow = 50ns"));
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "s", 1000));
    assert_false(support_submit(state, event, "s", 1005));
    assert_int_equal(event->decision.policy, 1);
    assert_int_equal(event->decision.retry_after_ns, 45);
    free(event);
    state_destroy(&state);
}

static void never_is_the_longest_wait(void **unused)
{
    (void)unused;
    struct state *state = support_state(
        POLICY("calls", "key = subject\nquota = 1\nwindow = 31d")
            POLICY("bytes", "key = subject\nquota = 100\nwindow = 1s\ncost = data.n"));
    struct support_event *event = support_event_new();
    support_data_n(event, 100);
    assert_true(support_submit(state, event, "s", 1000));
    support_data_n(event, 101);
    assert_false(support_submit(state, event, "s", 1000));
    assert_int_equal(event->decision.reason, REASON_RATE_LIMITED);
    assert_int_equal(event->decision.policy, 1);
    assert_true(event->decision.retry_after_ns == RETRY_NEVER);
    free(event);
    state_destroy(&state);
}

static void weighted_costs_wait_for_as_much_as_they_need(void **unused)
{
    (void)unused;
    struct state *state =
        support_state(POLICY("bytes", "key = subject\nquota = 10\nwindow = 100ns\ncost = data.n"));
    struct support_event *event = support_event_new();
    support_data_n(event, 4);
    assert_true(support_submit(state, event, "s", 1000));
    assert_true(support_submit(state, event, "s", 1030));
    support_data_n(event, 2);
    assert_true(support_submit(state, event, "s", 1050));
    assert_false(support_submit(state, event, "s", 1060));
    assert_int_equal(event->decision.retry_after_ns, 40);
    support_data_n(event, 5);
    assert_false(support_submit(state, event, "s", 1060));
    assert_int_equal(event->decision.retry_after_ns, 70);
    support_data_n(event, 9);
    assert_false(support_submit(state, event, "s", 1060));
    assert_int_equal(event->decision.retry_after_ns, 90);
    free(event);
    state_destroy(&state);
}

static void a_cost_of_0_passes_a_full_window_and_enters_no_key(void **unused)
{
    (void)unused;
    struct state *state =
        support_state(POLICY("p", "key = subject\nquota = 1\nwindow = 100ns\ncost = data.n"));
    struct support_event *event = support_event_new();
    support_data_n(event, 1);
    assert_true(support_submit(state, event, "s", 1000));
    support_data_n(event, 0);
    assert_true(support_submit(state, event, "s", 1000));
    assert_true(support_submit(state, event, "other", 1000));
    assert_true(event->decision.spends == 0);
    assert_int_equal(state_policy_keys(state, 0), 1);
    assert_int_equal(state_policy_units(state, 0), 1);
    free(event);
    state_destroy(&state);
}

static void a_missing_field_is_invalid_and_named(void **unused)
{
    (void)unused;
    struct state *state = support_state(POLICY("first", "key = subject\nquota = 1\nwindow = 100ns")
                                            POLICY("per-user", "key = data.user\nquota = 1\n"
                                                               "window = 100ns"));
    struct support_event *event = support_event_new();
    assert_false(support_submit(state, event, "s", 1000));
    assert_int_equal(event->candidate.status, STATUS_INVALID);
    assert_int_equal(event->decision.reason, REASON_INVALID);
    assert_int_equal(event->decision.policy, POLICY_NONE);
    assert_int_equal(event->decision.charge_count, 0);
    assert_string_equal(event->decision.detail.text, "policy per-user: data.user is missing");
    assert_int_equal(state_policy_units(state, 0), 0);
    free(event);
    state_destroy(&state);
}

static void policies_that_do_not_match_the_type_ask_for_nothing(void **unused)
{
    (void)unused;
    struct state *state = support_state(
        POLICY("orders", "match = order.*\nkey = data.user\nquota = 1\nwindow = 100ns"));
    struct support_event *event = support_event_new();
    for (unsigned i = 0; i < 5; i++)
        assert_true(support_submit(state, event, "s", 1000));
    assert_int_equal(event->candidate.charge_count, 0);
    free(event);
    state_destroy(&state);
}

static void our_own_events_are_never_charged(void **unused)
{
    (void)unused;
    struct state *state = support_state(POLICY("p", "key = global\nquota = 1\nwindow = 100ns"));
    struct support_event *event = support_event_new();
    for (unsigned i = 0; i < 5; i++) {
        support_set(event, "weir.policy_changed", "policy");
        const struct decision *decision = support_decide(state, event, 1000);
        assert_int_equal(decision->kind, DECISION_ACCEPT);
        assert_int_equal(state_apply(state, decision), STATUS_OK);
    }
    free(event);
    state_destroy(&state);
}

/* ---- shadow ---- */

static void a_shadow_policy_reports_and_refuses_nothing(void **unused)
{
    (void)unused;
    struct state *state =
        support_state(POLICY("trial", "key = subject\nquota = 1\nwindow = 100ns\nmode = shadow"));
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "s", 1000));
    assert_int_equal(event->decision.shadow_count, 0);
    assert_true(event->decision.spends == 1);
    assert_true(support_submit(state, event, "s", 1040));
    assert_int_equal(event->decision.shadow_count, 1);
    assert_int_equal(event->decision.shadows[0].policy, 0);
    assert_int_equal(event->decision.shadows[0].charge, 0);
    assert_int_equal(event->decision.shadows[0].retry_after_ns, 60);
    assert_true(event->decision.spends == 0);
    assert_true(support_submit(state, event, "s", 1100));
    assert_int_equal(event->decision.shadow_count, 0);
    free(event);
    state_destroy(&state);
}

static void a_refused_event_reports_no_shadow(void **unused)
{
    (void)unused;
    struct state *state =
        support_state(POLICY("trial", "key = subject\nquota = 1\nwindow = 100ns\nmode = shadow")
                          POLICY("real", "key = subject\nquota = 1\nwindow = 100ns"));
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "s", 1000));
    assert_false(support_submit(state, event, "s", 1000));
    assert_int_equal(event->decision.policy, 1);
    assert_int_equal(event->decision.shadow_count, 0);
    free(event);
    state_destroy(&state);
}

static void a_shadow_policy_skips_events_without_its_field(void **unused)
{
    (void)unused;
    struct state *state =
        support_state(POLICY("trial", "key = data.user\nquota = 1\nwindow = 100ns\nmode = shadow"));
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "s", 1000));
    assert_int_equal(event->decision.charge_count, 0);
    assert_int_equal(event->decision.shadow_count, 0);
    free(event);
    state_destroy(&state);
}

static void a_shadow_policy_at_its_cap_refuses_nothing(void **unused)
{
    (void)unused;
    struct state *state = support_state(
        POLICY("trial", "key = subject\nquota = 1\nwindow = 100ns\nmode = shadow\nmax_keys = 1"));
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "s", 1000));
    assert_true(support_submit(state, event, "other", 1000));
    assert_int_equal(event->decision.shadow_count, 1);
    assert_true(event->decision.shadows[0].retry_after_ns == RETRY_NEVER);
    assert_int_equal(state_policy_keys(state, 0), 1);
    free(event);
    state_destroy(&state);
}

/* ---- caps ---- */

static void a_new_key_at_the_cap_is_unavailable_and_a_live_one_is_not(void **unused)
{
    (void)unused;
    struct state *state =
        support_state(POLICY("p", "key = subject\nquota = 9\nwindow = 100ns\nmax_keys = 2"));
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "a", 1000));
    assert_true(support_submit(state, event, "b", 1050));
    assert_false(support_submit(state, event, "c", 1099));
    assert_int_equal(event->decision.reason, REASON_UNAVAILABLE);
    assert_int_equal(event->decision.policy, 0);
    assert_true(event->decision.retry_after_ns == RETRY_NEVER);
    assert_string_equal(event->decision.detail.text, "policy p: max_keys = 2 keys are live");
    assert_true(support_submit(state, event, "b", 1099));
    assert_true(support_submit(state, event, "c", 1100));
    free(event);
    state_destroy(&state);
}

static void acceptances_beyond_max_units_are_unavailable(void **unused)
{
    (void)unused;
    struct state *state =
        support_state(POLICY("p", "key = subject\nquota = 9\nwindow = 100ns\nmax_units = 2"));
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "a", 1000));
    assert_true(support_submit(state, event, "b", 1050));
    assert_false(support_submit(state, event, "b", 1099));
    assert_int_equal(event->decision.reason, REASON_UNAVAILABLE);
    assert_string_equal(event->decision.detail.text,
                        "policy p: max_units = 2 acceptances are in the window");
    assert_true(support_submit(state, event, "b", 1100));
    free(event);
    state_destroy(&state);
}

static void rate_limited_comes_before_unavailable(void **unused)
{
    (void)unused;
    struct state *state =
        support_state(POLICY("full", "key = subject\nquota = 9\nwindow = 100ns\nmax_units = 1")
                          POLICY("tight", "key = global\nquota = 1\nwindow = 100ns"));
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "a", 1000));
    assert_false(support_submit(state, event, "a", 1000));
    assert_int_equal(event->decision.reason, REASON_RATE_LIMITED);
    assert_int_equal(event->decision.policy, 1);
    assert_string_equal(event->decision.detail.text, "");
    free(event);
    state_destroy(&state);
}

/* ---- refusals without a look at the windows ---- */

static void a_refusal_asks_for_sequences_and_no_charges(void **unused)
{
    (void)unused;
    struct state *state = support_state("");
    uint32_t source = support_hello(state, "a", 1000);
    struct decision decision;
    memset(&decision, 0xee, sizeof decision);
    admission_refuse(state, source, 1, 16, REASON_MALFORMED, 1000, &decision);
    assert_int_equal(decision.kind, DECISION_REFUSE);
    assert_int_equal(decision.reason, REASON_MALFORMED);
    assert_int_equal(decision.policy, POLICY_NONE);
    assert_true(decision.retry_after_ns == RETRY_NEVER);
    assert_int_equal(decision.shadow_count, 0);
    assert_string_equal(decision.detail.text, "");
    assert_int_equal(state_apply(state, &decision), STATUS_OK);
    assert_int_equal(state_source(state, source).last_sequence, 16);
    state_destroy(&state);
}

/* ---- entering ---- */

static void expect_entry(const struct state *state, uint64_t epoch, uint64_t first, uint32_t count,
                         struct entry expected)
{
    struct entry entry = admission_enter(state, slice_of_text("a"), epoch, first, count);
    assert_int_equal(entry.entrance, expected.entrance);
    assert_int_equal(entry.source, expected.source);
    assert_int_equal(entry.skip, expected.skip);
}

static void a_submission_enters_by_its_epoch_and_its_first_sequence(void **unused)
{
    (void)unused;
    struct state *state = support_state("");
    expect_entry(state, 1, 1, 1, (struct entry){ENTRANCE_FENCED, SOURCE_NONE, 0});
    expect_entry(state, 0, 1, 1, (struct entry){ENTRANCE_FENCED, SOURCE_NONE, 0});
    expect_entry(state, 7, 0, 5, (struct entry){ENTRANCE_OPEN, SOURCE_NONE, 0});
    uint32_t a = support_hello(state, "a", 1000);
    support_hello(state, "a", 1000);
    expect_entry(state, 1, 1, 1, (struct entry){ENTRANCE_FENCED, a, 0});
    expect_entry(state, 3, 1, 1, (struct entry){ENTRANCE_FENCED, a, 0});
    expect_entry(state, 2, 2, 1, (struct entry){ENTRANCE_GAP, a, 0});
    expect_entry(state, 2, 1, 16384, (struct entry){ENTRANCE_OPEN, a, 0});
    struct decision decision;
    admission_refuse(state, a, 1, 10, REASON_INVALID, 1000, &decision);
    assert_int_equal(state_apply(state, &decision), STATUS_OK);
    expect_entry(state, 2, 11, 5, (struct entry){ENTRANCE_OPEN, a, 0});
    expect_entry(state, 2, 12, 5, (struct entry){ENTRANCE_GAP, a, 0});
    expect_entry(state, 2, 8, 5, (struct entry){ENTRANCE_OPEN, a, 3});
    expect_entry(state, 2, 6, 5, (struct entry){ENTRANCE_OPEN, a, 5});
    expect_entry(state, 2, 1, 5, (struct entry){ENTRANCE_OPEN, a, 5});
    expect_entry(state, 2, UINT64_MAX, 1, (struct entry){ENTRANCE_GAP, a, 0});
    expect_entry(state, 1, 12, 1, (struct entry){ENTRANCE_FENCED, a, 0});
    state_destroy(&state);
}

static void hello_is_unavailable_above_the_limit_of_sources_but_not_for_known_ones(void **unused)
{
    (void)unused;
    struct state *state = support_state("");
    struct decision *decision = calloc(1, sizeof *decision);
    assert_non_null(decision);
    for (unsigned i = 0; i < SOURCES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%u", i);
        assert_int_equal(admission_hello(state, slice_of_text(name), 1, decision), STATUS_OK);
        assert_int_equal(state_apply(state, decision), STATUS_OK);
    }
    assert_int_equal(admission_hello(state, slice_of_text("new"), 1, decision), STATUS_UNAVAILABLE);
    assert_int_equal(admission_hello(state, slice_of_text("s7"), 1, decision), STATUS_OK);
    assert_int_equal(decision->epoch, 2);
    free(decision);
    state_destroy(&state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_everything_without_policies),
        cmocka_unit_test(refuses_the_event_until_exactly_the_window_edge),
        cmocka_unit_test(spends_nothing_at_all_when_one_policy_refuses),
        cmocka_unit_test(names_the_policy_with_the_longest_wait_and_the_first_of_equals),
        cmocka_unit_test(never_is_the_longest_wait),
        cmocka_unit_test(weighted_costs_wait_for_as_much_as_they_need),
        cmocka_unit_test(a_cost_of_0_passes_a_full_window_and_enters_no_key),
        cmocka_unit_test(a_missing_field_is_invalid_and_named),
        cmocka_unit_test(policies_that_do_not_match_the_type_ask_for_nothing),
        cmocka_unit_test(our_own_events_are_never_charged),
        cmocka_unit_test(a_shadow_policy_reports_and_refuses_nothing),
        cmocka_unit_test(a_refused_event_reports_no_shadow),
        cmocka_unit_test(a_shadow_policy_skips_events_without_its_field),
        cmocka_unit_test(a_shadow_policy_at_its_cap_refuses_nothing),
        cmocka_unit_test(a_new_key_at_the_cap_is_unavailable_and_a_live_one_is_not),
        cmocka_unit_test(acceptances_beyond_max_units_are_unavailable),
        cmocka_unit_test(rate_limited_comes_before_unavailable),
        cmocka_unit_test(a_refusal_asks_for_sequences_and_no_charges),
        cmocka_unit_test(a_submission_enters_by_its_epoch_and_its_first_sequence),
        cmocka_unit_test(hello_is_unavailable_above_the_limit_of_sources_but_not_for_known_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
