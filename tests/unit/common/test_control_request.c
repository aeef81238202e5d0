#include "common/wire/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/event/codec.h"
#include "tests/unit/common/control_support.h"
#include "tests/unit/common/golden.h"

static const struct golden_request {
    const char *name;
    struct control_request request;
} golden_requests[] = {
#define TEXT(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
    {"hello", {.verb = CONTROL_HELLO, .source = TEXT("shop/eu-1")}},
    {"replay_accepted",
     {.verb = CONTROL_REPLAY, .stream = STREAM_ACCEPTED, .from = 1, .max = 10000}},
    {"replay_rejected",
     {.verb = CONTROL_REPLAY, .stream = STREAM_REJECTED, .from = 70000, .max = 1}},
    {"seek", {.verb = CONTROL_SEEK, .stream = STREAM_ACCEPTED, .time_ns = GOLDEN_TIME}},
    {"status", {.verb = CONTROL_STATUS}},
    {"policy_get", {.verb = CONTROL_POLICY_GET}},
    {"policy_set",
     {.verb = CONTROL_POLICY_SET, .text = TEXT("[policy \"a\"]\nquota = 1\nwindow = 1s\n")}},
    {"explain",
     {.verb = CONTROL_EXPLAIN, .policy = TEXT("per-subject"), .key = TEXT("\xa7order-1")}},
    {"explain_at_time",
     {.verb = CONTROL_EXPLAIN,
      .policy = TEXT("per-shop"),
      .key = TEXT("\xf9"),
      .at = AT_TIME,
      .time_ns = GOLDEN_TIME}},
    {"views", {.verb = CONTROL_VIEWS}},
    {"view_now", {.verb = CONTROL_VIEW, .view = TEXT("limits")}},
    {"view_at_event",
     {.verb = CONTROL_VIEW, .view = TEXT("limits"), .at = AT_EVENT_ID, .at_event_id = 1234}},
    {"view_at_time",
     {.verb = CONTROL_VIEW, .view = TEXT("limits"), .at = AT_TIME, .time_ns = GOLDEN_TIME}},
#undef TEXT
};
enum { GOLDEN_REQUESTS = sizeof golden_requests / sizeof golden_requests[0] };

static void writes_every_request_as_the_golden_bytes(void **test_state)
{
    struct buffer *buffer = *test_state;
    for (size_t i = 0; i < GOLDEN_REQUESTS; i++) {
        buffer_clear(buffer);
        control_request_write(buffer, &golden_requests[i].request);
        assert_golden(buffer_slice(buffer), "request", golden_requests[i].name);
    }
}

static void assert_same_request(const struct control_request *a, const struct control_request *b)
{
    assert_int_equal(a->verb, b->verb);
    assert_bytes(a->source, b->source);
    assert_int_equal(a->stream, b->stream);
    assert_int_equal(a->from, b->from);
    assert_int_equal(a->max, b->max);
    assert_int_equal(a->time_ns, b->time_ns);
    assert_bytes(a->text, b->text);
    assert_bytes(a->policy, b->policy);
    assert_bytes(a->key, b->key);
    assert_bytes(a->view, b->view);
    assert_int_equal(a->at, b->at);
    assert_int_equal(a->at_event_id, b->at_event_id);
}

static void reads_every_golden_request_field_by_field(void **test_state)
{
    struct buffer *buffer = *test_state;
    for (size_t i = 0; i < GOLDEN_REQUESTS; i++) {
        struct control_request request;
        enum control_code code;
        buffer_clear(buffer);
        golden_read("request", golden_requests[i].name, buffer);
        assert_int_equal(control_request_read(buffer_slice(buffer), &request, &code, NULL),
                         STATUS_OK);
        assert_same_request(&request, &golden_requests[i].request);
    }
}

static enum control_code code_of(struct slice frame)
{
    struct control_request request;
    enum control_code code;
    struct detail detail = {""};
    assert_int_equal(control_request_read(frame, &request, &code, &detail), STATUS_INVALID);
    assert_true(strlen(detail.text) > 0);
    return code;
}

static void answers_bad_request_to_what_is_no_request(void **test_state)
{
    (void)test_state;
    static const char *const frames[] = {
        "",                     /* empty */
        "\xc1",                 /* not MessagePack */
        "\xdd\xff\xff\xff\xff", /* a bomb */
        "\xc0",                 /* nil */
        "\xa6"
        "status",   /* a string */
        "\x80",     /* a map */
        "\x90",     /* no version */
        "\x91\x01", /* no verb */
        "\x92\x02\xa6"
        "status", /* version 2 */
        "\x92\xc0\xa6"
        "status", /* version nil */
        "\x92\xff\xa6"
        "status",       /* version −1 */
        "\x92\x01\x07", /* verb a number */
        "\x92\x01\xc4\x06"
        "status", /* verb a bin */
        "\x92\x01\xa6"
        "status\xc0", /* a byte behind it */
        "\x92\x01\xa7"
        "status", /* truncated */
        "\x93\x01\xa3"
        "foo\xc1", /* an unknown verb, but no MessagePack */
        "\x93\x02\xa3"
        "foo\xc0", /* an unknown verb of another version */
    };
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        if (code_of(slice_of_text(frames[i])) != CONTROL_CODE_BAD_REQUEST)
            fail_msg("frame %zu is not a bad request", i);
}

