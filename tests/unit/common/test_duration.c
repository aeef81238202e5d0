#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/duration.h"

static void reads_an_integer_and_a_unit(void **unused)
{
    (void)unused;
    uint64_t ns = 0;
    assert_true(duration_parse("60s", UINT64_MAX, &ns));
    assert_int_equal(ns, 60000000000);
    assert_true(duration_parse("1d", UINT64_MAX, &ns));
    assert_int_equal(ns, 86400000000000);
    assert_true(duration_parse("18446744073709551615ns", UINT64_MAX, &ns));
    assert_int_equal(ns, UINT64_MAX);
}

static void refuses_what_is_none_or_too_long(void **unused)
{
    (void)unused;
    static const char *const cases[] = {
        "",     "s",   "5",  "0s", "-1s",  "1.5s",    "5 s",
        "5sec", "61s", "2m", "1d", "5s5s", "60001ms", "1000000000000000000000000ns"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ns = 77;
        assert_false(duration_parse(cases[i], 60000000000, &ns));
        assert_int_equal(ns, 77);
    }
}

static void writes_in_the_largest_unit_that_divides(void **unused)
{
    (void)unused;
    char text[DURATION_TEXT_BYTES];
    duration_format(60000000000, text);
    assert_string_equal(text, "1m");
    duration_format(90000000000, text);
    assert_string_equal(text, "90s");
    duration_format(UINT64_MAX, text);
    assert_string_equal(text, "18446744073709551615ns");
}

static void reads_decimal_digits_up_to_a_limit(void **unused)
{
    (void)unused;
    uint64_t value = 0;
    assert_true(decimal_parse("18446744073709551615", UINT64_MAX, &value));
    assert_false(decimal_parse("18446744073709551616", UINT64_MAX, &value));
    assert_true(decimal_parse("0", 0, &value));
    assert_false(decimal_parse("5", 3, &value));
    assert_false(decimal_parse("", 3, &value));
    assert_false(decimal_parse("+1", 3, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_an_integer_and_a_unit),
        cmocka_unit_test(refuses_what_is_none_or_too_long),
        cmocka_unit_test(writes_in_the_largest_unit_that_divides),
        cmocka_unit_test(reads_decimal_digits_up_to_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
