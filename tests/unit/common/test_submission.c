#include "common/wire/submission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "tests/unit/common/golden.h"

static const char wide_source[] =
    "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"
    "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss";

static void write_header(struct buffer *buffer, const struct submission_header *header)
{
    assert_int_equal(buffer_reserve(buffer, SUBMISSION_HEADER_BYTES_MAX), STATUS_OK);
    uint8_t *end = submission_put_header(buffer->data + buffer->size, header);
    buffer->size = (size_t)(end - buffer->data);
}

static enum status read_bytes(const void *bytes, size_t size, struct detail *ret_detail)
{
    struct submission_header header;
    struct mp_reader reader = mp_reader_of((struct slice){bytes, size});
    struct mp_reader before = reader;
    enum status status = submission_read_header(&reader, &header, ret_detail);
    if (status != STATUS_OK)
        assert_ptr_equal(reader.at, before.at);
    return status;
}

/* A header with these values and epoch 1. */
static enum status read_header_of(uint64_t version, const char *source, uint64_t first_sequence,
                                  uint64_t count, struct detail *ret_detail)
{
    struct buffer buffer;
    buffer_init(&buffer, 1024);
    codec_array(&buffer, 5);
    codec_uint(&buffer, version);
    codec_text(&buffer, source);
    codec_uint(&buffer, 1);
    codec_uint(&buffer, first_sequence);
    codec_uint(&buffer, count);
    enum status status = read_bytes(buffer.data, buffer.size, ret_detail);
    buffer_fini(&buffer);
    return status;
}

static void writes_the_golden_bytes(void **test_state)
{
    (void)test_state;
    struct buffer frame;
    buffer_init(&frame, SUBMISSION_BYTES_MAX);
    write_header(&frame, &(struct submission_header){.source = slice_of_text("shop/eu-1"),
                                                     .epoch = 3,
                                                     .first_sequence = 17,
                                                     .count = 2});
    golden_event_created(&frame);
    golden_event_traced(&frame);
    assert_golden(buffer_slice(&frame), "submission", "sequenced");

    buffer_clear(&frame);
    write_header(&frame, &(struct submission_header){.source = slice_of_text("cli"), .count = 1});
    golden_event_created(&frame);
    assert_golden(buffer_slice(&frame), "submission", "unsequenced");

    buffer_clear(&frame);
    write_header(&frame, &(struct submission_header){.source = slice_of_text(wide_source),
                                                     .epoch = UINT64_MAX,
                                                     .first_sequence = UINT64_MAX - 16383,
                                                     .count = 16384});
    assert_golden(buffer_slice(&frame), "submission", "widest_header");
    assert_true(frame.size <= SUBMISSION_HEADER_BYTES_MAX);
    buffer_fini(&frame);
}

static void reads_the_golden_header_and_stands_at_the_first_event(void **test_state)
{
    (void)test_state;
    struct buffer frame;
    struct submission_header header;
    struct event event;
    buffer_init(&frame, SUBMISSION_BYTES_MAX);
    golden_read("submission", "sequenced", &frame);
    struct mp_reader reader = mp_reader_of(buffer_slice(&frame));

    assert_int_equal(submission_read_header(&reader, &header, NULL), STATUS_OK);
    assert_text(header.source, "shop/eu-1");
    assert_int_equal(header.epoch, 3);
    assert_int_equal(header.first_sequence, 17);
    assert_int_equal(header.count, 2);
    assert_int_equal(event_read(&reader, &event, NULL, NULL), STATUS_OK);
    assert_text(event.type, "order.created");
    assert_int_equal(event_read(&reader, &event, NULL, NULL), STATUS_OK);
    assert_text(event.subject, "Zo\xc3\xab");
    assert_true(mp_at_end(&reader));
    buffer_fini(&frame);
}

static void reads_the_widest_header(void **test_state)
{
    (void)test_state;
    struct buffer frame;
    struct submission_header header;
    buffer_init(&frame, SUBMISSION_BYTES_MAX);
    golden_read("submission", "widest_header", &frame);
    struct mp_reader reader = mp_reader_of(buffer_slice(&frame));
    assert_int_equal(submission_read_header(&reader, &header, NULL), STATUS_OK);
    assert_text(header.source, wide_source);
    assert_int_equal(header.epoch, UINT64_MAX);
    assert_int_equal(header.first_sequence, UINT64_MAX - 16383);
    assert_int_equal(header.count, 16384);
    assert_true(mp_at_end(&reader));
    buffer_fini(&frame);
}

