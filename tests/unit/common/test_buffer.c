#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buffer.h"

static void a_new_buffer_is_empty_and_owns_nothing(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 10);

    assert_int_equal(buffer.size, 0);
    assert_null(buffer.data);
    assert_int_equal(buffer_slice(&buffer).size, 0);
}

static void appends_pieces_one_behind_the_other(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);

    buffer_append(&buffer, "ab", 2);
    buffer_append(&buffer, NULL, 0);
    buffer_append_text(&buffer, "cde");

    assert_true(slice_equal_text(buffer_slice(&buffer), "abcde"));
    buffer_fini(&buffer);
}

static void grows_up_to_the_limit_and_not_beyond(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);

    for (unsigned i = 0; i < 1000; i++)
        buffer_append(&buffer, "x", 1);

    assert_int_equal(buffer.status, STATUS_OK);
    assert_int_equal(buffer.size, 1000);
    assert_int_equal(buffer.capacity, 1000);
    buffer_append(&buffer, "x", 1);
    assert_int_equal(buffer.status, STATUS_FULL);
    assert_int_equal(buffer.size, 1000);
    buffer_fini(&buffer);
}

static void the_first_failure_sticks_until_the_buffer_is_cleared(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 4);

    buffer_append_text(&buffer, "12345");
    buffer_append_text(&buffer, "6");

    assert_int_equal(buffer.status, STATUS_FULL);
    assert_int_equal(buffer_reserve(&buffer, 1), STATUS_FULL);
    assert_int_equal(buffer.size, 0);
    buffer_clear(&buffer);
    buffer_append_text(&buffer, "1234");
    assert_int_equal(buffer.status, STATUS_OK);
    assert_int_equal(buffer.size, 4);
    buffer_fini(&buffer);
}

static void refuses_a_length_that_would_wrap_around(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, SIZE_MAX);
    buffer_append_text(&buffer, "abc");

    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX), STATUS_FULL);
    buffer_clear(&buffer);
    assert_int_equal(buffer_reserve(&buffer, 4), STATUS_OK);
    buffer_fini(&buffer);
}

static void reserved_room_may_be_written_directly(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100);

    assert_int_equal(buffer_reserve(&buffer, 100), STATUS_OK);
    for (unsigned i = 0; i < 100; i++)
        buffer.data[i] = (uint8_t)i;
    buffer.size = 100;

    assert_int_equal(buffer_slice(&buffer).data[99], 99);
    buffer_fini(&buffer);
}

static void freeing_twice_is_harmless(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100);
    buffer_append_text(&buffer, "abc");

    buffer_fini(&buffer);
    buffer_fini(&buffer);

    assert_null(buffer.data);
    assert_int_equal(buffer.bytes_max, 100);
}

static void slices_are_ordered_by_bytes_and_then_by_length(void **state)
{
    (void)state;
    struct slice empty = {NULL, 0};

    assert_true(slice_compare(slice_of_text("a"), slice_of_text("b")) < 0);
    assert_true(slice_compare(slice_of_text("b"), slice_of_text("ab")) > 0);
    assert_true(slice_compare(slice_of_text("a"), slice_of_text("ab")) < 0);
    assert_true(slice_compare(slice_of_text("\xff"), slice_of_text("a")) > 0);
    assert_true(slice_compare(empty, slice_of_text("")) == 0);
    assert_true(slice_compare(empty, slice_of_text("a")) < 0);
    assert_true(slice_equal(empty, slice_of_text("")));
    assert_false(slice_equal_text(slice_of_text("a"), "ab"));
}

static void every_status_has_a_text_and_an_exit_code(void **state)
{
    (void)state;
    assert_string_equal(status_text(STATUS_OK), "done");
    assert_string_equal(status_text(STATUS_USAGE), "wrong usage");
    assert_string_equal(status_text((enum status)(STATUS_USAGE + 1)), "unknown status");

    assert_int_equal(status_exit_code(STATUS_OK), 0);
    assert_int_equal(status_exit_code(STATUS_NO_MEMORY), 1);
    assert_int_equal(status_exit_code(STATUS_USAGE), 64);
    assert_int_equal(status_exit_code(STATUS_BAD_INPUT), 65);
    assert_int_equal(status_exit_code(STATUS_UNAVAILABLE), 69);
    assert_int_equal(status_exit_code(STATUS_DAMAGED), 74);
    assert_int_equal(status_exit_code(STATUS_BUSY), 75);
    assert_int_equal(status_exit_code(STATUS_FENCED), 75);
    assert_int_equal(status_exit_code(STATUS_CONFIG), 78);
}

static void a_detail_that_is_too_long_is_cut(void **state)
{
    (void)state;
    struct detail detail;

    assert_int_equal(detail_set(&detail, STATUS_IO, "%s:%d", "file", 7), STATUS_IO);
    assert_string_equal(detail.text, "file:7");
    assert_int_equal(detail_set(NULL, STATUS_IO, "nobody listens"), STATUS_IO);
    assert_int_equal(detail_set(&detail, STATUS_IO, "%600d", 1), STATUS_IO);
    assert_int_equal(strlen(detail.text), DETAIL_BYTES_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_buffer_is_empty_and_owns_nothing),
        cmocka_unit_test(appends_pieces_one_behind_the_other),
        cmocka_unit_test(grows_up_to_the_limit_and_not_beyond),
        cmocka_unit_test(the_first_failure_sticks_until_the_buffer_is_cleared),
        cmocka_unit_test(refuses_a_length_that_would_wrap_around),
        cmocka_unit_test(reserved_room_may_be_written_directly),
        cmocka_unit_test(freeing_twice_is_harmless),
        cmocka_unit_test(slices_are_ordered_by_bytes_and_then_by_length),
        cmocka_unit_test(every_status_has_a_text_and_an_exit_code),
        cmocka_unit_test(a_detail_that_is_too_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
