#include "tests/unit/common/sockets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/common/golden.h"

int sockets_start(void **test_state)
{
    (void)test_state;
    struct detail detail;
    return socket_setup(2, &detail) != STATUS_OK;
}

int sockets_stop(void **test_state)
{
    (void)test_state;
    socket_teardown();
    return 0;
}

int sockets_set_up(void **test_state)
{
    static struct sockets sockets;
    strcpy(sockets.root, "/tmp/weir-test-XXXXXX");
    if (mkdtemp(sockets.root) == NULL)
        return 1;
    snprintf(sockets.endpoint, sizeof sockets.endpoint, "ipc://%s/s", sockets.root);
    *test_state = &sockets;
    return 0;
}

int sockets_tear_down(void **test_state)
{
    struct sockets *sockets = *test_state;
    unlink(sockets->endpoint + strlen("ipc://"));
    return rmdir(sockets->root);
}

struct socket *open_socket(enum socket_kind kind, bool bind, const char *endpoint)
{
    struct socket_options options = {.kind = kind,
                                     .bind = bind,
                                     .endpoint = endpoint,
                                     .high_water_mark = 64,
                                     .message_bytes_max = SOCKETS_MESSAGE_BYTES_MAX,
                                     .linger_ms = 0};
    struct socket *socket = NULL;
    struct detail detail = {""};
    if (socket_open(&options, &socket, &detail) != STATUS_OK)
        fail_msg("%s", detail.text);
    return socket;
}

bool wait_for(struct socket *socket, bool want_write)
{
    struct socket_wait item = {.socket = socket, .want_write = want_write};
    return socket_wait(&item, 1, SOCKETS_WAIT_MS) == STATUS_OK && item.ready;
}

void send_when_possible(struct socket *socket, const char *text, bool more)
{
    enum status status = socket_send(socket, slice_of_text(text), more);
    while (status == STATUS_FULL) {
        assert_true(wait_for(socket, true));
        status = socket_send(socket, slice_of_text(text), more);
    }
    assert_int_equal(status, STATUS_OK);
}

void assert_receives(struct socket *socket, struct frame *frame, const char *text, bool more)
{
    assert_true(wait_for(socket, false));
    assert_int_equal(socket_receive(socket, frame), STATUS_OK);
    assert_text(frame_slice(frame), text);
    assert_int_equal(frame_more(frame), more);
}
