#include "tests/unit/projector/records.h"

#include <stdio.h>

#include "projector/core/answer.h"
#include "tests/lib/seed.h"

static const struct log_id log_id = {"0123456789abcdef"};

static const char policy[] = "[policy \"p\"]\nkey = subject\nquota = 5\nwindow = 60s\n";

/* Two orders of "s", one paid; one refusal. */
static struct fold *small_fold(void)
{
    static const uint8_t paid[] = {0x81, 0xa6, 's', 't', 'a', 't', 'u',
                                   's',  0xa4, 'p', 'a', 'i', 'd'};
    static const uint8_t nothing[] = {0x80};
    static const uint8_t key[] = {0xa1, 's'};
    struct fold *fold = fold_of_views("limits order_counts", policy);
    struct buffer records;
    buffer_init(&records, RECORDS_BYTES_MAX);
    struct record_event first = {"order.paid", "s", {paid, sizeof paid}};
    struct record_event second = {"order.created", "s", {nothing, sizeof nothing}};
    append_accepted(&records, 1, "a", &first);
    append_accepted(&records, 2, "a", &second);
    expect_applied(fold, STREAM_ACCEPTED, &records, 2);
    buffer_clear(&records);
    struct rejection rejection = {.rejection_id = 1,
                                  .rejected_at_ns = 77,
                                  .after_event_id = 2,
                                  .count = 4,
                                  .retry_after_ns = RECORD_NEVER,
                                  .policy = slice_of_text("p"),
                                  .key = {key, sizeof key},
                                  .reason = REASON_RATE_LIMITED};
    rejection_write(&records, &rejection);
    expect_applied(fold, STREAM_REJECTED, &records, 1);
    buffer_fini(&records);
    return fold;
}

/* Asks, and gives the reply as its reader stands behind [1, "ok". */
static struct mp_reader expect_ok(struct fold *fold, const struct control_request *request,
                                  struct buffer *reply)
{
    struct buffer frame;
    struct mp_reader reader;
    uint32_t items;
    struct detail detail;
    buffer_init(&frame, 1024);
    control_request_write(&frame, request);
    answer(fold, &log_id, buffer_slice(&frame), reply);
    assert_int_equal(control_reply_read(buffer_slice(reply), &reader, &items, &detail), STATUS_OK);
    assert_int_equal(items, 1);
    buffer_fini(&frame);
    return reader;
}

static void expect_error(struct fold *fold, struct slice frame, const char *code, const char *text)
{
    struct buffer reply, expected;
    buffer_init(&reply, ANSWER_BYTES_MAX);
    buffer_init(&expected, 1024);
    answer(fold, &log_id, frame, &reply);
    codec_array(&expected, 4);
    codec_uint(&expected, 1);
    codec_text(&expected, "error");
    codec_text(&expected, code);
    assert_true(reply.size >= expected.size);
    assert_memory_equal(reply.data, expected.data, expected.size);
    if (text != NULL) {
        codec_text(&expected, text);
        assert_int_equal(reply.size, expected.size);
        assert_memory_equal(reply.data, expected.data, expected.size);
    }
    buffer_fini(&reply);
    buffer_fini(&expected);
}

static void expect_request_error(struct fold *fold, const struct control_request *request,
                                 const char *code, const char *text)
{
    struct buffer frame;
    buffer_init(&frame, 1024);
    control_request_write(&frame, request);
    expect_error(fold, buffer_slice(&frame), code, text);
    buffer_fini(&frame);
}

static void expect_bytes(const struct mp_reader *reader, const void *bytes, size_t size)
{
    assert_int_equal(reader->end - reader->at, size);
    assert_memory_equal(reader->at, bytes, size);
}

static void names_its_views(void **state)
{
    (void)state;
    static const char expected[] = "\x81\xa5views\x92\xa6limits\xacorder_counts";
    struct fold *fold = small_fold();
    struct buffer reply;
    buffer_init(&reply, ANSWER_BYTES_MAX);
    struct control_request request = {.verb = CONTROL_VIEWS};
    struct mp_reader map = expect_ok(fold, &request, &reply);
    expect_bytes(&map, expected, sizeof expected - 1);
    buffer_fini(&reply);
    fold_destroy(&fold);
}

static void shows_a_view_with_its_position_and_digest(void **state)
{
    (void)state;
    static const char expected[] = "\x87"
                                   "\xa4view\xa6limits"
                                   "\xa6log_id\xc4\x10"
                                   "0123456789abcdef"
                                   "\xa8"
                                   "event_id\x02"
                                   "\xacrejection_id\x01"
                                   "\xa4time\xce\x00\x0f\x42\x42"
                                   "\xa6"
                                   "digest\xd9\x20"
                                   "06b7e1bec33bf4f9418c4ca868b6ae16"
                                   "\xa4rows\x91\x85"
                                   "\xa6policy\xa1p"
                                   "\xa3key\xa1s"
                                   "\xa8"
                                   "accepted\x02"
                                   "\xa7refused\x04"
                                   "\xaflast_refused_at\x4d";
    struct fold *fold = small_fold();
    struct buffer reply;
    buffer_init(&reply, ANSWER_BYTES_MAX);
    struct control_request request = {.verb = CONTROL_VIEW, .view = slice_of_text("limits")};
    struct mp_reader map = expect_ok(fold, &request, &reply);
    expect_bytes(&map, expected, sizeof expected - 1);
    buffer_fini(&reply);
    fold_destroy(&fold);
}

static void names_the_views_when_asked_for_another(void **state)
{
    (void)state;
    struct fold *fold = small_fold();
    struct control_request request = {.verb = CONTROL_VIEW, .view = slice_of_text("limit")};
    expect_request_error(fold, &request, "not_found",
                         "no such view; there are limits, order_counts");
    fold_destroy(&fold);
}

