#include "core_support.h"

#include <stdio.h>

#include "processor/core/window_fill.h"

#define NO_LIMITS   ""
#define TWO_PER_100 "[policy \"two\"]\nkey = subject\nquota = 2\nwindow = 100ns\n"

static void apply(struct state *state, const struct decision *decision)
{
    assert_int_equal(state_apply(state, decision), STATUS_OK);
}

/* Uses the next sequences of a source. */
static void refuse(struct state *state, uint32_t source, uint64_t sequence, uint64_t count)
{
    struct decision decision;
    admission_refuse(state, source, sequence, count, REASON_INVALID, 1000, &decision);
    apply(state, &decision);
}

static void accept(struct state *state, struct support_event *event, uint32_t source,
                   uint64_t sequence)
{
    support_set(event, "t", "s");
    event->candidate.source = source;
    event->candidate.sequence = sequence;
    apply(state, support_decide(state, event, 1000));
}

static void a_new_state_is_empty(void **unused)
{
    (void)unused;
    struct state *state = support_state(TWO_PER_100);
    struct position position = state_position(state);
    assert_int_equal(position.last_event_id, 0);
    assert_int_equal(position.last_rejection_id, 0);
    assert_int_equal(position.last_time_ns, 0);
    assert_int_equal(state_source_count(state), 0);
    assert_int_equal(state_find_source(state, slice_of_text("tester")), SOURCE_NONE);
    assert_int_equal(state_policies(state)->count, 1);
    assert_int_equal(state_policy_keys(state, 0), 0);
    state_destroy(&state);
    assert_null(state);
    state_destroy(&state);
}

static void event_ids_count_acceptances_without_a_hole(void **unused)
{
    (void)unused;
    struct state *state = support_state(TWO_PER_100);
    struct support_event *event = support_event_new();
    for (uint64_t i = 1; i <= 10; i++) {
        bool accepted = support_submit(state, event, "s", 1000 + i);
        assert_int_equal(accepted, i <= 2);
        assert_int_equal(state_position(state).last_event_id, i <= 2 ? i : 2);
        assert_true(event->decision.kind != DECISION_ACCEPT || event->decision.event_id == i);
    }
    free(event);
    state_destroy(&state);
}

static void rejection_ids_go_up_by_what_was_recorded(void **unused)
{
    (void)unused;
    struct state *state = support_state(NO_LIMITS);
    struct decision recorded = {.kind = DECISION_RECORDED, .time_ns = 5, .count = 3};
    apply(state, &recorded);
    apply(state, &recorded);
    assert_int_equal(state_position(state).last_rejection_id, 6);
    assert_int_equal(state_position(state).last_time_ns, 5);
    state_destroy(&state);
}

static void a_tick_passes_time_but_is_no_position(void **unused)
{
    (void)unused;
    struct state *state = support_state(TWO_PER_100);
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "s", 1000));
    assert_int_equal(state_policy_keys(state, 0), 1);
    assert_int_equal(state_policy_units(state, 0), 1);
    support_tick(state, 1099);
    assert_int_equal(state_policy_keys(state, 0), 1);
    support_tick(state, 1100);
    assert_int_equal(state_policy_keys(state, 0), 0);
    assert_int_equal(state_policy_units(state, 0), 0);
    assert_int_equal(state_position(state).last_time_ns, 1000);
    free(event);
    state_destroy(&state);
}

/* ---- sources ---- */

static void each_hello_raises_the_epoch_by_one(void **unused)
{
    (void)unused;
    struct state *state = support_state(NO_LIMITS);
    uint32_t a = support_hello(state, "a", 1), b = support_hello(state, "b", 2);
    assert_int_not_equal(a, b);
    assert_int_equal(support_hello(state, "a", 3), a);
    assert_int_equal(state_source(state, a).epoch, 2);
    assert_int_equal(state_source(state, b).epoch, 1);
    assert_int_equal(state_source(state, a).last_sequence, 0);
    assert_true(slice_equal_text(state_source(state, b).name, "b"));
    assert_int_equal(state_source_count(state), 2);
    state_destroy(&state);
}

static void names_of_sources_stay_where_they_are(void **unused)
{
    (void)unused;
    struct state *state = support_state(NO_LIMITS);
    uint32_t first = support_hello(state, "first", 1);
    struct slice name = state_source(state, first).name;
    for (unsigned i = 0; i < 1000; i++) {
        char text[16];
        snprintf(text, sizeof text, "source-%u", i);
        assert_int_equal(support_hello(state, text, 1), i + 1);
    }
    assert_ptr_equal(state_source(state, first).name.data, name.data);
    assert_int_equal(state_find_source(state, slice_of_text("source-999")), 1000);
    state_destroy(&state);
}

