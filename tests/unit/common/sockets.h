/* sockets: a test's sockets and small tools that the tests of the wire share. Start and stop are
 * for the group of tests, set-up and tear-down for each test. */
#ifndef WEIR_TESTS_UNIT_COMMON_SOCKETS_H
#define WEIR_TESTS_UNIT_COMMON_SOCKETS_H

#include "common/wire/socket.h"

enum {
    SOCKETS_WAIT_MS = 10000, /* what has not come by then does not come */
    SOCKETS_MESSAGE_BYTES_MAX = 64 * 1024,
};

struct sockets {
    char root[64]; /* a folder of the test's own */
    char endpoint[128];
};

int sockets_start(void **test_state);
int sockets_stop(void **test_state);
int sockets_set_up(void **test_state); /* *test_state: a struct sockets */
int sockets_tear_down(void **test_state);

/* With SOCKETS_MESSAGE_BYTES_MAX and room for 64 messages. */
struct socket *open_socket(enum socket_kind kind, bool bind, const char *endpoint);
bool wait_for(struct socket *socket, bool want_write);
void send_when_possible(struct socket *socket, const char *text, bool more);
void assert_receives(struct socket *socket, struct frame *frame, const char *text, bool more);

#endif
