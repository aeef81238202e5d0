#include "common/wire/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/common/golden.h"
#include "tests/unit/common/sockets.h"

static const struct control_request ask_status = {.verb = CONTROL_STATUS};

struct pair {
    struct socket *router;
    struct socket *dealer;
    struct frame identity; /* the dealer's */
    struct frame frame;
    struct reply reply;
    int quiet[2]; /* a pipe that is never readable, unless a test writes to it */
};

static void pair_open(struct pair *pair, const struct sockets *sockets)
{
    pair->router = open_socket(SOCKET_ROUTER, true, sockets->endpoint);
    pair->dealer = open_socket(SOCKET_DEALER, false, sockets->endpoint);
    frame_init(&pair->identity);
    frame_init(&pair->frame);
    reply_init(&pair->reply);
    assert_int_equal(pipe(pair->quiet), 0);
}

static void pair_close(struct pair *pair)
{
    frame_fini(&pair->identity);
    frame_fini(&pair->frame);
    reply_fini(&pair->reply);
    socket_close(&pair->dealer);
    socket_close(&pair->router);
    close(pair->quiet[0]);
    close(pair->quiet[1]);
}

/* Takes a request; its number is then in `frame`. */
static void take(struct pair *pair)
{
    struct frame request;
    struct control_request read;
    enum control_code code;
    frame_init(&request);
    assert_true(wait_for(pair->router, false));
    assert_int_equal(socket_receive(pair->router, &pair->identity), STATUS_OK);
    assert_int_equal(socket_receive(pair->router, &pair->frame), STATUS_OK);
    assert_true(frame_more(&pair->frame));
    assert_int_equal(socket_receive(pair->router, &request), STATUS_OK);
    assert_false(frame_more(&request));
    assert_int_equal(control_request_read(frame_slice(&request), &read, &code, NULL), STATUS_OK);
    assert_int_equal(read.verb, CONTROL_STATUS);
    frame_fini(&request);
}

/* Sends the frames, NULL after the last, to the dealer; the first is `number`. */
static void answer(struct pair *pair, struct slice number, const char *const *frames)
{
    assert_int_equal(socket_send(pair->router, frame_slice(&pair->identity), true), STATUS_OK);
    assert_int_equal(socket_send(pair->router, number, frames[0] != NULL), STATUS_OK);
    for (; *frames != NULL; frames++)
        assert_int_equal(socket_send(pair->router, slice_of_text(*frames), frames[1] != NULL),
                         STATUS_OK);
}

static enum status await(struct pair *pair, uint64_t number)
{
    return reply_await(pair->dealer, number, clock_boot_ns() + SOCKETS_WAIT_MS * NS_PER_MS,
                       pair->quiet[0], &pair->reply);
}

static void a_reply_bears_the_number_of_its_request(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    assert_int_equal(request_send(pair.dealer, 0x0102030405060708, &ask_status), STATUS_OK);
    take(&pair);
    assert_text(frame_slice(&pair.frame), "\x01\x02\x03\x04\x05\x06\x07\x08");
    answer(&pair, frame_slice(&pair.frame), (const char *const[]){"reply", "records", NULL});
    assert_int_equal(await(&pair, 0x0102030405060708), STATUS_OK);
    assert_int_equal(pair.reply.number, 0x0102030405060708);
    assert_text(frame_slice(&pair.reply.frame), "reply");
    assert_text(frame_slice(&pair.reply.body), "records");
    pair_close(&pair);
}

static void a_reply_without_records_does_not_keep_those_before(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    assert_int_equal(request_send(pair.dealer, 7, &ask_status), STATUS_OK);
    take(&pair);
    answer(&pair, frame_slice(&pair.frame), (const char *const[]){"one", "records", NULL});
    answer(&pair, frame_slice(&pair.frame), (const char *const[]){"two", NULL});
    assert_int_equal(await(&pair, 7), STATUS_OK);
    assert_int_equal(await(&pair, 7), STATUS_OK);
    assert_text(frame_slice(&pair.reply.frame), "two");
    assert_int_equal(frame_slice(&pair.reply.body).size, 0);
    pair_close(&pair);
}