static void accepts_integers_in_any_format(void **test_state)
{
    (void)test_state;
    static const uint8_t wide[] = {0xdd, 0, 0,   0,    5, 0xcf, 0,    0, 0,    0, 0, 0, 0, 1,
                                   0xd9, 1, 'a', 0xd1, 0, 2,    0xd0, 3, 0xce, 0, 0, 0, 4};
    struct submission_header header;
    struct mp_reader reader = mp_reader_of((struct slice){wide, sizeof wide});
    assert_int_equal(submission_read_header(&reader, &header, NULL), STATUS_OK);
    assert_text(header.source, "a");
    assert_int_equal(header.epoch, 2);
    assert_int_equal(header.first_sequence, 3);
    assert_int_equal(header.count, 4);
}

static void calls_what_is_not_messagepack_malformed(void **test_state)
{
    (void)test_state;
    struct detail detail;
    static const uint8_t bad_item[] = {0x95, 0x01, 0xc1, 0, 0, 0};
    static const uint8_t bomb[] = {0xdd, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t short_text[] = {0x95, 0x01, 0xd9, 200, 'a', 0, 0, 0};
    static const uint8_t bad_behind_a_wrong_version[] = {0x93, 0x02, 0xa1, 'a', 0xc1};
    assert_int_equal(read_bytes("", 0, &detail), STATUS_MALFORMED);
    assert_int_equal(read_bytes("\xc1", 1, &detail), STATUS_MALFORMED);
    assert_int_equal(read_bytes(bad_item, sizeof bad_item, &detail), STATUS_MALFORMED);
    assert_int_equal(read_bytes(bomb, sizeof bomb, &detail), STATUS_MALFORMED);
    assert_int_equal(read_bytes(short_text, sizeof short_text, &detail), STATUS_MALFORMED);
    assert_int_equal(
        read_bytes(bad_behind_a_wrong_version, sizeof bad_behind_a_wrong_version, &detail),
        STATUS_MALFORMED);
}

static void calls_every_truncation_of_a_header_malformed(void **test_state)
{
    (void)test_state;
    struct buffer frame;
    buffer_init(&frame, SUBMISSION_BYTES_MAX);
    golden_read("submission", "widest_header", &frame);
    for (size_t size = 0; size < frame.size; size++)
        assert_int_equal(read_bytes(frame.data, size, NULL), STATUS_MALFORMED);
    buffer_fini(&frame);
}

static void calls_another_shape_invalid(void **test_state)
{
    (void)test_state;
    static const char *const shapes[] = {
        "\xc0",
        "\x2a",
        "\xa1x",
        "\x80",
        "\x90",
        "\x91\x01",
        "\x94\x01\xa1x\x01\x01",
        "\x96\x01\xa1x\x01\x01\x01\x01",
        "\x95\x02\xa1x\x01\x01\x01", /* arity, version */
        "\x95\xff\xa1x\x01\x01\x01", /* version −1 */
        "\x95\xa1"
        "1\xa1x\x01\x01\x01",            /* version a string */
        "\x95\x01\xc4\x01x\x01\x01\x01", /* source a bin */
        "\x95\x01\xc0\x01\x01\x01",      /* source nil */
        "\x95\x01\xa1x\xff\x01\x01",     /* epoch −1 */
        "\x95\x01\xa1x\xc0\x01\x01",     /* epoch nil */
        "\x95\x01\xa1x\x01\xff\x01",     /* first_sequence −1 */
        "\x95\x01\xa1x\x01\xc3\x01",     /* first_sequence true */
        "\x95\x01\xa1x\x01\x01\xff",     /* count −1 */
        "\x95\x01\xa1x\x01\x01\xa1"
        "1",                                         /* count a string */
        "\x95\x01\xa1x\x01\x01\xca\x3f\x80\x01\x01", /* count a float */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct detail detail = {""};
        if (read_bytes(shapes[i], strlen(shapes[i]), &detail) != STATUS_INVALID)
            fail_msg("shape %zu is not invalid", i);
        assert_true(strlen(detail.text) > 0);
    }
}

static void calls_every_field_out_of_range_invalid(void **test_state)
{
    (void)test_state;
    char long_source[EVENT_SOURCE_BYTES_MAX + 2];
    memset(long_source, 's', sizeof long_source);
    long_source[EVENT_SOURCE_BYTES_MAX + 1] = '\0';
    static const char *const bad_sources[] = {"",         " ",    "a b",   "a\x7f",
                                              "\xc3\xab", "weir", "weirdo"};
    for (size_t i = 0; i < sizeof bad_sources / sizeof bad_sources[0]; i++)
        assert_int_equal(read_header_of(1, bad_sources[i], 1, 1, NULL), STATUS_INVALID);
    assert_int_equal(read_header_of(1, long_source, 1, 1, NULL), STATUS_INVALID);
    assert_int_equal(read_header_of(1, long_source + 1, 1, 1, NULL), STATUS_OK);

    assert_int_equal(read_header_of(0, "a", 1, 1, NULL), STATUS_INVALID);
    assert_int_equal(read_header_of(2, "a", 1, 1, NULL), STATUS_INVALID);
    assert_int_equal(read_header_of(1, "a", 1, 0, NULL), STATUS_INVALID);
    assert_int_equal(read_header_of(1, "a", 1, SUBMISSION_EVENTS_MAX, NULL), STATUS_OK);
    assert_int_equal(read_header_of(1, "a", 1, SUBMISSION_EVENTS_MAX + 1, NULL), STATUS_INVALID);
    assert_int_equal(read_header_of(1, "a", 1, (1ULL << 32) + 1, NULL), STATUS_INVALID);
}

static void refuses_sequences_that_pass_the_last_one(void **test_state)
{
    (void)test_state;
    assert_int_equal(read_header_of(1, "a", UINT64_MAX, 1, NULL), STATUS_OK);
    assert_int_equal(read_header_of(1, "a", UINT64_MAX, 2, NULL), STATUS_INVALID);
    assert_int_equal(read_header_of(1, "a", UINT64_MAX - 16383, 16384, NULL), STATUS_OK);
    assert_int_equal(read_header_of(1, "a", UINT64_MAX - 16382, 16384, NULL), STATUS_INVALID);
    assert_int_equal(read_header_of(1, "a", 0, 16384, NULL), STATUS_OK);
}

static void says_which_field_is_wrong(void **test_state)
{
    (void)test_state;
    struct detail detail;
    assert_int_equal(read_header_of(2, "a", 1, 1, &detail), STATUS_INVALID);
    assert_non_null(strstr(detail.text, "version 2"));
    assert_int_equal(read_header_of(1, "a", 1, 0, &detail), STATUS_INVALID);
    assert_non_null(strstr(detail.text, "count 0"));
    assert_int_equal(read_header_of(1, "a", UINT64_MAX, 2, &detail), STATUS_INVALID);
    assert_non_null(strstr(detail.text, "first_sequence"));
}

/* Whatever the bytes: a status, and a header within its ranges or a cursor that has not moved. */
static void read_any_submission(struct slice bytes)
{
    struct submission_header header;
    struct detail detail = {""};
    struct mp_reader reader = mp_reader_of(bytes);
    enum status status = submission_read_header(&reader, &header, &detail);
    if (status == STATUS_OK) {
        assert_true(header.count >= 1 && header.count <= SUBMISSION_EVENTS_MAX);
        assert_true(header.first_sequence <= UINT64_MAX - (header.count - 1));
        assert_int_equal(event_source_check(header.source, NULL), STATUS_OK);
        return;
    }
    assert_true(status == STATUS_MALFORMED || status == STATUS_INVALID);
    assert_ptr_equal(reader.at, bytes.data);
    assert_true(strlen(detail.text) > 0);
}

static void survives_any_bytes(void **test_state)
{
    (void)test_state;
    golden_spoil_all("submission", read_any_submission);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_golden_bytes),
        cmocka_unit_test(reads_the_golden_header_and_stands_at_the_first_event),
        cmocka_unit_test(reads_the_widest_header),
        cmocka_unit_test(accepts_integers_in_any_format),
        cmocka_unit_test(calls_what_is_not_messagepack_malformed),
        cmocka_unit_test(calls_every_truncation_of_a_header_malformed),
        cmocka_unit_test(calls_another_shape_invalid),
        cmocka_unit_test(calls_every_field_out_of_range_invalid),
        cmocka_unit_test(refuses_sequences_that_pass_the_last_one),
        cmocka_unit_test(says_which_field_is_wrong),
        cmocka_unit_test(survives_any_bytes),
    };
    return cmocka_run_group_tests_name("submission", tests, NULL, NULL);
}
