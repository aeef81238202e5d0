#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_is_read_back_from_its_name),
        cmocka_unit_test(the_names_on_the_wire_do_not_change),
        cmocka_unit_test(other_names_are_no_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