static void says_what_it_does_not_support(void **state)
{
    (void)state;
    struct fold *fold = small_fold();
    struct control_request request = {
        .verb = CONTROL_VIEW, .view = slice_of_text("limits"), .at = AT_EVENT_ID, .at_event_id = 1};
    expect_request_error(fold, &request, "unsupported", NULL);
    request.at = AT_TIME;
    expect_request_error(fold, &request, "unsupported", NULL);
    request = (struct control_request){.verb = CONTROL_STATUS};
    expect_request_error(fold, &request, "unknown_verb", NULL);
    fold_destroy(&fold);
}

/* --- many rows --- */

enum { MANY = ANSWER_ROWS_MAX + 7 };

static void answers_the_first_rows_and_says_where_they_end(void **state)
{
    (void)state;
    static const uint8_t nothing[] = {0x80};
    struct fold *fold = fold_of_views("limits order_counts", policy);
    struct buffer records, reply;
    buffer_init(&records, RECORDS_BYTES_MAX);
    buffer_init(&reply, ANSWER_BYTES_MAX);
    for (uint64_t i = 1; i <= MANY; i++) {
        char subject[16];
        snprintf(subject, sizeof subject, "%05d", (int)(i * 7919 % 100003));
        struct record_event event = {"order.created", subject, {nothing, 1}};
        append_accepted(&records, i, "a", &event);
    }
    expect_applied(fold, STREAM_ACCEPTED, &records, MANY);

    struct control_request request = {.verb = CONTROL_VIEW, .view = slice_of_text("limits")};
    struct mp_reader map = expect_ok(fold, &request, &reply), value;
    struct slice raw;
    uint32_t count;
    uint64_t next;
    assert_int_equal(mp_read_raw(&map, &raw), STATUS_OK);
    assert_int_equal(event_field(raw, slice_of_text("rows"), &value), STATUS_OK);
    assert_int_equal(mp_read_array(&value, &count), STATUS_OK);
    assert_int_equal(count, ANSWER_ROWS_MAX);
    assert_int_equal(event_field(raw, slice_of_text("next"), &value), STATUS_OK);
    assert_int_equal(mp_read_uint(&value, &next), STATUS_OK);
    assert_int_equal(next, ANSWER_ROWS_MAX);
    buffer_fini(&records);
    buffer_fini(&reply);
    fold_destroy(&fold);
}

/* --- hostile requests --- */

static void answers_every_hostile_request_with_a_typed_error(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *code;
    } cases[] = {
        {"", 0, "bad_request"},
        {"\xc1", 1, "bad_request"},
        {"\x90", 1, "bad_request"},
        {"\x92\x02\xa5views", 8, NULL},
        {"\x92\x01\xa5view", 7, "bad_request"},
        {"\x92\x01\xa6viewsx", 9, "unknown_verb"},
        {"\x93\x01\xa5views\xc0", 9, "bad_request"},
        {"\x92\x01\xa4view", 7, "bad_request"},
        {"\x94\x01\xa4view\x05\xc0", 9, "bad_request"},
        {"\x94\x01\xa4view\xa0\xc0", 9, NULL},
        {"\x94\x01\xa4view\xa1x\xc3", 10, "bad_request"},
        {"\x94\x01\xa4view\xa1x\xff", 10, "bad_request"},
        {"\xdd\xff\xff\xff\xff", 5, "bad_request"},
        {"\x92\x01\xa5views\xc0", 9, "bad_request"},
    };
    struct fold *fold = small_fold();
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice frame = {(const uint8_t *)cases[i].bytes, cases[i].size};
        if (cases[i].code != NULL) {
            expect_error(fold, frame, cases[i].code, NULL);
            continue;
        }
        struct buffer reply;
        buffer_init(&reply, ANSWER_BYTES_MAX);
        answer(fold, &log_id, frame, &reply);
        assert_memory_equal(reply.data,
                            "\x94\x01\xa5"
                            "error",
                            8);
        buffer_fini(&reply);
    }
    fold_destroy(&fold);
}

static void answers_random_bytes_with_one_whole_reply(void **state)
{
    (void)state;
    struct rng rng = test_rng();
    struct fold *fold = small_fold();
    struct buffer frame, reply;
    buffer_init(&frame, 1024);
    buffer_init(&reply, ANSWER_BYTES_MAX);
    for (uint64_t round = test_number("WEIR_ROUNDS", 20000); round > 0; round--) {
        buffer_clear(&frame);
        buffer_clear(&reply);
        struct control_request request = {.verb = CONTROL_VIEW, .view = slice_of_text("limits")};
        control_request_write(&frame, &request);
        for (uint64_t flips = rng_below(&rng, 4); flips > 0; flips--)
            frame.data[rng_below(&rng, frame.size)] = (uint8_t)rng_next(&rng);
        frame.size -= rng_below(&rng, 3);

        answer(fold, &log_id, buffer_slice(&frame), &reply);

        struct mp_reader reader = mp_reader_of(buffer_slice(&reply));
        assert_int_equal(mp_skip(&reader), STATUS_OK);
        assert_true(mp_at_end(&reader));
    }
    buffer_fini(&frame);
    buffer_fini(&reply);
    fold_destroy(&fold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_its_views),
        cmocka_unit_test(shows_a_view_with_its_position_and_digest),
        cmocka_unit_test(names_the_views_when_asked_for_another),
        cmocka_unit_test(says_what_it_does_not_support),
        cmocka_unit_test(answers_the_first_rows_and_says_where_they_end),
        cmocka_unit_test(answers_every_hostile_request_with_a_typed_error),
        cmocka_unit_test(answers_random_bytes_with_one_whole_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
