#include "common/upload/line_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct buffer event;
static char source[EVENT_SOURCE_BYTES_MAX + 1];
static struct detail reason;

static enum status take(const char *line, const char *override)
{
    buffer_fini(&event);
    buffer_init(&event, 4096);
    source[0] = '\0';
    reason.text[0] = '\0';
    return line_event_read(slice_of_text(line), override, 7, &event, source, &reason);
}

static void takes_the_source_from_the_line(void **state)
{
    (void)state;
    assert_int_equal(take("{\"type\":\"t\",\"source\":\"shop\"}", NULL), STATUS_OK);
    assert_string_equal(source, "shop");
    assert_true(event.size > 0);
}

static void a_source_that_was_named_wins(void **state)
{
    (void)state;
    assert_int_equal(take("{\"type\":\"t\",\"source\":\"shop\"}", "till"), STATUS_OK);
    assert_string_equal(source, "till");
    assert_int_equal(take("{\"type\":\"t\"}", "till"), STATUS_OK);
    assert_string_equal(source, "till");
}

static void a_line_without_any_source_is_bad(void **state)
{
    (void)state;
    assert_int_equal(take("{\"type\":\"t\"}", NULL), STATUS_BAD_INPUT);
    assert_string_equal(reason.text, "source: missing, and no --source was given");
    assert_int_equal(event.size, 0);
}

static void blank_lines_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(take("", NULL), STATUS_END);
    assert_int_equal(take(" \t\r", NULL), STATUS_END);
}

static void says_what_is_wrong_with_a_line(void **state)
{
    (void)state;
    assert_int_equal(take("{\"source\":\"shop\"}", NULL), STATUS_BAD_INPUT);
    assert_string_equal(reason.text, "type: is missing");
    assert_int_equal(take("no JSON", NULL), STATUS_BAD_INPUT);
    assert_int_equal(event.size, 0);
}

static void an_event_that_finds_no_room_is_told_of(void **state)
{
    (void)state;
    struct buffer small;
    buffer_init(&small, 4);
    assert_int_equal(line_event_read(slice_of_text("{\"type\":\"t\",\"source\":\"s\"}"), NULL, 7,
                                     &small, source, &reason),
                     STATUS_NO_MEMORY);
    buffer_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_source_from_the_line),
        cmocka_unit_test(a_source_that_was_named_wins),
        cmocka_unit_test(a_line_without_any_source_is_bad),
        cmocka_unit_test(blank_lines_are_passed_over),
        cmocka_unit_test(says_what_is_wrong_with_a_line),
        cmocka_unit_test(an_event_that_finds_no_room_is_told_of),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_fini(&event);
    return failed;
}
