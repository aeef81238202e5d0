#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/app/moment.h"

static struct moment parsed(const char *text)
{
    struct moment moment = {MOMENT_ID, 77};
    struct detail detail = {""};
    if (moment_parse(text, &moment, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
    return moment;
}

static void reads_ids_times_and_lengths_back(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        struct moment moment;
    } cases[] = {
        {"#0", {MOMENT_ID, 0}},
        {"#1234", {MOMENT_ID, 1234}},
        {"#18446744073709551615", {MOMENT_ID, UINT64_MAX}},
        {"1970-01-01T00:00:05Z", {MOMENT_TIME, 5000000000}},
        {"1970-01-01T00:00:00.000000001Z", {MOMENT_TIME, 1}},
        {"1970-01-01T01:00:00.5+01:00", {MOMENT_TIME, 500000000}},
        {"-5m", {MOMENT_BACK, 300000000000}},
        {"-1ns", {MOMENT_BACK, 1}},
        {"-2d", {MOMENT_BACK, 172800000000000}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct moment moment = parsed(cases[i].text);
        if (moment.kind != cases[i].moment.kind || moment.value != cases[i].moment.value)
            fail_msg("%s: kind %d, value %ju", cases[i].text, (int)moment.kind,
                     (uintmax_t)moment.value);
    }
}

static void says_what_is_wrong_with_a_bad_one(void **unused)
{
    (void)unused;
    static const char *const cases[][2] = {
        {"", "empty"},
        {"#", "# and digits"},
        {"#12x", "# and digits"},
        {"#-1", "# and digits"},
        {"#18446744073709551616", "64 bits"},
        {"1234", "#1234"},
        {"-", "digits and a unit"},
        {"-m", "digits and a unit"},
        {"-5", "unit is missing"},
        {"-5x", "no length of time"},
        {"-0s", "no length of time"},
        {"-5 m", "no length of time"},
        {"-1000000000000000000d", "no length of time"},
        {"yesterday", "neither #ID"},
        {"2026-01-02", "neither #ID"},
        {"2026-02-30T00:00:00Z", "RFC 3339"},
        {"2026-01-02T03:04:05", "RFC 3339"},
        {"1969-12-31T23:59:59Z", "RFC 3339"},
        {"2026-01-02T03:04:05Z ", "RFC 3339"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct moment moment = {MOMENT_ID, 77};
        struct detail detail = {""};
        assert_int_equal(moment_parse(cases[i][0], &moment, &detail), STATUS_USAGE);
        assert_int_equal(moment.value, 77);
        if (strstr(detail.text, cases[i][1]) == NULL || strstr(detail.text, cases[i][0]) == NULL)
            fail_msg("%s", detail.text);
    }
}

static void goes_back_from_the_last_time_and_no_further_than_1970(void **unused)
{
    (void)unused;
    struct moment moment = moment_resolve(parsed("-5m"), 301000000000);
    assert_int_equal(moment.kind, MOMENT_TIME);
    assert_int_equal(moment.value, 1000000000);
    assert_int_equal(moment_resolve(parsed("-5m"), 1000).value, 0);
    assert_int_equal(moment_resolve(parsed("#9"), 1000).kind, MOMENT_ID);
    assert_int_equal(moment_resolve(parsed("1970-01-01T00:00:05Z"), 1).value, 5000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_ids_times_and_lengths_back),
        cmocka_unit_test(says_what_is_wrong_with_a_bad_one),
        cmocka_unit_test(goes_back_from_the_last_time_and_no_further_than_1970),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
