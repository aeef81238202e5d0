#include "common/wire/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/common/golden.h"
#include "tests/unit/common/sockets.h"

struct pair {
    struct socket *router;
    struct socket *dealer;
    struct envelope envelope;
    struct frame frame;
};

static void pair_open(struct pair *pair, const struct sockets *sockets)
{
    pair->router = open_socket(SOCKET_ROUTER, true, sockets->endpoint);
    pair->dealer = open_socket(SOCKET_DEALER, false, sockets->endpoint);
    frame_init(&pair->frame);
}

static void pair_close(struct pair *pair)
{
    frame_fini(&pair->frame);
    socket_close(&pair->dealer);
    socket_close(&pair->router);
}

static enum status take(struct pair *pair)
{
    assert_true(wait_for(pair->router, false));
    return envelope_receive(pair->router, &pair->envelope, &pair->frame);
}

static const char sixty_four[] = "0123456789012345678901234567890123456789012345678901234567890123";
static const char sixty_five[] =
    "01234567890123456789012345678901234567890123456789012345678901234";

static void sends_a_reply_behind_the_frames_of_its_request(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    const char *frames[] = {sixty_four, "", sixty_four, sixty_four};
    for (int i = 0; i < CONTROL_ECHO_FRAMES_MAX; i++)
        send_when_possible(pair.dealer, frames[i], true);
    send_when_possible(pair.dealer, "request", false);
    assert_int_equal(take(&pair), STATUS_OK);
    assert_text(frame_slice(&pair.frame), "request");
    assert_int_equal(pair.envelope.count, ENVELOPE_FRAMES_MAX);

    struct envelope elsewhere = pair.envelope;
    const struct slice body = slice_of_text("body");
    assert_int_equal(envelope_send(pair.router, &elsewhere, slice_of_text("reply"), &body),
                     STATUS_OK);
    for (int i = 0; i < CONTROL_ECHO_FRAMES_MAX; i++)
        assert_receives(pair.dealer, &pair.frame, frames[i], true);
    assert_receives(pair.dealer, &pair.frame, "reply", true);
    assert_receives(pair.dealer, &pair.frame, "body", false);
    pair_close(&pair);
}

static void tells_an_empty_body_from_none(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    send_when_possible(pair.dealer, "", false);
    assert_int_equal(take(&pair), STATUS_OK);
    assert_int_equal(frame_slice(&pair.frame).size, 0);
    assert_int_equal(pair.envelope.count, 1);
    const struct slice empty = {NULL, 0};
    assert_int_equal(envelope_send(pair.router, &pair.envelope, slice_of_text("a"), &empty),
                     STATUS_OK);
    assert_int_equal(envelope_send(pair.router, &pair.envelope, slice_of_text("b"), NULL),
                     STATUS_OK);
    assert_receives(pair.dealer, &pair.frame, "a", true);
    assert_receives(pair.dealer, &pair.frame, "", false);
    assert_receives(pair.dealer, &pair.frame, "b", false);
    pair_close(&pair);
}

/* A message of `before` frames of `text`, the request, and a good message behind it: the first is
 * refused, can still be answered (with what came before the excess), and leaves nothing behind. */
static void assert_refused(struct pair *pair, int before, const char *text, int kept)
{
    for (int i = 0; i < before; i++)
        send_when_possible(pair->dealer, text, true);
    send_when_possible(pair->dealer, "request", false);
    send_when_possible(pair->dealer, "next", false);
    assert_int_equal(take(pair), STATUS_TOO_LARGE);
    assert_int_equal(pair->envelope.count, 1 + kept);
    assert_int_equal(
        envelope_send(pair->router, &pair->envelope, slice_of_text(envelope_limits_text), NULL),
        STATUS_OK);
    for (int i = 0; i < kept; i++)
        assert_receives(pair->dealer, &pair->frame, text, true);
    assert_receives(pair->dealer, &pair->frame, envelope_limits_text, false);
    assert_int_equal(take(pair), STATUS_OK);
    assert_text(frame_slice(&pair->frame), "next");
    assert_int_equal(pair->envelope.count, 1);
}

static void refuses_one_frame_too_many(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    assert_refused(&pair, CONTROL_ECHO_FRAMES_MAX + 1, "", CONTROL_ECHO_FRAMES_MAX);
    assert_refused(&pair, CONTROL_ECHO_FRAMES_MAX + 1, sixty_four, CONTROL_ECHO_FRAMES_MAX);
    pair_close(&pair);
}

static void refuses_ten_thousand_frames(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    assert_refused(&pair, 10000, "x", CONTROL_ECHO_FRAMES_MAX);
    pair_close(&pair);
}

static void refuses_one_byte_too_many(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    assert_refused(&pair, 1, sixty_five, 0);
    pair_close(&pair);
}

static void refuses_a_frame_as_large_as_a_message_may_be(void **test_state)
{
    static char large[SOCKETS_MESSAGE_BYTES_MAX];
    struct pair pair;
    pair_open(&pair, *test_state);
    memset(large, 'x', sizeof large - 1);
    assert_refused(&pair, 1, large, 0);
    pair_close(&pair);
}

static void forgets_the_envelope_before(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    send_when_possible(pair.dealer, "number", true);
    send_when_possible(pair.dealer, "request", false);
    assert_int_equal(take(&pair), STATUS_OK);
    assert_int_equal(pair.envelope.count, 2);
    assert_int_equal(envelope_receive(pair.router, &pair.envelope, &pair.frame), STATUS_END);
    send_when_possible(pair.dealer, "request", false);
    assert_int_equal(take(&pair), STATUS_OK);
    assert_int_equal(pair.envelope.count, 1);
    pair_close(&pair);
}

static void loses_the_reply_to_a_peer_that_is_gone(void **test_state)
{
    struct pair pair;
    pair_open(&pair, *test_state);
    send_when_possible(pair.dealer, "request", false);
    assert_int_equal(take(&pair), STATUS_OK);
    struct envelope gone = pair.envelope;
    socket_close(&pair.dealer);
    pair.dealer = open_socket(SOCKET_DEALER, false, ((struct sockets *)*test_state)->endpoint);
    send_when_possible(pair.dealer, "request", false);
    assert_int_equal(take(&pair), STATUS_OK);
    (void)!envelope_send(pair.router, &gone, slice_of_text("to nobody"), NULL);
    assert_int_equal(envelope_send(pair.router, &pair.envelope, slice_of_text("to you"), NULL),
                     STATUS_OK);
    assert_receives(pair.dealer, &pair.frame, "to you", false);
    pair_close(&pair);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sockets_set_up, sockets_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(sends_a_reply_behind_the_frames_of_its_request),
        TEST(tells_an_empty_body_from_none),
        TEST(refuses_one_frame_too_many),
        TEST(refuses_ten_thousand_frames),
        TEST(refuses_one_byte_too_many),
        TEST(refuses_a_frame_as_large_as_a_message_may_be),
        TEST(forgets_the_envelope_before),
        TEST(loses_the_reply_to_a_peer_that_is_gone),
    };
#undef TEST
    return cmocka_run_group_tests_name("envelope", tests, sockets_start, sockets_stop);
}
