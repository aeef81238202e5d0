#include "common/wire/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "tests/unit/common/control_support.h"
#include "tests/unit/common/golden.h"

static const struct log_id log_id = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static void writes_and_reads_a_hello_reply_as_the_golden_bytes(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct hello_reply reply;
    struct detail detail;
    hello_reply_write(buffer, &(struct hello_reply){log_id, 4, 60});
    assert_golden(buffer_slice(buffer), "reply", "hello");
    assert_int_equal(hello_reply_read(buffer_slice(buffer), &reply, &detail), STATUS_OK);
    assert_true(log_id_equal(&reply.log_id, &log_id));
    assert_int_equal(reply.epoch, 4);
    assert_int_equal(reply.last_sequence, 60);
}

static void writes_and_reads_a_replay_reply_as_the_golden_bytes(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct replay_reply reply;
    struct detail detail;
    replay_reply_write(buffer, &(struct replay_reply){log_id, 1, 200, 70000});
    assert_golden(buffer_slice(buffer), "reply", "replay");
    assert_int_equal(replay_reply_read(buffer_slice(buffer), &reply, &detail), STATUS_OK);
    assert_true(log_id_equal(&reply.log_id, &log_id));
    assert_int_equal(reply.first_id, 1);
    assert_int_equal(reply.count, 200);
    assert_int_equal(reply.last_id, 70000);
}

static void turns_each_error_code_into_a_status(void **test_state)
{
    struct buffer *buffer = *test_state;
    static const struct {
        enum control_code code;
        enum status status;
    } expected[] = {
        {CONTROL_CODE_BAD_REQUEST, STATUS_INVALID},
        {CONTROL_CODE_UNKNOWN_VERB, STATUS_INVALID},
        {CONTROL_CODE_UNSUPPORTED, STATUS_INVALID},
        {CONTROL_CODE_NOT_FOUND, STATUS_NOT_FOUND},
        {CONTROL_CODE_GONE, STATUS_GONE},
        {CONTROL_CODE_INVALID, STATUS_INVALID},
        {CONTROL_CODE_UNAVAILABLE, STATUS_UNAVAILABLE},
        {CONTROL_CODE_UNAUTHORIZED, STATUS_FENCED},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct mp_reader reader;
        uint32_t items;
        struct detail detail;
        char text[64];
        buffer_clear(buffer);
        control_error_write(buffer, expected[i].code, "so it is");
        assert_int_equal(control_reply_read(buffer_slice(buffer), &reader, &items, &detail),
                         expected[i].status);
        snprintf(text, sizeof text, "%s: so it is", control_code_text(expected[i].code));
        assert_string_equal(detail.text, text);
    }
}

static void writes_an_error_as_the_golden_bytes(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct detail detail;
    struct hello_reply reply;
    control_error_write(buffer, CONTROL_CODE_GONE, "the first event kept is 1000");
    assert_golden(buffer_slice(buffer), "reply", "error");
    assert_int_equal(hello_reply_read(buffer_slice(buffer), &reply, &detail), STATUS_GONE);
    assert_string_equal(detail.text, "gone: the first event kept is 1000");
}

