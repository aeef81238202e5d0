#include "common/wire/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "tests/unit/common/golden.h"

static struct mp_reader reader_of(const char *bytes)
{
    return mp_reader_of(slice_of_text(bytes));
}

static void compares_log_ids_by_every_byte(void **test_state)
{
    (void)test_state;
    for (size_t i = 0; i < LOG_ID_BYTES; i++) {
        struct log_id a = {{0}}, b = {{0}};
        assert_true(log_id_equal(&a, &b));
        b.bytes[i] = 1;
        assert_false(log_id_equal(&a, &b));
    }
}

static void takes_log_ids_of_sixteen_bytes_only(void **test_state)
{
    (void)test_state;
    struct log_id log_id;
    static const char *const bad[] = {"\xc4\x0f"
                                      "123456789012345",
                                      "\xc4\x11"
                                      "12345678901234567",
                                      "\xb0"
                                      "1234567890123456",
                                      "\xc0", "\x01"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mp_reader reader = reader_of(bad[i]);
        const uint8_t *before = reader.at;
        assert_int_equal(log_id_read(&reader, &log_id), STATUS_INVALID);
        assert_ptr_equal(reader.at, before);
    }
    struct mp_reader reader = reader_of("\xc4\x10"
                                        "1234567890123456");
    assert_int_equal(log_id_read(&reader, &log_id), STATUS_OK);
    assert_memory_equal(log_id.bytes, "1234567890123456", LOG_ID_BYTES);
    assert_true(mp_at_end(&reader));
}

static void opens_messages_of_this_version_and_arity(void **test_state)
{
    (void)test_state;
    static const struct {
        const char *bytes;
        enum status status;
    } expected[] = {
        {"\x92\x01\xc0", STATUS_OK},
        {"\x92\xcc\x01\xc0", STATUS_OK},
        {"\x91\x01", STATUS_INVALID},
        {"\x93\x01\xc0\xc0", STATUS_INVALID},
        {"\x92\x02\xc0", STATUS_INVALID},
        {"\x92\xff\xc0", STATUS_INVALID},
        {"\x92\xa1"
         "1\xc0",
         STATUS_INVALID},
        {"\xc0", STATUS_INVALID},
        {"\x92", STATUS_MALFORMED},
        {"", STATUS_MALFORMED},
        {"\xc1", STATUS_MALFORMED},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct mp_reader reader = reader_of(expected[i].bytes);
        const uint8_t *before = reader.at;
        assert_int_equal(message_open_read(&reader, 2), expected[i].status);
        if (expected[i].status != STATUS_OK)
            assert_ptr_equal(reader.at, before);
    }
}

static void takes_sources_within_their_limits(void **test_state)
{
    (void)test_state;
    struct buffer buffer;
    struct slice source;
    char text[EVENT_SOURCE_BYTES_MAX + 1];
    memset(text, 's', sizeof text);
    buffer_init(&buffer, 1024);
    codec_text_slice(&buffer, (struct slice){(const uint8_t *)text, EVENT_SOURCE_BYTES_MAX});
    struct mp_reader reader = mp_reader_of(buffer_slice(&buffer));
    assert_int_equal(message_source_read(&reader, &source), STATUS_OK);
    assert_int_equal(source.size, EVENT_SOURCE_BYTES_MAX);
    buffer_clear(&buffer);
    codec_text_slice(&buffer, (struct slice){(const uint8_t *)text, sizeof text});
    reader = mp_reader_of(buffer_slice(&buffer));
    assert_int_equal(message_source_read(&reader, &source), STATUS_INVALID);
    reader = reader_of("\xa0");
    assert_int_equal(message_source_read(&reader, &source), STATUS_INVALID);
    buffer_fini(&buffer);
}

static void stands_for_unknown_text_with_nil(void **test_state)
{
    (void)test_state;
    struct buffer buffer;
    struct slice text;
    buffer_init(&buffer, 1024);
    message_text_or_nil_write(&buffer, slice_of_text(""));
    message_text_or_nil_write(&buffer, slice_of_text("\xff"));
    message_text_or_nil_write(&buffer, slice_of_text("ab"));
    assert_text(buffer_slice(&buffer), "\xc0\xc0\xa2"
                                       "ab");
    struct mp_reader reader = mp_reader_of(buffer_slice(&buffer));
    assert_int_equal(message_text_or_nil_read(&reader, 2, &text), STATUS_OK);
    assert_int_equal(text.size, 0);
    assert_int_equal(message_text_or_nil_read(&reader, 2, &text), STATUS_OK);
    assert_int_equal(message_text_or_nil_read(&reader, 1, &text), STATUS_INVALID);
    assert_int_equal(message_text_or_nil_read(&reader, 2, &text), STATUS_OK);
    assert_text(text, "ab");
    assert_int_equal(message_end_read(&reader), STATUS_OK);
    buffer_fini(&buffer);
}

static void fits_text_at_the_edge_of_a_character(void **test_state)
{
    (void)test_state;
    static const struct {
        const char *text;
        size_t bytes_max;
        const char *expected;
    } cases[] = {
        {"", 10, ""},
        {"abc", 10, "abc"},
        {"abc", 3, "abc"},
        {"abc", 2, "ab"},
        {"abc", 0, ""},
        {"a\xc3\xab", 3, "a\xc3\xab"},
        {"a\xc3\xab", 2, "a"},
        {"\xe2\x82\xac", 2, ""},
        {"\xf0\x9f\x98\x80x", 5, "\xf0\x9f\x98\x80x"},
        {"\xf0\x9f\x98\x80x", 3, ""},
        {"ab\x80"
         "cd",
         10, "ab"},
        {"ab\xc3", 10, "ab"},
        {"ab\xff"
         "cdef",
         10, "ab"},
        {"ab\xed\xa0\x80", 10, "ab"}, /* a surrogate */
        {"ab\xc0\xaf", 10, "ab"},     /* an overlong form */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_text(text_fit(slice_of_text(cases[i].text), cases[i].bytes_max), cases[i].expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_log_ids_by_every_byte),
        cmocka_unit_test(takes_log_ids_of_sixteen_bytes_only),
        cmocka_unit_test(opens_messages_of_this_version_and_arity),
        cmocka_unit_test(takes_sources_within_their_limits),
        cmocka_unit_test(stands_for_unknown_text_with_nil),
        cmocka_unit_test(fits_text_at_the_edge_of_a_character),
    };
    return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
