/* Which segments may go: the rules one by one, and against a naive oracle. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "processor/retention_rule.h"
#include "tests/lib/seed.h"

enum { SEGMENTS = 5, SEGMENT_BYTES = 100, NOW_NS = 1000 };

/* Segments of 100 bytes that begin at 0, 100, 200, 300 and 400 ns, a snapshot before each. */
struct fixture {
    struct retention_segment segments[SEGMENTS];
};

static int set_up(void **state)
{
    static struct fixture fixture;
    for (size_t i = 0; i < SEGMENTS; i++)
        fixture.segments[i] = (struct retention_segment){
            .bytes = SEGMENT_BYTES, .first_time_ns = 100 * i, .has_snapshot = true};
    *state = &fixture;
    return 0;
}

static size_t choose(const struct fixture *fixture, struct retention_options options,
                     uint64_t needed_from_ns)
{
    return retention_choose(&options, fixture->segments, SEGMENTS, NOW_NS, needed_from_ns);
}

static void nothing_goes_without_a_limit(void **state)
{
    assert_int_equal(choose(*state, (struct retention_options){.bytes = 0}, NOW_NS), 0);
}

static void at_least_so_many_bytes_stay(void **state)
{
    assert_int_equal(choose(*state, (struct retention_options){.bytes = 1}, NOW_NS), 4);
    assert_int_equal(choose(*state, (struct retention_options){.bytes = 200}, NOW_NS), 3);
    assert_int_equal(choose(*state, (struct retention_options){.bytes = 201}, NOW_NS), 2);
    assert_int_equal(choose(*state, (struct retention_options){.bytes = 501}, NOW_NS), 0);
}

static void what_goes_is_as_old_as_asked_for(void **state)
{
    assert_int_equal(choose(*state, (struct retention_options){.for_ns = 700}, NOW_NS), 3);
    assert_int_equal(choose(*state, (struct retention_options){.for_ns = 701}, NOW_NS), 2);
    assert_int_equal(choose(*state, (struct retention_options){.for_ns = 901}, NOW_NS), 0);
    assert_int_equal(choose(*state, (struct retention_options){.for_ns = NOW_NS}, NOW_NS), 0);
    assert_int_equal(choose(*state, (struct retention_options){.for_ns = UINT64_MAX}, NOW_NS), 0);
}

static void either_limit_is_enough(void **state)
{
    assert_int_equal(
        choose(*state, (struct retention_options){.bytes = 500, .for_ns = 700}, NOW_NS), 3);
    assert_int_equal(
        choose(*state, (struct retention_options){.bytes = 100, .for_ns = 900}, NOW_NS), 4);
}

static void a_beginning_needs_its_snapshot(void **state)
{
    struct fixture *fixture = *state;
    fixture->segments[3].has_snapshot = false;
    fixture->segments[4].has_snapshot = false;
    assert_int_equal(choose(fixture, (struct retention_options){.bytes = 1}, NOW_NS), 2);
}

static void what_a_window_can_see_stays(void **state)
{
    const struct retention_options options = {.bytes = 1};
    assert_int_equal(choose(*state, options, 301), 3);
    assert_int_equal(choose(*state, options, 300), 2); /* segment 2 may end with one at 300 */
    assert_int_equal(choose(*state, options, 100), 0);
    assert_int_equal(choose(*state, options, 0), 0);
}

static void events_at_the_first_moment_of_all_count_as_any_other(void **state)
{
    struct fixture *fixture = *state;
    const struct retention_options options = {.bytes = 1};
    for (size_t i = 0; i < SEGMENTS; i++)
        fixture->segments[i].first_time_ns = 0;
    assert_int_equal(choose(fixture, options, retention_window_from(NOW_NS, NOW_NS + 1)), 0);
    assert_int_equal(choose(fixture, options, retention_window_from(NOW_NS, NOW_NS)), 4);
    const struct retention_options old = {.for_ns = NOW_NS};
    assert_int_equal(choose(fixture, old, NOW_NS), 4);
}

static void a_window_longer_than_time_begins_at_its_beginning(void **state)
{
    (void)state;
    assert_int_equal(retention_window_from(NOW_NS, 600), 401);
    assert_int_equal(retention_window_from(NOW_NS, NOW_NS), 1);
    assert_int_equal(retention_window_from(NOW_NS, NOW_NS + 1), 0);
    assert_int_equal(retention_window_from(NOW_NS, UINT64_MAX), 0);
}

/* ---- against an oracle ---- */

enum { MANY = 12, ROUNDS = 20000 };

/* May everything below `first` go? Rule by rule. */
static bool may_go(const struct retention_options *options,
                   const struct retention_segment *segments, size_t first, uint64_t now_ns,
                   uint64_t needed_from_ns)
{
    uint64_t left = 0;
    const uint64_t newest_gone_ns = segments[first].first_time_ns; /* at most */
    for (size_t i = first; i < MANY; i++)
        left += segments[i].bytes;
    const bool full = options->bytes != 0 && !(left < options->bytes);
    const bool old = options->for_ns != 0 && newest_gone_ns + options->for_ns <= now_ns;
    return segments[first].has_snapshot && newest_gone_ns < needed_from_ns && (full || old);
}

static void the_highest_that_may_is_chosen(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    struct retention_segment segments[MANY];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t time_ns = rng_below(&rng, 50), expected = 0;
        for (size_t i = 0; i < MANY; i++, time_ns += rng_below(&rng, 40))
            segments[i] = (struct retention_segment){.bytes = 1 + rng_below(&rng, 100),
                                                     .first_time_ns = time_ns,
                                                     .has_snapshot = rng_below(&rng, 4) > 0};
        const struct retention_options options = {
            .bytes = rng_below(&rng, 2) * rng_below(&rng, 1000),
            .for_ns = rng_below(&rng, 2) * rng_below(&rng, 500)};
        const uint64_t now_ns = time_ns + rng_below(&rng, 100);
        const uint64_t needed_from_ns = rng_below(&rng, now_ns + 2);
        for (size_t first = MANY - 1; first > 0 && expected == 0; first--)
            if (may_go(&options, segments, first, now_ns, needed_from_ns))
                expected = first;
        assert_int_equal(retention_choose(&options, segments, MANY, now_ns, needed_from_ns),
                         expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_goes_without_a_limit, set_up),
        cmocka_unit_test_setup(at_least_so_many_bytes_stay, set_up),
        cmocka_unit_test_setup(what_goes_is_as_old_as_asked_for, set_up),
        cmocka_unit_test_setup(either_limit_is_enough, set_up),
        cmocka_unit_test_setup(a_beginning_needs_its_snapshot, set_up),
        cmocka_unit_test_setup(what_a_window_can_see_stays, set_up),
        cmocka_unit_test_setup(events_at_the_first_moment_of_all_count_as_any_other, set_up),
        cmocka_unit_test(a_window_longer_than_time_begins_at_its_beginning),
        cmocka_unit_test(the_highest_that_may_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