static void keeps_an_errors_text_within_its_limit_and_valid(void **test_state)
{
    struct buffer *buffer = *test_state;
    char text[CONTROL_TEXT_BYTES_MAX + 10];
    memset(text, 'e', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memcpy(text + CONTROL_TEXT_BYTES_MAX - 1, "\xc3\xab", 2);
    control_error_write(buffer, CONTROL_CODE_INVALID, text);
    assert_int_equal(buffer->data[buffer->size - 1], 'e');
    assert_int_equal(buffer->size, 2 + 6 + 8 + 2 + CONTROL_TEXT_BYTES_MAX - 1);

    struct mp_reader reader;
    uint32_t items;
    struct detail detail;
    buffer_clear(buffer);
    control_error_write(buffer, CONTROL_CODE_INVALID,
                        "ab\xff"
                        "cd");
    assert_int_equal(control_reply_read(buffer_slice(buffer), &reader, &items, &detail),
                     STATUS_INVALID);
    assert_string_equal(detail.text, "invalid: ab");
}

static void stands_at_the_first_item_of_a_good_reply(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct mp_reader reader;
    uint32_t items;
    uint64_t value;
    control_ok_write(buffer, 2);
    codec_uint(buffer, 7);
    codec_uint(buffer, 8);
    assert_int_equal(control_reply_read(buffer_slice(buffer), &reader, &items, NULL), STATUS_OK);
    assert_int_equal(items, 2);
    assert_int_equal(mp_read_uint(&reader, &value), STATUS_OK);
    assert_int_equal(value, 7);
}

static void gives_the_map_of_a_reply_and_nothing_else(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct detail detail;
    struct slice map = {NULL, 0};
    control_ok_write(buffer, 1);
    codec_map(buffer, 1);
    codec_text(buffer, "now");
    codec_uint(buffer, 7);
    assert_int_equal(control_reply_map_read(buffer_slice(buffer), &map, &detail), STATUS_OK);
    assert_bytes(map, slice_of_text("\x81\xa3now\x07"));

    map = (struct slice){NULL, 0};
    buffer_clear(buffer);
    control_ok_write(buffer, 0);
    assert_int_equal(control_reply_map_read(buffer_slice(buffer), &map, &detail), STATUS_MALFORMED);
    buffer_clear(buffer);
    control_ok_write(buffer, 1);
    codec_array(buffer, 0);
    assert_int_equal(control_reply_map_read(buffer_slice(buffer), &map, &detail), STATUS_MALFORMED);
    buffer_clear(buffer);
    control_ok_write(buffer, 2);
    codec_map(buffer, 0);
    codec_map(buffer, 0);
    assert_int_equal(control_reply_map_read(buffer_slice(buffer), &map, &detail), STATUS_MALFORMED);
    buffer_clear(buffer);
    control_error_write(buffer, CONTROL_CODE_NOT_FOUND, "no such view");
    assert_int_equal(control_reply_map_read(buffer_slice(buffer), &map, &detail), STATUS_NOT_FOUND);
    assert_null(map.data);
}

static void gives_the_integer_of_a_reply_and_nothing_else(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct detail detail;
    uint64_t value = 1;
    control_ok_write(buffer, 1);
    codec_uint(buffer, UINT64_MAX);
    assert_int_equal(control_reply_uint_read(buffer_slice(buffer), &value, &detail), STATUS_OK);
    assert_true(value == UINT64_MAX);
    buffer_clear(buffer);
    control_ok_write(buffer, 0);
    assert_int_equal(control_reply_uint_read(buffer_slice(buffer), &value, &detail),
                     STATUS_MALFORMED);
    buffer_clear(buffer);
    control_ok_write(buffer, 1);
    codec_text(buffer, "7");
    assert_int_equal(control_reply_uint_read(buffer_slice(buffer), &value, &detail),
                     STATUS_MALFORMED);
    buffer_clear(buffer);
    control_error_write(buffer, CONTROL_CODE_GONE, "dropped");
    assert_int_equal(control_reply_uint_read(buffer_slice(buffer), &value, &detail), STATUS_GONE);
}

static void calls_what_is_no_reply_malformed(void **test_state)
{
    (void)test_state;
    static const char *const frames[] = {
        "",
        "\xc1",
        "\xc0",
        "\x91\x01",
        "\x92\x02\xa2ok",
        "\x92\x01\x01",
        "\x92\x01\xa3"
        "yes",
        "\x92\x01\xa2ok\xc0",
        "\x93\x01\xa2ok",
        "\x93\x01\xa5"
        "error\xa4"
        "gone",
        "\x94\x01\xa5"
        "error\x01\xa1x",
        "\x94\x01\xa5"
        "error\xa4"
        "gone\x01",
    };
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct mp_reader reader;
        uint32_t items;
        struct detail detail;
        if (control_reply_read(slice_of_text(frames[i]), &reader, &items, &detail) !=
            STATUS_MALFORMED)
            fail_msg("frame %zu is taken for a reply", i);
    }
}

static void calls_a_good_reply_to_another_question_malformed(void **test_state)
{
    struct buffer *buffer = *test_state;
    struct hello_reply hello;
    struct replay_reply replay;
    struct detail detail;
    golden_read("reply", "replay", buffer);
    assert_int_equal(hello_reply_read(buffer_slice(buffer), &hello, &detail), STATUS_MALFORMED);
    buffer_clear(buffer);
    golden_read("reply", "hello", buffer);
    assert_int_equal(replay_reply_read(buffer_slice(buffer), &replay, &detail), STATUS_MALFORMED);
    buffer_clear(buffer);
    control_ok_write(buffer, 3);
    log_id_write(buffer, &log_id);
    codec_nil(buffer);
    codec_uint(buffer, 1);
    assert_int_equal(hello_reply_read(buffer_slice(buffer), &hello, &detail), STATUS_MALFORMED);
}

static void read_any_reply(struct slice bytes)
{
    struct hello_reply hello;
    struct replay_reply replay;
    struct detail detail = {""};
    if (hello_reply_read(bytes, &hello, &detail) != STATUS_OK)
        assert_true(strlen(detail.text) > 0 && utf8_valid(slice_of_text(detail.text)));
    detail.text[0] = '\0';
    if (replay_reply_read(bytes, &replay, &detail) != STATUS_OK)
        assert_true(strlen(detail.text) > 0);
}

static void survives_any_bytes(void **test_state)
{
    (void)test_state;
    golden_spoil_all("reply", read_any_reply);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(writes_and_reads_a_hello_reply_as_the_golden_bytes),
        TEST(writes_and_reads_a_replay_reply_as_the_golden_bytes),
        TEST(turns_each_error_code_into_a_status),
        TEST(writes_an_error_as_the_golden_bytes),
        TEST(keeps_an_errors_text_within_its_limit_and_valid),
        TEST(stands_at_the_first_item_of_a_good_reply),
        TEST(gives_the_map_of_a_reply_and_nothing_else),
        TEST(gives_the_integer_of_a_reply_and_nothing_else),
        TEST(calls_what_is_no_reply_malformed),
        TEST(calls_a_good_reply_to_another_question_malformed),
        TEST(survives_any_bytes),
    };
#undef TEST
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
