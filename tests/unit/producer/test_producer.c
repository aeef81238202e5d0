#include "producer/producer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void expect_text(const struct outbox_counts *counts, const char *expected)
{
    char text[PRODUCER_COUNTS_BYTES_MAX];
    producer_counts_format(counts, text);
    assert_string_equal(text, expected);
}

static void names_each_reason_that_occurred(void **state)
{
    (void)state;
    struct outbox_counts counts = {.accepted = 12};
    expect_text(&counts, "12 accepted, 0 refused");
    counts.refused = 3;
    counts.refused_by[REASON_RATE_LIMITED] = 3;
    expect_text(&counts, "12 accepted, 3 refused (rate_limited 3)");
    counts.refused = 9;
    counts.refused_by[REASON_UNAVAILABLE] = 2;
    counts.refused_unknown_reason = 4;
    expect_text(&counts, "12 accepted, 9 refused (rate_limited 3, unavailable 2, "
                         "reason not repeated 4)");
}

static void says_which_verdicts_are_not_known_any_more(void **state)
{
    (void)state;
    struct outbox_counts counts = {.accepted = 1, .forgotten = 5};
    expect_text(&counts, "1 accepted, 0 refused, 5 decided long ago");
}

static void has_room_for_the_longest_text(void **state)
{
    (void)state;
    char text[PRODUCER_COUNTS_BYTES_MAX];
    struct outbox_counts counts = {.accepted = UINT64_MAX,
                                   .refused = UINT64_MAX,
                                   .refused_unknown_reason = UINT64_MAX,
                                   .forgotten = UINT64_MAX};
    for (unsigned reason = 0; reason < REASON_COUNT; reason++)
        counts.refused_by[reason] = UINT64_MAX;
    producer_counts_format(&counts, text);
    assert_non_null(strstr(text, "decided long ago"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_each_reason_that_occurred),
        cmocka_unit_test(says_which_verdicts_are_not_known_any_more),
        cmocka_unit_test(has_room_for_the_longest_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
