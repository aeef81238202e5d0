#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "projector/http/delays.h"
#include "tests/lib/seed.h"

enum { TEXT_BYTES_MAX = 8192, RANDOM_DELAYS = 2000 };

/* The histogram as text; the caller ends it. */
static struct buffer written(const struct delays *delays)
{
    struct buffer text;
    buffer_init(&text, TEXT_BYTES_MAX);
    delays_write(delays, "d", "Some help.", &text);
    buffer_append(&text, "", 1);
    assert_int_equal(text.status, STATUS_OK);
    return text;
}

static void expect_line(const struct delays *delays, const char *line)
{
    struct buffer text = written(delays);
    if (strstr((const char *)text.data, line) == NULL)
        fail_msg("%s is not in\n%s", line, (const char *)text.data);
    buffer_fini(&text);
}

static void nothing_was_recorded_at_first(void **state)
{
    (void)state;
    struct delays delays = {.sum_ns = 0};
    assert_int_equal(delays_percentile(&delays, 50), 0);
    expect_line(&delays, "# HELP d Some help.\n# TYPE d histogram\nd_bucket{le=\"0.0001\"} 0\n");
    expect_line(&delays, "\nd_bucket{le=\"+Inf\"} 0\nd_sum 0.000000000\nd_count 0\n");
}

static void a_delay_at_a_bound_is_below_it_and_one_above_is_not(void **state)
{
    (void)state;
    struct delays delays = {.sum_ns = 0};
    delays_record(&delays, 1 * NS_PER_MS, 3);
    delays_record(&delays, 1 * NS_PER_MS + 1, 2);
    delays_record(&delays, 11 * NS_PER_S, 1);
    expect_line(&delays, "\nd_bucket{le=\"0.0005\"} 0\n");
    expect_line(&delays, "\nd_bucket{le=\"0.001\"} 3\n");
    expect_line(&delays, "\nd_bucket{le=\"0.002\"} 5\n");
    expect_line(&delays, "\nd_bucket{le=\"10\"} 5\nd_bucket{le=\"+Inf\"} 6\n");
    expect_line(&delays, "\nd_sum 11.005000002\nd_count 6\n");
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* At least as many delays as asked for are not above a percentile, which is a sixteenth above one
 * that was recorded, or a microsecond, at most. */
static void percentiles_are_those_of_a_sorted_list(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    for (int round = 0; round < 20; round++) {
        struct delays delays = {.sum_ns = 0};
        uint64_t list[RANDOM_DELAYS];
        uint64_t size = 1 + rng_below(&rng, RANDOM_DELAYS);
        for (uint64_t i = 0; i < size; i++) {
            list[i] = rng_below(&rng, 1ULL << (1 + rng_below(&rng, 37))); /* up to 137 s */
            delays_record(&delays, list[i], 1);
        }
        qsort(list, size, sizeof list[0], compare);
        for (int percent = 1; percent <= 100; percent++) {
            uint64_t rank = (size * (uint64_t)percent + 99) / 100;
            uint64_t exact = list[rank - 1], found = delays_percentile(&delays, percent);
            if (found < exact || found > exact + exact / 16 + NS_PER_US)
                fail_msg("percentile %d of %ju: %ju for %ju", percent, (uintmax_t)size,
                         (uintmax_t)found, (uintmax_t)exact);
        }
    }
}

static void what_is_beyond_all_buckets_counts_in_the_last(void **state)
{
    (void)state;
    struct delays delays = {.sum_ns = 0};
    delays_record(&delays, 3600 * NS_PER_S, 1);
    uint64_t last_ns = delays_percentile(&delays, 50);
    assert_true(last_ns >= 134 * NS_PER_S && last_ns < 3600 * NS_PER_S);
    expect_line(&delays, "\nd_bucket{le=\"10\"} 0\nd_bucket{le=\"+Inf\"} 1\n");
}

static void a_new_second_forgets_the_percentiles_and_not_the_counts(void **state)
{
    (void)state;
    struct delays delays = {.sum_ns = 0};
    delays_record(&delays, 5 * NS_PER_MS, 10);
    assert_true(delays_percentile(&delays, 50) >= 5 * NS_PER_MS);
    delays_next_second(&delays);
    assert_int_equal(delays_percentile(&delays, 50), 0);
    delays_record(&delays, 2 * NS_PER_US, 1);
    assert_true(delays_percentile(&delays, 100) <= 4 * NS_PER_US);
    expect_line(&delays, "\nd_count 11\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_recorded_at_first),
        cmocka_unit_test(a_delay_at_a_bound_is_below_it_and_one_above_is_not),
        cmocka_unit_test(percentiles_are_those_of_a_sorted_list),
        cmocka_unit_test(what_is_beyond_all_buckets_counts_in_the_last),
        cmocka_unit_test(a_new_second_forgets_the_percentiles_and_not_the_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
