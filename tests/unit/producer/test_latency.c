#include "producer/core/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { LAST = 40 /* sequence before the first */ };

static struct latency *new_latency(void)
{
    struct latency *latency;
    assert_int_equal(latency_new(LAST, &latency), STATUS_OK);
    return latency;
}

static uint64_t count_of(const struct latency *latency, enum latency_stage stage)
{
    return histogram_count(latency_histogram(latency, stage));
}

static uint64_t max_of(const struct latency *latency, enum latency_stage stage)
{
    return histogram_max(latency_histogram(latency, stage));
}

static void cuts_an_events_way_into_stages(void **state)
{
    (void)state;
    struct latency *latency = new_latency();
    latency_handed_in(latency, 1000, 1010);
    const struct latency_batch batch = {
        .decided_ns = 1030, .durable_ns = 1100, .seen_ns = 1105, .has_log_times = true};

    latency_seen(latency, LAST + 1, &batch);
    latency_acknowledged(latency, LAST + 1, 1200);

    assert_int_equal(max_of(latency, LATENCY_SEND), 10);
    assert_int_equal(max_of(latency, LATENCY_DECIDE), 20);
    assert_int_equal(max_of(latency, LATENCY_SYNC), 70);
    assert_int_equal(max_of(latency, LATENCY_DELIVER), 5);
    assert_int_equal(max_of(latency, LATENCY_END_TO_END), 105);
    assert_int_equal(max_of(latency, LATENCY_ACKNOWLEDGE), 200);
    for (unsigned stage = 0; stage < LATENCY_STAGE_COUNT; stage++)
        assert_int_equal(count_of(latency, (enum latency_stage)stage), 1);
    latency_destroy(&latency);
}

/* A batch has one stamp: an event can join it after it was stamped. */
static void a_stamp_before_the_event_was_handed_in_counts_as_that_moment(void **state)
{
    (void)state;
    struct latency *latency = new_latency();
    latency_handed_in(latency, 1000, 1010);
    const struct latency_batch batch = {
        .decided_ns = 900, .durable_ns = 1100, .seen_ns = 1105, .has_log_times = true};

    latency_seen(latency, LAST + 1, &batch);

    assert_int_equal(max_of(latency, LATENCY_DECIDE), 0);
    assert_int_equal(max_of(latency, LATENCY_SYNC), 90);
    assert_int_equal(max_of(latency, LATENCY_END_TO_END), 105);
    latency_destroy(&latency);
}

static void without_a_common_clock_only_the_processors_own_stage_is_known(void **state)
{
    (void)state;
    struct latency *latency = new_latency();
    latency_handed_in(latency, 1000, 1010);
    const struct latency_batch batch = {
        .decided_ns = 777000, .durable_ns = 777060, .seen_ns = 1105, .has_log_times = false};

    latency_seen(latency, LAST + 1, &batch);

    assert_int_equal(max_of(latency, LATENCY_SYNC), 60);
    assert_int_equal(max_of(latency, LATENCY_SEND), 10);
    assert_int_equal(max_of(latency, LATENCY_END_TO_END), 105);
    assert_int_equal(count_of(latency, LATENCY_DECIDE), 0);
    assert_int_equal(count_of(latency, LATENCY_DELIVER), 0);
    latency_destroy(&latency);
}

static void what_is_seen_twice_or_was_never_handed_in_does_not_count(void **state)
{
    (void)state;
    struct latency *latency = new_latency();
    const struct latency_batch batch = {
        .decided_ns = 1030, .durable_ns = 1100, .seen_ns = 1105, .has_log_times = true};
    for (unsigned i = 0; i < 3; i++)
        latency_handed_in(latency, 1000, 1010);

    latency_seen(latency, LAST + 1, &batch);
    latency_seen(latency, LAST + 3, &batch); /* the one between was refused */
    latency_seen(latency, LAST + 3, &batch);
    latency_seen(latency, LAST + 1, &batch);
    latency_seen(latency, LAST, &batch);
    latency_seen(latency, LAST + 4, &batch);

    assert_int_equal(latency_seen_count(latency), 2);
    assert_int_equal(count_of(latency, LATENCY_END_TO_END), 2);
    latency_destroy(&latency);
}

static void every_verdict_counts_once_however_the_acks_cover_them(void **state)
{
    (void)state;
    struct latency *latency = new_latency();
    for (uint64_t i = 0; i < 10; i++)
        latency_handed_in(latency, 1000 + i, 1010 + i);

    latency_acknowledged(latency, LAST + 4, 2000);
    latency_acknowledged(latency, LAST + 4, 2500);
    latency_acknowledged(latency, LAST + 10, 3000);

    const struct histogram *histogram = latency_histogram(latency, LATENCY_ACKNOWLEDGE);
    assert_int_equal(histogram_count(histogram), 10);
    assert_int_equal(histogram_min(histogram), 2000 - 1003);
    assert_int_equal(histogram_max(histogram), 3000 - 1004);
    latency_destroy(&latency);
}

static void an_event_too_old_to_be_remembered_is_not_mistaken_for_another(void **state)
{
    (void)state;
    struct latency *latency = new_latency();
    for (uint64_t i = 0; i < LATENCY_EVENTS_MAX + 1; i++)
        latency_handed_in(latency, i, i);
    const struct latency_batch batch = {.seen_ns = 1000000, .has_log_times = true};

    latency_seen(latency, LAST + 1, &batch);
    assert_int_equal(latency_seen_count(latency), 0);
    latency_seen(latency, LAST + 2, &batch);
    assert_int_equal(latency_seen_count(latency), 1);
    assert_int_equal(max_of(latency, LATENCY_END_TO_END), 1000000 - 1);
    latency_destroy(&latency);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_an_events_way_into_stages),
        cmocka_unit_test(a_stamp_before_the_event_was_handed_in_counts_as_that_moment),
        cmocka_unit_test(without_a_common_clock_only_the_processors_own_stage_is_known),
        cmocka_unit_test(what_is_seen_twice_or_was_never_handed_in_does_not_count),
        cmocka_unit_test(every_verdict_counts_once_however_the_acks_cover_them),
        cmocka_unit_test(an_event_too_old_to_be_remembered_is_not_mistaken_for_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
