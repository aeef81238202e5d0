#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/background.h"
#include "common/base/clock.h"

/* The kernel's statistics are a file that the test writes. */
static void kernel_says(const struct background *background, const char *text)
{
    assert_int_equal(ftruncate(background->statistics, 0), 0);
    assert_int_equal(pwrite(background->statistics, text, strlen(text), 0), (ssize_t)strlen(text));
}

static struct background in_background(FILE *statistics)
{
    assert_non_null(statistics);
    struct background background = {.statistics = fileno(statistics), .looked_ns = NS_PER_S};
    return background;
}

static void rests_in_proportion_to_what_it_waited_since_the_last_rest(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    struct background background = in_background(file);
    kernel_says(&background, "900 1000000 3\n");
    assert_int_equal(background_rest_ns(&background, 2 * NS_PER_S), 19000000);
    kernel_says(&background, "900 1000000 4\n");
    assert_int_equal(background_rest_ns(&background, 3 * NS_PER_S), 0);
    kernel_says(&background, "999 1000002 5\n");
    assert_int_equal(background_rest_ns(&background, 4 * NS_PER_S), 38);
    fclose(file);
}

static void works_between_two_rests(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    struct background background = in_background(file);
    kernel_says(&background, "0 1000000 1\n");
    const uint64_t end_ns = 2 * NS_PER_S + background_rest_ns(&background, 2 * NS_PER_S);
    kernel_says(&background, "0 9000000 1\n");
    assert_int_equal(background_rest_ns(&background, end_ns), 0);
    assert_int_equal(background_rest_ns(&background, end_ns + 2 * NS_PER_MS), 19 * 8000000);
    fclose(file);
}

static void rests_a_second_at_most(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    struct background background = in_background(file);
    kernel_says(&background, "0 5000000000 1\n");
    assert_int_equal(background_rest_ns(&background, 2 * NS_PER_S), NS_PER_S);
    fclose(file);
}

static void never_rests_without_statistics_that_it_can_read(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    struct background background = in_background(file);
    kernel_says(&background, "none\n");
    assert_int_equal(background_rest_ns(&background, 2 * NS_PER_S), 0);
    kernel_says(&background, "");
    assert_int_equal(background_rest_ns(&background, 3 * NS_PER_S), 0);
    fclose(file);
    background.statistics = -1;
    assert_int_equal(background_rest_ns(&background, 4 * NS_PER_S), 0);
}

static void begins_with_the_lowest_priority_and_what_was_waited_before_does_not_count(void **state)
{
    (void)state;
    struct background background;
    background_begin(&background);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), 19);
    assert_int_equal(background_rest_ns(&background, background.looked_ns), 0);
    background_end(&background);
    assert_int_equal(background.statistics, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rests_in_proportion_to_what_it_waited_since_the_last_rest),
        cmocka_unit_test(works_between_two_rests),
        cmocka_unit_test(rests_a_second_at_most),
        cmocka_unit_test(never_rests_without_statistics_that_it_can_read),
        cmocka_unit_test(begins_with_the_lowest_priority_and_what_was_waited_before_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