static void a_late_reply_is_not_taken_for_another(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    assert_int_equal(request_send(pair.dealer, 1, &ask_status), STATUS_OK);
    take(&pair);
    assert_int_equal(reply_await(pair.dealer, 1, 0, pair.quiet[0], &pair.reply), STATUS_TIMED_OUT);
    answer(&pair, frame_slice(&pair.frame), (const char *const[]){"late", NULL});
    assert_int_equal(request_send(pair.dealer, 2, &ask_status), STATUS_OK);
    take(&pair);
    answer(&pair, frame_slice(&pair.frame), (const char *const[]){"second", NULL});
    assert_int_equal(await(&pair, 2), STATUS_OK);
    assert_text(frame_slice(&pair.reply.frame), "second");
    pair_close(&pair);
}

static void what_is_no_reply_has_no_number(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    assert_int_equal(request_send(pair.dealer, 9, &ask_status), STATUS_OK);
    take(&pair);
    const char *const lone[] = {NULL}, *const many[] = {"a", "b", "c", "d", NULL};
    answer(&pair, slice_of_text("seven.."), (const char *const[]){"reply", NULL});
    answer(&pair, slice_of_text("nine....."), (const char *const[]){"reply", NULL});
    answer(&pair, slice_of_text(""), lone);
    for (int i = 0; i < 3; i++) {
        assert_true(wait_for(pair.dealer, false));
        assert_int_equal(reply_receive(pair.dealer, &pair.reply), STATUS_OK);
        assert_int_equal(pair.reply.number, 0);
    }
    answer(&pair, frame_slice(&pair.frame), lone);
    answer(&pair, frame_slice(&pair.frame), many);
    assert_int_equal(await(&pair, 9), STATUS_OK);
    assert_int_equal(frame_slice(&pair.reply.frame).size, 0);
    assert_int_equal(await(&pair, 9), STATUS_OK);
    assert_text(frame_slice(&pair.reply.body), "b");
    assert_int_equal(reply_receive(pair.dealer, &pair.reply), STATUS_END);
    pair_close(&pair);
}

static void a_wait_ends_when_it_is_asked_to(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    assert_int_equal(write(pair.quiet[1], "x", 1), 1);
    assert_int_equal(await(&pair, 1), STATUS_INTERRUPTED);
    struct detail detail;
    assert_int_equal(
        request_exchange(pair.dealer, &ask_status, pair.quiet[0], &pair.frame, &detail),
        STATUS_INTERRUPTED);
    pair_close(&pair);
}

static void replies_to_others_do_not_prolong_the_wait(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    assert_int_equal(request_send(pair.dealer, 1, &ask_status), STATUS_OK);
    take(&pair);
    for (int i = 0; i < 5; i++)
        answer(&pair, slice_of_text("another."), (const char *const[]){"reply", NULL});
    assert_true(wait_for(pair.dealer, false));
    assert_int_equal(reply_await(pair.dealer, 1, 0, pair.quiet[0], &pair.reply), STATUS_TIMED_OUT);
    for (int i = 1; i < 5; i++) {
        assert_true(wait_for(pair.dealer, false));
        assert_int_equal(reply_receive(pair.dealer, &pair.reply), STATUS_OK);
    }
    pair_close(&pair);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sockets_set_up, sockets_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_reply_bears_the_number_of_its_request),
        TEST(a_reply_without_records_does_not_keep_those_before),
        TEST(a_late_reply_is_not_taken_for_another),
        TEST(what_is_no_reply_has_no_number),
        TEST(a_wait_ends_when_it_is_asked_to),
        TEST(replies_to_others_do_not_prolong_the_wait),
    };
#undef TEST
    return cmocka_run_group_tests_name("request", tests, sockets_start, sockets_stop);
}
