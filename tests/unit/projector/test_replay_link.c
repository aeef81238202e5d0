#include "projector/replay_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/common/golden.h"
#include "tests/unit/common/sockets.h"

enum {
    LARGEST_REPLY_BYTES = 4 * 1024 * 1024,
    REQUESTS_KEPT_MAX = 8,
};

/* A link and what it is connected to. */
struct fixture {
    struct replay_link link;
    struct socket *processor;
    struct frame identity, number; /* of the request that was taken last */
};

static void fixture_open(struct fixture *f, const struct sockets *sockets)
{
    struct detail detail = {""};
    f->processor = open_socket(SOCKET_ROUTER, true, sockets->endpoint);
    if (replay_link_init(&f->link, sockets->endpoint, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
    frame_init(&f->identity);
    frame_init(&f->number);
}

static void fixture_close(struct fixture *f)
{
    replay_link_fini(&f->link);
    frame_fini(&f->identity);
    frame_fini(&f->number);
    socket_close(&f->processor);
}

static void ask(struct replay_link *link, uint64_t number)
{
    assert_int_equal(replay_link_ask(link, number, STREAM_ACCEPTED, 1, 100), STATUS_OK);
}

/* The processor takes a request; of what it says only numbers are good afterwards. */
static struct control_request take(struct fixture *f)
{
    struct control_request request;
    enum control_code code;
    struct frame frame;
    frame_init(&frame);
    struct frame *const frames[] = {&f->identity, &f->number, &frame};
    assert_true(wait_for(f->processor, false));
    assert_int_equal(socket_receive_message(f->processor, frames, 3), STATUS_OK);
    assert_int_equal(control_request_read(frame_slice(&frame), &request, &code, NULL), STATUS_OK);
    frame_fini(&frame);
    return request;
}

/* The processor answers the request that it took last; no body: `records` has no size. */
static void answer(struct fixture *f, const struct buffer *reply, struct slice records)
{
    const bool more = records.size > 0;
    assert_int_equal(socket_send(f->processor, frame_slice(&f->identity), true), STATUS_OK);
    assert_int_equal(socket_send(f->processor, frame_slice(&f->number), true), STATUS_OK);
    assert_int_equal(socket_send(f->processor, buffer_slice(reply), more), STATUS_OK);
    if (more)
        assert_int_equal(socket_send(f->processor, records, false), STATUS_OK);
}

/* `count` records from `first_id` on. */
static void answer_records(struct fixture *f, uint64_t first_id, uint64_t count,
                           struct slice records)
{
    struct buffer reply;
    buffer_init(&reply, 1024);
    replay_reply_write(
        &reply, &(struct replay_reply){.first_id = first_id, .count = count, .last_id = 1000});
    answer(f, &reply, records);
    buffer_fini(&reply);
}

/* A reply has come; what the link makes of it. */
static enum status receive(struct replay_link *link, struct replay_reply *ret_reply)
{
    struct detail detail;
    assert_true(wait_for(link->control, false));
    assert_int_equal(reply_receive(link->control, &link->reply), STATUS_OK);
    return replay_reply_read(frame_slice(&link->reply.frame), ret_reply, &detail);
}

static void asks_for_what_it_is_told_to(void **test_state)
{
    struct fixture f;
    fixture_open(&f, *test_state);
    assert_int_equal(replay_link_ask(&f.link, 0x0102030405060708, STREAM_REJECTED, 77, 5),
                     STATUS_OK);
    const struct control_request request = take(&f);
    assert_text(frame_slice(&f.number), "\x01\x02\x03\x04\x05\x06\x07\x08");
    assert_int_equal(request.verb, CONTROL_REPLAY);
    assert_int_equal(request.stream, STREAM_REJECTED);
    assert_int_equal(request.from, 77);
    assert_int_equal(request.max, 5);
    fixture_close(&f);
}

static void asks_for_no_more_than_a_request_may(void **test_state)
{
    struct fixture f;
    fixture_open(&f, *test_state);
    assert_int_equal(replay_link_ask(&f.link, 1, STREAM_ACCEPTED, 1, UINT64_MAX), STATUS_OK);
    assert_int_equal(take(&f).max, REPLAY_RECORDS_MAX);
    assert_int_equal(replay_link_ask(&f.link, 2, STREAM_ACCEPTED, 1, REPLAY_RECORDS_MAX),
                     STATUS_OK);
    assert_int_equal(take(&f).max, REPLAY_RECORDS_MAX);
    fixture_close(&f);
}

static void keeps_a_few_requests_for_a_processor_that_is_not_there_yet(void **test_state)
{
    const struct sockets *sockets = *test_state;
    struct fixture f;
    struct detail detail;
    uint64_t asked = 0;
    assert_int_equal(replay_link_init(&f.link, sockets->endpoint, &detail), STATUS_OK);
    while (replay_link_ask(&f.link, asked + 1, STREAM_ACCEPTED, asked + 1, 1) == STATUS_OK)
        asked++;
    assert_in_range(asked, 1, REQUESTS_KEPT_MAX);
    f.processor = open_socket(SOCKET_ROUTER, true, sockets->endpoint);
    frame_init(&f.identity);
    frame_init(&f.number);
    for (uint64_t from = 1; from <= asked; from++)
        assert_int_equal(take(&f).from, from);
    fixture_close(&f);
}

static void says_what_is_wrong_with_an_endpoint(void **test_state)
{
    (void)test_state;
    struct replay_link link;
    struct detail detail = {""};
    assert_int_equal(replay_link_init(&link, "nonsense", &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, "nonsense"));
    replay_link_fini(&link); /* also one that was never connected */
    assert_null(link.control);
}

static void a_reply_brings_its_number_and_its_records(void **test_state)
{
    struct fixture f;
    struct replay_reply reply;
    fixture_open(&f, *test_state);
    ask(&f.link, 7);
    (void)take(&f);
    answer_records(&f, 12, 3, slice_of_text("three records"));
    assert_int_equal(receive(&f.link, &reply), STATUS_OK);
    assert_int_equal(f.link.reply.number, 7);
    assert_int_equal(reply.first_id, 12);
    assert_int_equal(reply.count, 3);
    assert_text(frame_slice(&f.link.reply.body), "three records");
    fixture_close(&f);
}

static void an_error_keeps_no_records_of_the_reply_before(void **test_state)
{
    struct fixture f;
    struct replay_reply reply;
    struct buffer error;
    fixture_open(&f, *test_state);
    ask(&f.link, 1);
    (void)take(&f);
    answer_records(&f, 1, 1, slice_of_text("a record"));
    assert_int_equal(receive(&f.link, &reply), STATUS_OK);
    ask(&f.link, 2);
    (void)take(&f);
    buffer_init(&error, 1024);
    control_error_write(&error, CONTROL_CODE_GONE, "the first that is kept is 9");
    answer(&f, &error, (struct slice){0});
    assert_int_equal(receive(&f.link, &reply), STATUS_GONE);
    assert_int_equal(f.link.reply.number, 2);
    assert_int_equal(frame_slice(&f.link.reply.body).size, 0);
    buffer_fini(&error);
    fixture_close(&f);
}

static void a_reply_to_something_else_is_no_replay(void **test_state)
{
    struct fixture f;
    struct replay_reply reply;
    struct buffer other;
    fixture_open(&f, *test_state);
    ask(&f.link, 1);
    (void)take(&f);
    buffer_init(&other, 1024);
    hello_reply_write(&other, &(struct hello_reply){.epoch = 1});
    answer(&f, &other, (struct slice){0});
    assert_int_equal(receive(&f.link, &reply), STATUS_MALFORMED);
    buffer_fini(&other);
    fixture_close(&f);
}

static void replies_that_come_late_are_told_apart_by_their_numbers(void **test_state)
{
    struct fixture f;
    struct replay_reply reply;
    fixture_open(&f, *test_state);
    for (uint64_t number = 1; number <= 2; number++) {
        ask(&f.link, number);
        (void)take(&f);
        answer_records(&f, 10 * number, 0, (struct slice){0});
    }
    for (uint64_t number = 1; number <= 2; number++) {
        assert_int_equal(receive(&f.link, &reply), STATUS_OK);
        assert_int_equal(f.link.reply.number, number);
        assert_int_equal(reply.first_id, 10 * number);
    }
    assert_int_equal(reply_receive(f.link.control, &f.link.reply), STATUS_END);
    fixture_close(&f);
}

/* A message above the limit vanishes together with its connection. */
static void a_reply_that_is_too_large_is_never_seen(void **test_state)
{
    struct fixture f;
    struct replay_link other;
    struct replay_reply reply;
    struct detail detail;
    uint8_t *bytes = calloc(1, LARGEST_REPLY_BYTES + 1);
    assert_non_null(bytes);
    fixture_open(&f, *test_state);
    ask(&f.link, 1);
    (void)take(&f);
    answer_records(&f, 1, 1, (struct slice){bytes, LARGEST_REPLY_BYTES});
    assert_int_equal(receive(&f.link, &reply), STATUS_OK);
    assert_int_equal(frame_slice(&f.link.reply.body).size, LARGEST_REPLY_BYTES);
    ask(&f.link, 2);
    (void)take(&f);
    answer_records(&f, 1, 1, (struct slice){bytes, LARGEST_REPLY_BYTES + 1});

    const struct sockets *sockets = *test_state;
    assert_int_equal(replay_link_init(&other, sockets->endpoint, &detail), STATUS_OK);
    ask(&other, 3);
    (void)take(&f);
    answer_records(&f, 5, 0, (struct slice){0});
    assert_int_equal(receive(&other, &reply), STATUS_OK);
    assert_int_equal(reply.first_id, 5);
    assert_int_equal(reply_receive(f.link.control, &f.link.reply), STATUS_END);
    replay_link_fini(&other);
    fixture_close(&f);
    free(bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sockets_set_up, sockets_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(asks_for_what_it_is_told_to),
        TEST(asks_for_no_more_than_a_request_may),
        TEST(keeps_a_few_requests_for_a_processor_that_is_not_there_yet),
        TEST(says_what_is_wrong_with_an_endpoint),
        TEST(a_reply_brings_its_number_and_its_records),
        TEST(an_error_keeps_no_records_of_the_reply_before),
        TEST(a_reply_to_something_else_is_no_replay),
        TEST(replies_that_come_late_are_told_apart_by_their_numbers),
        TEST(a_reply_that_is_too_large_is_never_seen),
    };
#undef TEST
    return cmocka_run_group_tests_name("replay_link", tests, sockets_start, sockets_stop);
}
