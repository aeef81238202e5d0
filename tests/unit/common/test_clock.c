#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "tests/lib/seed.h"

static void log_time_starts_at_the_later_of_wall_clock_and_last_stamp(void **state)
{
    (void)state;
    struct log_clock clock;

    log_clock_init(&clock, 1000, 50, 900);
    assert_int_equal(log_clock_stamp(&clock, 50), 1000);

    log_clock_init(&clock, 1000, 50, 5000);
    assert_int_equal(log_clock_stamp(&clock, 50), 5000);
}

static void log_time_goes_on_with_the_boot_clock(void **state)
{
    (void)state;
    struct log_clock clock;
    log_clock_init(&clock, 1000, 50, 0);

    assert_int_equal(log_clock_stamp(&clock, 57), 1007);
    assert_int_equal(log_clock_stamp(&clock, 60), 1010);
}

static void stamps_never_decrease_even_if_a_reading_does(void **state)
{
    (void)state;
    struct log_clock clock;
    log_clock_init(&clock, 1000, 50, 0);

    assert_int_equal(log_clock_stamp(&clock, 70), 1020);
    assert_int_equal(log_clock_stamp(&clock, 60), 1020);
    assert_int_equal(log_clock_stamp(&clock, 10), 1020);
    assert_int_equal(log_clock_stamp(&clock, 71), 1021);
}

static void tells_how_far_the_wall_clock_was_stepped(void **state)
{
    (void)state;
    struct log_clock clock;
    log_clock_init(&clock, 1000, 50, 0);

    assert_int_equal(log_clock_wall_step(&clock, 1010, 60), 0);
    assert_int_equal(log_clock_wall_step(&clock, 1500, 60), 490);
    assert_int_equal(log_clock_wall_step(&clock, 10, 60), -1000);
    assert_true(log_clock_wall_step(&clock, UINT64_MAX, 60) == INT64_MAX);
}

static void the_clocks_of_the_machine_are_set_and_run(void **state)
{
    (void)state;
    uint64_t boot_ns = clock_boot_ns();

    assert_true(clock_wall_ns() > 1700000000ULL * NS_PER_S);
    assert_true(clock_boot_ns() >= boot_ns);
}

static void writes_nine_digits_of_a_second_in_utc(void **state)
{
    (void)state;
    const struct {
        uint64_t time_ns;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000000Z"},
        {1767323045000000006, "2026-01-02T03:04:05.000000006Z"},
        {951827696999999999, "2000-02-29T12:34:56.999999999Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
        {UINT64_MAX, "2554-07-21T23:34:33.709551615Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[CLOCK_TEXT_BYTES];
        clock_format(cases[i].time_ns, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void reads_every_form_of_rfc_3339(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t time_ns;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-02T03:04:05.000000006Z", 1767323045000000006},
        {"2026-01-02t03:04:05.5z", 1767323045500000000},
        {"2026-01-02T04:04:05+01:00", 1767323045000000000},
        {"2026-01-01T21:34:05-05:30", 1767323045000000000},
        {"2026-01-02T03:04:05-00:00", 1767323045000000000},
        {"2016-12-31T23:59:60Z", 1483228800000000000},
        {"2000-02-29T00:00:00Z", 951782400000000000},
        {"2100-03-01T00:00:00Z", 4107542400000000000},
        {"2262-04-11T23:47:16.854775807Z", INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t time_ns = 0;
        assert_true(clock_parse(cases[i].text, &time_ns));
        assert_int_equal(time_ns, cases[i].time_ns);
    }
}

static void refuses_what_is_not_rfc_3339(void **state)
{
    (void)state;
    const char *const cases[] = {
        "",
        "2026",
        "2026-01-02",
        "2026-01-02T03:04Z",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05Z",
        "2026-1-02T03:04:05Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05.0000000001Z",
        "2026-01-02T03:04:05Z ",
        " 2026-01-02T03:04:05Z",
        "2026-00-02T03:04:05Z",
        "2026-13-02T03:04:05Z",
        "2026-01-00T03:04:05Z",
        "2026-01-32T03:04:05Z",
        "2026-04-31T03:04:05Z",
        "2026-02-29T03:04:05Z",
        "2100-02-29T03:04:05Z",
        "2026-01-02T24:04:05Z",
        "2026-01-02T03:60:05Z",
        "2026-01-02T03:04:61Z",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05+01:60",
        "2026-01-02T03:04:05+0100",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59Z",
        "+026-01-02T03:04:05Z",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t time_ns = 42;
        assert_false(clock_parse(cases[i], &time_ns));
        assert_int_equal(time_ns, 42);
    }
}

static void reads_back_what_it_wrote_and_agrees_with_the_library(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t time_ns = rng_next(&rng) >> rng_below(&rng, 40);
        uint64_t read_ns;
        char text[CLOCK_TEXT_BYTES];
        struct tm utc = {0};
        clock_format(time_ns, text);

        assert_true(clock_parse(text, &read_ns));
        assert_int_equal(read_ns, time_ns);
        assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%S", &utc));
        assert_int_equal((uint64_t)timegm(&utc), time_ns / NS_PER_S);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_time_starts_at_the_later_of_wall_clock_and_last_stamp),
        cmocka_unit_test(log_time_goes_on_with_the_boot_clock),
        cmocka_unit_test(stamps_never_decrease_even_if_a_reading_does),
        cmocka_unit_test(tells_how_far_the_wall_clock_was_stepped),
        cmocka_unit_test(the_clocks_of_the_machine_are_set_and_run),
        cmocka_unit_test(writes_nine_digits_of_a_second_in_utc),
        cmocka_unit_test(reads_every_form_of_rfc_3339),
        cmocka_unit_test(refuses_what_is_not_rfc_3339),
        cmocka_unit_test(reads_back_what_it_wrote_and_agrees_with_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
