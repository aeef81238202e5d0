#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/reason.h"

static void every_reason_is_read_back_from_its_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        enum reason reason = REASON_COUNT;
        assert_true(reason_parse(slice_of_text(reason_text((enum reason)i)), &reason));
        assert_int_equal(reason, i);
    }
}

static void the_names_on_the_wire_do_not_change(void **state)
{
    (void)state;
    const char *const names[REASON_COUNT] = {
        "rate_limited", "invalid", "too_large", "unavailable",  "malformed",
        "unauthorized", "fenced",  "duplicate", "out_of_order", "shadow"};
    for (unsigned i = 0; i < REASON_COUNT; i++)
        assert_string_equal(reason_text((enum reason)i), names[i]);
}

static void other_names_are_no_reasons(void **state)
{
    (void)state;
    enum reason reason = REASON_SHADOW;

    assert_false(reason_parse(slice_of_text(""), &reason));
    assert_false(reason_parse(slice_of_text("rate_limite"), &reason));
    assert_false(reason_parse(slice_of_text("rate_limited "), &reason));
    assert_int_equal(reason, REASON_SHADOW);
    assert_string_equal(reason_text(REASON_COUNT), "unknown");
}

static void counts_are_listed_by_name(void **state)
{
    (void)state;
    char text[REASON_COUNTS_BYTES_MAX], small[8];
    uint64_t counts[REASON_COUNT] = {0};

    assert_int_equal(reason_counts_format(counts, text, sizeof text), 0);
    assert_string_equal(text, "");
    counts[REASON_INVALID] = 1;
    counts[REASON_RATE_LIMITED] = 12;
    size_t length = reason_counts_format(counts, text, sizeof text);
    assert_int_equal(length, strlen(text));
    assert_string_equal(text, "rate_limited 12, invalid 1");
    assert_int_equal(reason_counts_format(counts, small, sizeof small), sizeof small - 1);
    assert_string_equal(small, "rate_li");
    for (unsigned i = 0; i < REASON_COUNT; i++)
        counts[i] = UINT64_MAX;
    assert_true(reason_counts_format(counts, text, sizeof text) < sizeof text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_is_read_back_from_its_name),
        cmocka_unit_test(the_names_on_the_wire_do_not_change),
        cmocka_unit_test(other_names_are_no_reasons),
        cmocka_unit_test(counts_are_listed_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
