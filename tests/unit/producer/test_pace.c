#include "producer/core/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "tests/lib/seed.h"

enum { TICK_NS = 250000 };
#define START_NS 5000000123ULL

static struct pace new_pace(uint64_t rate, uint64_t count)
{
    struct pace pace;
    pace_init(&pace, rate, count, TICK_NS, START_NS);
    return pace;
}

static void an_event_is_due_at_its_time_and_not_before(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 3, 999, 1000, 3000, 10000, 1000000, PACE_RATE_MAX};
    struct rng rng = test_rng();
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct pace pace = new_pace(rates[i], 0);
        for (unsigned round = 0; round < 200; round++) {
            uint64_t n = rng_below(&rng, 40 * rates[i]);
            uint64_t due_ns = pace_due_ns(&pace, n);
            assert_true(due_ns >= START_NS);
            /* The first moment at which more than n events are due. */
            assert_true(pace_events_due(&pace, due_ns) >= n + 1);
            assert_true(due_ns == START_NS || pace_events_due(&pace, due_ns - 1) <= n);
        }
    }
}

static void due_times_do_not_drift(void **state)
{
    (void)state;
    struct pace pace = new_pace(3, 0);
    assert_true(pace_due_ns(&pace, 0) == START_NS);
    assert_true(pace_due_ns(&pace, 1) == START_NS + 333333333);
    assert_true(pace_due_ns(&pace, 2) == START_NS + 666666666);
    assert_true(pace_due_ns(&pace, 3000000) == START_NS + 1000000 * NS_PER_S);
}

/* What a source does that is woken exactly when it asked to be. */
static uint64_t make_at_wakes(struct pace *pace, unsigned wakes)
{
    uint64_t now_ns = START_NS;
    for (unsigned i = 0; i < wakes; i++) {
        uint64_t due = pace_events_due(pace, now_ns);
        assert_true(due > 0);
        pace_made(pace, due);
        now_ns = pace_next_wake_ns(pace);
    }
    return now_ns;
}

static void at_a_low_rate_every_event_has_its_own_wake_up(void **state)
{
    (void)state;
    struct pace pace = new_pace(1000, 0);
    uint64_t wake_ns = make_at_wakes(&pace, 500);
    assert_int_equal(pace.made, 500);
    assert_true(wake_ns == START_NS + 500 * NS_PER_MS);
}

static void at_a_high_rate_wake_ups_are_a_tick_apart(void **state)
{
    (void)state;
    struct pace pace = new_pace(100000, 0);
    uint64_t wake_ns = make_at_wakes(&pace, 400);
    assert_true(wake_ns == START_NS + 400ULL * TICK_NS);
    assert_int_equal(pace.made, 1 + 399 * 25);
}

static void nothing_is_due_between_two_wake_ups(void **state)
{
    (void)state;
    struct pace pace = new_pace(100000, 0);
    pace_made(&pace, pace_events_due(&pace, START_NS));
    uint64_t wake_ns = pace_next_wake_ns(&pace);
    assert_int_equal(pace_events_due(&pace, wake_ns - 1), 0);
    assert_int_equal(pace_events_due(&pace, wake_ns), 25);
}

static void after_a_stall_all_that_became_due_is_due_at_once(void **state)
{
    (void)state;
    struct pace pace = new_pace(1000, 0);
    pace_made(&pace, pace_events_due(&pace, START_NS));
    (void)pace_next_wake_ns(&pace);
    assert_int_equal(pace_events_due(&pace, START_NS + 3 * NS_PER_S), 3000);
}

static void ends_with_the_count(void **state)
{
    (void)state;
    struct pace pace = new_pace(1000, 10);
    assert_int_equal(pace_events_due(&pace, START_NS + NS_PER_S), 10);
    pace_made(&pace, 10);
    assert_true(pace_finished(&pace));
    assert_int_equal(pace_events_due(&pace, START_NS + 2 * NS_PER_S), 0);
}

static void at_rate_zero_all_are_due(void **state)
{
    (void)state;
    struct pace pace = new_pace(0, 7);
    assert_int_equal(pace_events_due(&pace, START_NS), 7);
    pace = new_pace(0, 0);
    assert_true(pace_events_due(&pace, START_NS) == UINT64_MAX);
    assert_false(pace_finished(&pace));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_due_at_its_time_and_not_before),
        cmocka_unit_test(due_times_do_not_drift),
        cmocka_unit_test(at_a_low_rate_every_event_has_its_own_wake_up),
        cmocka_unit_test(at_a_high_rate_wake_ups_are_a_tick_apart),
        cmocka_unit_test(nothing_is_due_between_two_wake_ups),
        cmocka_unit_test(after_a_stall_all_that_became_due_is_due_at_once),
        cmocka_unit_test(ends_with_the_count),
        cmocka_unit_test(at_rate_zero_all_are_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