static void answers_unknown_verb_whatever_its_arguments(void **test_state)
{
    (void)test_state;
    static const char *const frames[] = {
        "\x92\x01\xa3"
        "foo",
        "\x92\x01\xa0",
        "\x92\x01\xa5"
        "Hello",
        "\x92\x01\xa7"
        "status ",
        "\x95\x01\xa3"
        "foo\xc0\x80\xff",
    };
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        assert_int_equal(code_of(slice_of_text(frames[i])), CONTROL_CODE_UNKNOWN_VERB);
}

static void answers_bad_request_to_wrong_arity_or_types_of_a_known_verb(void **test_state)
{
    (void)test_state;
    static const char *const frames[] = {
        "\x92\x01\xa5"
        "hello",
        "\x94\x01\xa5"
        "hello\xa1x\xa1x",
        "\x93\x01\xa5"
        "hello\x01",
        "\x93\x01\xa5"
        "hello\xc4\x01x",
        "\x94\x01\xa6"
        "replay\xa8"
        "accepted\x01",
        "\x96\x01\xa6"
        "replay\xa8"
        "accepted\x01\x01\x01",
        "\x95\x01\xa6"
        "replay\x01\x01\x01",
        "\x95\x01\xa6"
        "replay\xa8"
        "accepted\xff\x01",
        "\x95\x01\xa6"
        "replay\xa8"
        "accepted\x01\xc0",
        "\x95\x01\xa6"
        "replay\xa8"
        "accepted\x01\xcb\x40\x10\x01\x01\x01\x01\x01\x01",
        "\x93\x01\xa4"
        "seek\xa8"
        "accepted",
        "\x94\x01\xa4"
        "seek\xa8"
        "accepted\xa1x",
        "\x94\x01\xa4"
        "seek\xa8"
        "accepted\xff",
        "\x93\x01\xa6"
        "status\xc0",
        "\x92\x01\xa6"
        "policy",
        "\x93\x01\xa6"
        "policy\x01",
        "\x94\x01\xa6"
        "policy\xa3"
        "get\xa1x",
        "\x93\x01\xa6"
        "policy\xa3"
        "set",
        "\x94\x01\xa6"
        "policy\xa3"
        "set\x01",
        "\x95\x01\xa6"
        "policy\xa3"
        "set\xa1x\xa1x",
        "\x93\x01\xa7"
        "explain\xa1p",
        "\x94\x01\xa7"
        "explain\x01\xa1k",
        "\x94\x01\xa7"
        "explain\xa1p\xc0",
        "\x94\x01\xa7"
        "explain\xa1p\x90",
        "\x95\x01\xa7"
        "explain\xa1p\xa1k\xc0",
        "\x96\x01\xa7"
        "explain\xa1p\xa1k\x01\x01",
        "\x93\x01\xa5"
        "views\xc0",
        "\x93\x01\xa4"
        "view\xa1v",
        "\x94\x01\xa4"
        "view\x01\xc0",
        "\x94\x01\xa4"
        "view\xa1v\xff",
        "\x94\x01\xa4"
        "view\xa1v\xa1x",
        "\x94\x01\xa4"
        "view\xa1v\x91\xa4"
        "time",
        "\x94\x01\xa4"
        "view\xa1v\x93\xa4"
        "time\x01\x01",
        "\x94\x01\xa4"
        "view\xa1v\x92\x01\x01",
        "\x94\x01\xa4"
        "view\xa1v\x92\xa4"
        "time\xff",
        "\x95\x01\xa4"
        "view\xa1v\xc0\xc0",
    };
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        if (code_of(slice_of_text(frames[i])) != CONTROL_CODE_BAD_REQUEST)
            fail_msg("frame %zu is not a bad request", i);
}