static void remembers_which_sequences_were_refused(void **unused)
{
    (void)unused;
    struct state *state = support_state(NO_LIMITS);
    struct support_event *event = support_event_new();
    uint32_t source = support_hello(state, "a", 1000);
    accept(state, event, source, 1);
    refuse(state, source, 2, 3);
    accept(state, event, source, 5);
    assert_int_equal(state_source(state, source).last_sequence, 5);
    static const enum verdict expected[] = {VERDICT_ACCEPTED, VERDICT_REFUSED, VERDICT_REFUSED,
                                            VERDICT_REFUSED, VERDICT_ACCEPTED};
    for (uint64_t sequence = 1; sequence <= 5; sequence++)
        assert_int_equal(state_verdict(state, source, sequence), expected[sequence - 1]);
    free(event);
    state_destroy(&state);
}

static void forgets_verdicts_after_65536_sequences(void **unused)
{
    (void)unused;
    struct state *state = support_state(NO_LIMITS);
    struct support_event *event = support_event_new();
    uint32_t source = support_hello(state, "a", 1000);
    refuse(state, source, 1, 1);
    for (uint64_t sequence = 2; sequence <= VERDICTS_KEPT; sequence++)
        accept(state, event, source, sequence);
    assert_int_equal(state_verdict(state, source, 1), VERDICT_REFUSED);
    assert_int_equal(state_verdict(state, source, 2), VERDICT_ACCEPTED);
    accept(state, event, source, VERDICTS_KEPT + 1);
    assert_int_equal(state_verdict(state, source, 1), VERDICT_FORGOTTEN);
    assert_int_equal(state_verdict(state, source, VERDICTS_KEPT + 1), VERDICT_ACCEPTED);
    free(event);
    state_destroy(&state);
}

static void a_run_longer_than_the_memory_is_all_refused(void **unused)
{
    (void)unused;
    struct state *state = support_state(NO_LIMITS);
    struct support_event *event = support_event_new();
    uint32_t source = support_hello(state, "a", 1000);
    accept(state, event, source, 1);
    refuse(state, source, 2, 1ULL << 40);
    uint64_t last = state_source(state, source).last_sequence;
    assert_true(last == 1 + (1ULL << 40));
    assert_int_equal(state_verdict(state, source, last), VERDICT_REFUSED);
    assert_int_equal(state_verdict(state, source, last - VERDICTS_KEPT + 1), VERDICT_REFUSED);
    assert_int_equal(state_verdict(state, source, last - VERDICTS_KEPT), VERDICT_FORGOTTEN);
    assert_int_equal(state_verdict(state, source, 1), VERDICT_FORGOTTEN);
    free(event);
    state_destroy(&state);
}

static void unsequenced_refusals_use_nothing(void **unused)
{
    (void)unused;
    struct state *state = support_state(NO_LIMITS);
    uint32_t source = support_hello(state, "a", 1000);
    refuse(state, SOURCE_NONE, 0, 1);
    assert_int_equal(state_source(state, source).last_sequence, 0);
    assert_int_equal(state_position(state).last_event_id, 0);
    state_destroy(&state);
}

/* ---- policies that change ---- */

/* Events 1 … count of type "t" and subject "s" at the given times. */
static struct window_fill *fill_with(const struct state *state, const char *ini,
                                     const uint64_t *times_ns, uint64_t count)
{
    static const uint8_t empty_map[] = {0x80};
    struct policy_set *set = support_policies(ini);
    struct window_fill *fill = window_fill_new(state, set);
    struct detail detail;
    assert_non_null(fill);
    for (uint64_t i = 0; i < count; i++) {
        struct accepted_event accepted = {
            .event_id = i + 1,
            .accepted_at_ns = times_ns[i],
            .source = slice_of_text("tester"),
            .event = {.type = slice_of_text("t"),
                      .subject = slice_of_text("s"),
                      .data = {.data = empty_map, .size = sizeof empty_map}},
        };
        if (window_fill_add(fill, &accepted, &detail) != STATUS_OK)
            fail_msg("%s", detail.text);
    }
    free(set);
    return fill;
}

static void change(struct state *state, struct window_fill *fill, uint64_t now_ns)
{
    struct decision decision;
    window_fill_decide(fill, now_ns, &decision);
    apply(state, &decision);
    window_fill_destroy(&fill);
}

