#include "common/wire/socket.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/common/golden.h"
#include "tests/unit/common/sockets.h"

static void leaves_signals_and_limits_as_weir_wants_them(void **test_state)
{
    (void)test_state;
    struct sigaction action;
    struct rlimit limit;
    assert_int_equal(sigaction(SIGINT, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    assert_int_equal(sigaction(SIGTERM, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

static void carries_frames_from_push_to_pull(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *pull = open_socket(SOCKET_PULL, true, f->endpoint);
    struct socket *push = open_socket(SOCKET_PUSH, false, f->endpoint);
    struct frame frame;
    frame_init(&frame);
    assert_int_equal(socket_receive(pull, &frame), STATUS_END);
    send_when_possible(push, "one", false);
    send_when_possible(push, "", false);
    assert_receives(pull, &frame, "one", false);
    assert_receives(pull, &frame, "", false);
    assert_int_equal(socket_receive(pull, &frame), STATUS_END);
    frame_fini(&frame);
    frame_fini(&frame);
    socket_close(&push);
    socket_close(&pull);
    assert_null(pull);
    socket_close(&pull);
}

static void is_served_by_the_thread_that_was_asked_for(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket_options options = {.kind = SOCKET_PULL,
                                     .bind = true,
                                     .endpoint = f->endpoint,
                                     .high_water_mark = 1,
                                     .message_bytes_max = 100,
                                     .io_thread = SOCKET_IO_THREADS_MAX}; /* there are two */
    struct socket *pull = NULL;
    struct detail detail;
    assert_int_equal(socket_open(&options, &pull, &detail), STATUS_IO);
    assert_null(pull);
    options.io_thread = 2;
    assert_int_equal(socket_open(&options, &pull, &detail), STATUS_OK);
    struct socket *push = open_socket(SOCKET_PUSH, false, f->endpoint);
    struct frame frame;
    frame_init(&frame);
    send_when_possible(push, "one", false);
    assert_receives(pull, &frame, "one", false);
    frame_fini(&frame);
    socket_close(&push);
    socket_close(&pull);
}

static void queues_nothing_for_a_pull_that_is_not_there(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *push = open_socket(SOCKET_PUSH, false, f->endpoint);
    assert_int_equal(socket_send(push, slice_of_text("lost?"), false), STATUS_FULL);
    socket_close(&push);
}

static void throws_away_the_rest_of_a_message(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *pull = open_socket(SOCKET_PULL, true, f->endpoint);
    struct socket *push = open_socket(SOCKET_PUSH, false, f->endpoint);
    struct frame frame;
    frame_init(&frame);
    send_when_possible(push, "a", true);
    for (int i = 0; i < 1000; i++)
        send_when_possible(push, "b", true);
    send_when_possible(push, "c", false);
    send_when_possible(push, "next", false);
    assert_receives(pull, &frame, "a", true);
    socket_discard_rest(pull, &frame);
    assert_text(frame_slice(&frame), "a");
    assert_receives(pull, &frame, "next", false);
    socket_discard_rest(pull, &frame);
    frame_fini(&frame);
    socket_close(&push);
    socket_close(&pull);
}

static void takes_whole_messages(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *pull = open_socket(SOCKET_PULL, true, f->endpoint);
    struct socket *push = open_socket(SOCKET_PUSH, false, f->endpoint);
    struct frame first, second, moved;
    struct frame *const frames[] = {&first, &second};
    frame_init(&first);
    frame_init(&second);
    frame_init(&moved);
    assert_int_equal(socket_receive_message(pull, frames, 2), STATUS_END);
    send_when_possible(push, "head", true);
    send_when_possible(push, "body", true);
    send_when_possible(push, "too much", false);
    send_when_possible(push, "alone", false);
    assert_true(wait_for(pull, false));
    assert_int_equal(socket_receive_message(pull, frames, 2), STATUS_OK);
    assert_text(frame_slice(&first), "head");
    assert_text(frame_slice(&second), "body");
    frame_move(&moved, &second);
    assert_true(wait_for(pull, false));
    assert_int_equal(socket_receive_message(pull, frames, 2), STATUS_OK);
    assert_text(frame_slice(&first), "alone");
    assert_text(frame_slice(&second), "");
    assert_text(frame_slice(&moved), "body");
    frame_fini(&first);
    frame_fini(&second);
    frame_fini(&moved);
    socket_close(&push);
    socket_close(&pull);
}

static void publishes_to_those_who_subscribed(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *pub = open_socket(SOCKET_PUB, true, f->endpoint);
    struct socket_options options = {.kind = SOCKET_SUB,
                                     .endpoint = f->endpoint,
                                     .high_water_mark = 64,
                                     .message_bytes_max = SOCKETS_MESSAGE_BYTES_MAX,
                                     .subscriptions = {"wanted", "ready"}};
    struct socket *sub = NULL;
    struct detail detail;
    struct frame frame;
    frame_init(&frame);
    assert_int_equal(socket_open(&options, &sub, &detail), STATUS_OK);
    /* A subscription is in force once something arrives under it. */
    struct socket_wait item = {.socket = sub};
    do
        assert_int_equal(socket_send(pub, slice_of_text("ready"), false), STATUS_OK);
    while (socket_wait(&item, 1, 1) == STATUS_TIMED_OUT);
    assert_int_equal(socket_send(pub, slice_of_text("unwanted"), false), STATUS_OK);
    assert_int_equal(socket_send(pub, slice_of_text("wanted"), true), STATUS_OK);
    assert_int_equal(socket_send(pub, slice_of_text("body"), false), STATUS_OK);
    do {
        assert_true(wait_for(sub, false));
        assert_int_equal(socket_receive(sub, &frame), STATUS_OK);
    } while (slice_equal_text(frame_slice(&frame), "ready"));
    assert_text(frame_slice(&frame), "wanted");
    assert_true(frame_more(&frame));
    assert_receives(sub, &frame, "body", false);
    frame_fini(&frame);
    socket_close(&sub);
    socket_close(&pub);
}

/* Also what had come under the old subscription, but for the message that the wait looked at. */
static void passes_over_what_it_unsubscribed_from(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *pub = open_socket(SOCKET_PUB, true, f->endpoint);
    struct socket *sub = open_socket(SOCKET_SUB, false, f->endpoint);
    struct frame frame;
    frame_init(&frame);
    assert_int_equal(socket_subscribe(sub, slice_of_text("old")), STATUS_OK);
    assert_int_equal(socket_subscribe(sub, slice_of_text("new")), STATUS_OK);
    struct socket_wait item = {.socket = sub};
    do
        assert_int_equal(socket_send(pub, slice_of_text("old"), false), STATUS_OK);
    while (socket_wait(&item, 1, 1) == STATUS_TIMED_OUT);
    socket_unsubscribe(sub, slice_of_text("old"));
    assert_int_equal(socket_send(pub, slice_of_text("old"), false), STATUS_OK);
    assert_int_equal(socket_send(pub, slice_of_text("old"), false), STATUS_OK);
    assert_int_equal(socket_send(pub, slice_of_text("new"), false), STATUS_OK);
    assert_receives(sub, &frame, "old", false);
    assert_true(wait_for(sub, false));
    assert_receives(sub, &frame, "new", false);
    assert_int_equal(socket_receive(sub, &frame), STATUS_END);
    frame_fini(&frame);
    socket_close(&sub);
    socket_close(&pub);
}

static void refuses_a_prefix_that_libzmq_would_spoil(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *sub = open_socket(SOCKET_SUB, false, f->endpoint);
    uint8_t prefix[SOCKET_PREFIX_BYTES_MAX + 1] = {0};
    assert_int_equal(socket_subscribe(sub, (struct slice){prefix, SOCKET_PREFIX_BYTES_MAX}),
                     STATUS_OK);
    assert_int_equal(socket_subscribe(sub, (struct slice){prefix, sizeof prefix}), STATUS_INVALID);
    socket_close(&sub);
}

static void routes_a_reply_to_the_dealer_who_asked(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *router = open_socket(SOCKET_ROUTER, true, f->endpoint);
    struct socket *dealer = open_socket(SOCKET_DEALER, false, f->endpoint);
    struct frame identity, frame;
    frame_init(&identity);
    frame_init(&frame);
    send_when_possible(dealer, "question", false);
    assert_true(wait_for(router, false));
    assert_int_equal(socket_receive(router, &identity), STATUS_OK);
    assert_true(frame_more(&identity));
    assert_receives(router, &frame, "question", false);
    assert_int_equal(socket_send(router, slice_of_text("nobody"), true), STATUS_OK);
    assert_int_equal(socket_send(router, slice_of_text("dropped"), false), STATUS_OK);
    assert_int_equal(socket_send(router, frame_slice(&identity), true), STATUS_OK);
    assert_int_equal(socket_send(router, slice_of_text("answer"), false), STATUS_OK);
    assert_receives(dealer, &frame, "answer", false);
    frame_fini(&identity);
    frame_fini(&frame);
    socket_close(&dealer);
    socket_close(&router);
}

/* --- borrowed bytes --- */

static void count_release(void *bytes, void *hint)
{
    (void)bytes;
    atomic_fetch_add((atomic_int *)hint, 1);
}

static void gives_borrowed_bytes_back_when_they_are_sent(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *pull = open_socket(SOCKET_PULL, true, f->endpoint);
    struct socket *push = open_socket(SOCKET_PUSH, false, f->endpoint);
    static uint8_t bytes[32 * 1024];
    struct slice slice = {bytes, sizeof bytes};
    static atomic_int released;
    struct frame frame;
    frame_init(&frame);
    atomic_store(&released, 0);
    memset(bytes, 'x', sizeof bytes);
    assert_true(wait_for(push, true));
    assert_int_equal(socket_send_borrowed(push, slice, false, count_release, &released), STATUS_OK);
    assert_true(wait_for(pull, false));
    assert_int_equal(socket_receive(pull, &frame), STATUS_OK);
    assert_bytes(frame_slice(&frame), slice);
    frame_fini(&frame);
    socket_close(&push); /* at the latest */
    socket_close(&pull);
    while (atomic_load(&released) == 0)
        usleep(100);
    assert_int_equal(atomic_load(&released), 1);
}

static void gives_borrowed_bytes_back_at_once_when_nobody_subscribes(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *pub = open_socket(SOCKET_PUB, true, f->endpoint);
    atomic_int released = 0;
    assert_int_equal(
        socket_send_borrowed(pub, slice_of_text("body"), false, count_release, &released),
        STATUS_OK);
    assert_int_equal(atomic_load(&released), 1);
    socket_close(&pub);
}

static void leaves_borrowed_bytes_with_the_caller_when_the_queue_is_full(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *push = open_socket(SOCKET_PUSH, false, f->endpoint);
    atomic_int released = 0;
    assert_int_equal(
        socket_send_borrowed(push, slice_of_text("body"), false, count_release, &released),
        STATUS_FULL);
    assert_int_equal(atomic_load(&released), 0);
    socket_close(&push);
    assert_int_equal(atomic_load(&released), 0);
}

static void says_full_when_the_peer_does_not_read(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *pull = open_socket(SOCKET_PULL, true, f->endpoint);
    struct socket *push = open_socket(SOCKET_PUSH, false, f->endpoint);
    static uint8_t bytes[SOCKETS_MESSAGE_BYTES_MAX];
    struct slice slice = {bytes, sizeof bytes};
    struct frame frame;
    uint32_t sent = 0, received = 0;
    frame_init(&frame);
    assert_true(wait_for(push, true));
    struct socket_wait item = {.socket = push, .want_write = true};
    while (socket_wait(&item, 1, 50) == STATUS_OK) {
        assert_int_equal(socket_send(push, slice, false), STATUS_OK);
        sent++;
        assert_true(sent < 1000);
    }
    assert_int_equal(socket_send(push, slice, false), STATUS_FULL);
    while (received < sent) {
        assert_true(wait_for(pull, false));
        assert_int_equal(socket_receive(pull, &frame), STATUS_OK);
        received++;
    }
    frame_fini(&frame);
    socket_close(&push);
    socket_close(&pull);
}

static void closes_the_connection_of_a_frame_above_the_limit(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *pull = open_socket(SOCKET_PULL, true, f->endpoint);
    struct socket *push = open_socket(SOCKET_PUSH, false, f->endpoint);
    struct socket *good = open_socket(SOCKET_PUSH, false, f->endpoint);
    static uint8_t bytes[SOCKETS_MESSAGE_BYTES_MAX + 1];
    struct frame frame;
    frame_init(&frame);
    assert_true(wait_for(push, true));
    assert_int_equal(socket_send(push, (struct slice){bytes, sizeof bytes}, false), STATUS_OK);
    send_when_possible(good, "neighbour", false);
    assert_receives(pull, &frame, "neighbour", false);
    frame_fini(&frame);
    socket_close(&push);
    socket_close(&good);
    socket_close(&pull);
}

/* --- tcp, waiting, failures --- */

static void binds_tcp_to_a_free_port_and_names_it(void **test_state)
{
    (void)test_state;
    struct socket *pull = open_socket(SOCKET_PULL, true, "tcp://127.0.0.1:*");
    assert_memory_equal(socket_endpoint(pull), "tcp://127.0.0.1:", 16);
    assert_null(strchr(socket_endpoint(pull), '*'));
    struct socket *push = open_socket(SOCKET_PUSH, false, socket_endpoint(pull));
    struct frame frame;
    frame_init(&frame);
    send_when_possible(push, "over tcp", false);
    assert_receives(pull, &frame, "over tcp", false);
    frame_fini(&frame);
    socket_close(&push);
    socket_close(&pull);
}

static void waits_for_sockets_and_descriptors_together(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *pull = open_socket(SOCKET_PULL, true, f->endpoint);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct socket_wait items[] = {{.socket = pull}, {.fd = ends[0]}};
    assert_int_equal(socket_wait(items, 2, 0), STATUS_TIMED_OUT);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(socket_wait(items, 2, SOCKETS_WAIT_MS), STATUS_OK);
    assert_false(items[0].ready);
    assert_true(items[1].ready);
    close(ends[0]);
    close(ends[1]);
    socket_close(&pull);
}

static void do_nothing(int signal_number)
{
    (void)signal_number;
}

static void says_interrupted_when_a_signal_came(void **test_state)
{
    struct sockets *f = *test_state;
    struct socket *pull = open_socket(SOCKET_PULL, true, f->endpoint);
    struct sigaction action = {.sa_handler = do_nothing}, before;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    ualarm(20000, 20000); /* again and again: the first may come before the wait */
    struct socket_wait item = {.socket = pull};
    assert_int_equal(socket_wait(&item, 1, SOCKETS_WAIT_MS), STATUS_INTERRUPTED);
    ualarm(0, 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    socket_close(&pull);
}

static enum status try_open(bool bind, const char *endpoint, struct detail *ret_detail)
{
    struct socket_options options = {.kind = SOCKET_PULL,
                                     .bind = bind,
                                     .endpoint = endpoint,
                                     .high_water_mark = 1,
                                     .message_bytes_max = 1};
    struct socket *socket = NULL;
    enum status status = socket_open(&options, &socket, ret_detail);
    socket_close(&socket);
    return status;
}

static void names_the_endpoint_it_could_not_open(void **test_state)
{
    struct sockets *f = *test_state;
    struct detail detail;
    char missing[256];
    snprintf(missing, sizeof missing, "ipc://%s/missing/s", f->root);
    assert_int_equal(try_open(true, missing, &detail), STATUS_IO);
    assert_non_null(strstr(detail.text, missing));
    assert_int_equal(try_open(true, "tcp://nowhere", &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, "tcp://nowhere"));
    assert_int_equal(try_open(false, "tcp://127.0.0.1:x%s%n", &detail), STATUS_CONFIG);
    assert_non_null(strstr(detail.text, "x%s%n"));

    struct socket *pull = open_socket(SOCKET_PULL, true, "tcp://127.0.0.1:*");
    assert_int_equal(try_open(true, socket_endpoint(pull), &detail), STATUS_BUSY);
    socket_close(&pull);
}

static void takes_over_the_socket_file_of_a_process_that_died(void **test_state)
{
    struct sockets *f = *test_state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", f->endpoint + strlen("ipc://"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd); /* the file stays, as after kill -9 */
    struct socket *pull = open_socket(SOCKET_PULL, true, f->endpoint);
    struct socket *push = open_socket(SOCKET_PUSH, false, f->endpoint);
    struct frame frame;
    frame_init(&frame);
    send_when_possible(push, "here again", false);
    assert_receives(pull, &frame, "here again", false);
    frame_fini(&frame);
    socket_close(&push);
    socket_close(&pull);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sockets_set_up, sockets_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(leaves_signals_and_limits_as_weir_wants_them),
        TEST(carries_frames_from_push_to_pull),
        TEST(is_served_by_the_thread_that_was_asked_for),
        TEST(queues_nothing_for_a_pull_that_is_not_there),
        TEST(throws_away_the_rest_of_a_message),
        TEST(takes_whole_messages),
        TEST(publishes_to_those_who_subscribed),
        TEST(passes_over_what_it_unsubscribed_from),
        TEST(refuses_a_prefix_that_libzmq_would_spoil),
        TEST(routes_a_reply_to_the_dealer_who_asked),
        TEST(gives_borrowed_bytes_back_when_they_are_sent),
        TEST(gives_borrowed_bytes_back_at_once_when_nobody_subscribes),
        TEST(leaves_borrowed_bytes_with_the_caller_when_the_queue_is_full),
        TEST(says_full_when_the_peer_does_not_read),
        TEST(closes_the_connection_of_a_frame_above_the_limit),
        TEST(binds_tcp_to_a_free_port_and_names_it),
        TEST(waits_for_sockets_and_descriptors_together),
        TEST(says_interrupted_when_a_signal_came),
        TEST(names_the_endpoint_it_could_not_open),
        TEST(takes_over_the_socket_file_of_a_process_that_died),
    };
#undef TEST
    return cmocka_run_group_tests_name("socket", tests, sockets_start, sockets_stop);
}