static void answers_invalid_to_a_value_out_of_range(void **test_state)
{
    (void)test_state;
    static const uint8_t replay_from_0[] = "\x95\x01\xa6"
                                           "replay\xa8"
                                           "accepted\x00\x01";
    static const uint8_t replay_max_0[] = "\x95\x01\xa6"
                                          "replay\xa8"
                                          "accepted\x01\x00";
    static const char *const frames[] = {
        "\x93\x01\xa5"
        "hello\xa0",
        "\x93\x01\xa5"
        "hello\xa1 ",
        "\x93\x01\xa5"
        "hello\xa2\xc3\xab",
        "\x93\x01\xa5"
        "hello\xa4"
        "weir",
        "\x95\x01\xa6"
        "replay\xa1x\x01\x01",
        "\x94\x01\xa4"
        "seek\xa0\x01",
        "\x93\x01\xa6"
        "policy\xa3"
        "put",
        "\x94\x01\xa6"
        "policy\xa3"
        "set\xa1\xff",
        "\x94\x01\xa7"
        "explain\xa0\xa1k",
        "\x94\x01\xa7"
        "explain\xa1\xff\xa1k",
        "\x94\x01\xa7"
        "explain\xa1p\xa1\xff",
        "\x94\x01\xa4"
        "view\xa0\xc0",
        "\x94\x01\xa4"
        "view\xa1v\x92\xa4"
        "tide\x01",
    };
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        if (code_of(slice_of_text(frames[i])) != CONTROL_CODE_INVALID)
            fail_msg("frame %zu is not invalid", i);
    assert_int_equal(code_of((struct slice){replay_from_0, sizeof replay_from_0 - 1}),
                     CONTROL_CODE_INVALID);
    assert_int_equal(code_of((struct slice){replay_max_0, sizeof replay_max_0 - 1}),
                     CONTROL_CODE_INVALID);
}

static void bounds_names_and_keys(void **test_state)
{
    struct buffer *buffer = *test_state;
    char text[CONTROL_KEY_BYTES_MAX + 1];
    memset(text, 'k', sizeof text);
    const uint8_t *bytes = (const uint8_t *)text;
    struct buffer key;
    struct control_request request = {.verb = CONTROL_EXPLAIN,
                                      .policy = {bytes, CONTROL_NAME_BYTES_MAX}};
    struct control_request read;
    enum control_code code;
    buffer_init(&key, 1024);

    codec_text_slice(&key, (struct slice){bytes, CONTROL_KEY_BYTES_MAX});
    request.key = buffer_slice(&key);
    control_request_write(buffer, &request);
    assert_int_equal(control_request_read(buffer_slice(buffer), &read, &code, NULL), STATUS_OK);

    buffer_clear(buffer);
    request.policy.size++;
    control_request_write(buffer, &request);
    assert_int_equal(code_of(buffer_slice(buffer)), CONTROL_CODE_INVALID);

    buffer_clear(buffer);
    buffer_clear(&key);
    request.policy.size--;
    codec_text_slice(&key, (struct slice){bytes, sizeof text});
    request.key = buffer_slice(&key);
    control_request_write(buffer, &request);
    assert_int_equal(code_of(buffer_slice(buffer)), CONTROL_CODE_INVALID);
    buffer_fini(&key);
}

static void answers_bad_request_to_every_truncation(void **test_state)
{
    struct buffer *buffer = *test_state;
    for (size_t i = 0; i < GOLDEN_REQUESTS; i++) {
        buffer_clear(buffer);
        golden_read("request", golden_requests[i].name, buffer);
        for (size_t size = 0; size < buffer->size; size++)
            assert_int_equal(code_of((struct slice){buffer->data, size}), CONTROL_CODE_BAD_REQUEST);
    }
}

/* A request that reads is written and read again to the same request. */
static void read_any_request(struct slice bytes)
{
    struct control_request request, again;
    enum control_code code = CONTROL_CODE_GONE;
    struct detail detail = {""};
    if (control_request_read(bytes, &request, &code, &detail) != STATUS_OK) {
        assert_true(code == CONTROL_CODE_BAD_REQUEST || code == CONTROL_CODE_UNKNOWN_VERB ||
                    code == CONTROL_CODE_INVALID);
        assert_true(strlen(detail.text) > 0);
        return;
    }
    struct buffer buffer;
    buffer_init(&buffer, CONTROL_MESSAGE_BYTES_MAX);
    control_request_write(&buffer, &request);
    assert_int_equal(control_request_read(buffer_slice(&buffer), &again, &code, NULL), STATUS_OK);
    assert_same_request(&again, &request);
    buffer_fini(&buffer);
}

static void survives_any_bytes(void **test_state)
{
    (void)test_state;
    golden_spoil_all("request", read_any_request);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(writes_every_request_as_the_golden_bytes),
        TEST(reads_every_golden_request_field_by_field),
        TEST(answers_bad_request_to_what_is_no_request),
        TEST(answers_unknown_verb_whatever_its_arguments),
        TEST(answers_bad_request_to_wrong_arity_or_types_of_a_known_verb),
        TEST(answers_invalid_to_a_value_out_of_range),
        TEST(bounds_names_and_keys),
        TEST(answers_bad_request_to_every_truncation),
        TEST(survives_any_bytes),
    };
#undef TEST
    return cmocka_run_group_tests_name("control_request", tests, NULL, NULL);
}