static void a_new_policy_counts_what_was_accepted_before_it(void **unused)
{
    (void)unused;
    struct state *state = support_state(NO_LIMITS);
    struct support_event *event = support_event_new();
    const uint64_t times_ns[] = {1000, 1040, 1080};
    for (unsigned i = 0; i < 3; i++)
        assert_true(support_submit(state, event, "s", times_ns[i]));
    struct window_fill *fill = fill_with(state, TWO_PER_100, times_ns, 3);
    assert_int_equal(window_fill_length_ns(fill), 100);
    assert_int_equal(window_fill_next_event_id(fill), 4);
    change(state, fill, 1090);
    assert_int_equal(state_policy_units(state, 0), 3);
    assert_false(support_submit(state, event, "s", 1139));
    assert_int_equal(event->decision.retry_after_ns, 1);
    assert_true(support_submit(state, event, "s", 1140));
    assert_true(support_submit(state, event, "other", 1140));
    free(event);
    state_destroy(&state);
}

static void an_unchanged_policy_keeps_its_windows_wherever_it_stands(void **unused)
{
    (void)unused;
    struct state *state = support_state(TWO_PER_100);
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "s", 1000));
    assert_true(support_submit(state, event, "s", 1000));
    const uint64_t times_ns[] = {1000, 1000};
    struct window_fill *fill =
        fill_with(state, "[policy \"more\"]\nkey = global\nquota = 9\nwindow = 1s\n" TWO_PER_100,
                  times_ns, 2);
    assert_true(window_fill_length_ns(fill) == 1000000000);
    change(state, fill, 1010);
    assert_int_equal(state_policies(state)->count, 2);
    assert_int_equal(state_policy_units(state, 0), 2);
    assert_int_equal(state_policy_units(state, 1), 2);
    assert_false(support_submit(state, event, "s", 1099));
    assert_int_equal(event->decision.policy, 1);
    assert_true(support_submit(state, event, "s", 1100));
    free(event);
    state_destroy(&state);
}

static void nothing_need_be_filled_when_policies_only_go(void **unused)
{
    (void)unused;
    struct state *state = support_state(TWO_PER_100);
    struct support_event *event = support_event_new();
    assert_true(support_submit(state, event, "s", 1000));
    struct window_fill *fill = fill_with(state, NO_LIMITS, NULL, 0);
    assert_int_equal(window_fill_length_ns(fill), 0);
    change(state, fill, 1010);
    assert_int_equal(state_policies(state)->count, 0);
    for (unsigned i = 0; i < 10; i++)
        assert_true(support_submit(state, event, "s", 1010));
    free(event);
    state_destroy(&state);
}

static void a_fill_that_passes_a_cap_or_leaves_out_an_event_says_so(void **unused)
{
    (void)unused;
    struct state *state = support_state(NO_LIMITS);
    const uint64_t times_ns[] = {1000};
    struct window_fill *fill =
        fill_with(state, "[policy \"p\"]\nkey = subject\nquota = 2\nwindow = 1s\nmax_keys = 1\n",
                  times_ns, 1);
    static const uint8_t empty_map[] = {0x80};
    struct accepted_event accepted = {
        .event_id = 3,
        .accepted_at_ns = 1001,
        .event = {.type = slice_of_text("t"),
                  .subject = slice_of_text("another"),
                  .data = {.data = empty_map, .size = sizeof empty_map}},
    };
    struct detail detail;
    assert_int_equal(window_fill_add(fill, &accepted, &detail), STATUS_OUT_OF_ORDER);
    assert_string_equal(detail.text, "event 3 instead of 2");
    accepted.event_id = 2;
    assert_int_equal(window_fill_add(fill, &accepted, &detail), STATUS_FULL);
    assert_string_equal(detail.text,
                        "policy p: the log holds more than max_keys = 1 within its window");
    window_fill_destroy(&fill);
    window_fill_destroy(&fill);
    state_destroy(&state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_state_is_empty),
        cmocka_unit_test(event_ids_count_acceptances_without_a_hole),
        cmocka_unit_test(rejection_ids_go_up_by_what_was_recorded),
        cmocka_unit_test(a_tick_passes_time_but_is_no_position),
        cmocka_unit_test(each_hello_raises_the_epoch_by_one),
        cmocka_unit_test(names_of_sources_stay_where_they_are),
        cmocka_unit_test(remembers_which_sequences_were_refused),
        cmocka_unit_test(forgets_verdicts_after_65536_sequences),
        cmocka_unit_test(a_run_longer_than_the_memory_is_all_refused),
        cmocka_unit_test(unsequenced_refusals_use_nothing),
        cmocka_unit_test(a_new_policy_counts_what_was_accepted_before_it),
        cmocka_unit_test(an_unchanged_policy_keeps_its_windows_wherever_it_stands),
        cmocka_unit_test(nothing_need_be_filled_when_policies_only_go),
        cmocka_unit_test(a_fill_that_passes_a_cap_or_leaves_out_an_event_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
