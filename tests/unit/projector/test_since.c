#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "projector/core/since.h"

static void what_was_kept_needs_no_option(void **unused)
{
    (void)unused;
    static const struct {
        uint64_t asked, kept, since;
    } cases[] = {{0, 0, 1}, {7, 0, 7}, {0, 7, 7}, {7, 7, 7}, {0, 1, 1}, {1, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t since = 0;
        struct detail detail = {""};
        assert_int_equal(since_choose(cases[i].asked, cases[i].kept, &since, &detail), STATUS_OK);
        assert_int_equal(since, cases[i].since);
    }
}

static void another_beginning_than_the_kept_one_is_refused(void **unused)
{
    (void)unused;
    uint64_t since = 0;
    struct detail detail = {""};
    assert_int_equal(since_choose(8, 7, &since, &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, "begin with event 7"));
    assert_non_null(strstr(detail.text, "--rebuild"));
    assert_int_equal(since_choose(8, 1, &since, &detail), STATUS_CONFIG);
}

static void what_the_log_lost_is_named(void **unused)
{
    (void)unused;
    struct detail detail = {""};
    assert_int_equal(since_check(1, 1, &detail), STATUS_OK);
    assert_int_equal(since_check(9, 9, &detail), STATUS_OK);
    assert_int_equal(since_check(10, 9, &detail), STATUS_OK);
    assert_int_equal(since_check(8, 9, &detail), STATUS_GONE);
    assert_non_null(strstr(detail.text, "--from-id 9"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_kept_needs_no_option),
        cmocka_unit_test(another_beginning_than_the_kept_one_is_refused),
        cmocka_unit_test(what_the_log_lost_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
