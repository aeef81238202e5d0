/* socket: the only user of libzmq and czmq. Sets every option that Weir relies on, in one place.
 *
 * One context per process (czmq's). LINGER is set explicitly on every socket; ZMTP heartbeats stay
 * off (a connecting SUB with a full queue aborts the process, libzmq #3937); HANDSHAKE_IVL is 2 s;
 * MAXMSGSIZE is always set; tcp has keepalive. A socket belongs to the thread that opened it.
 */
#ifndef WEIR_COMMON_WIRE_SOCKET_H
#define WEIR_COMMON_WIRE_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"

enum socket_kind { SOCKET_PULL, SOCKET_PUSH, SOCKET_PUB, SOCKET_SUB, SOCKET_ROUTER, SOCKET_DEALER };

enum {
    SOCKET_IO_THREADS_MAX = 4,
    SOCKET_SUBSCRIPTIONS_MAX = 4,  /* in the options; more by socket_subscribe */
    SOCKET_PREFIX_BYTES_MAX = 200, /* topics of 246 to 255 bytes are mis-encoded by libzmq 4.3.4 */
    SOCKET_WAIT_MAX = 16,
};

struct socket; /* opaque */

struct socket_options {
    enum socket_kind kind;
    bool bind; /* else connect */
    const char *endpoint;
    int high_water_mark; /* messages, each way; ≥ 1 */
    int64_t message_bytes_max;
    int linger_ms;
    int io_thread; /* of socket_setup's, from 1, that serves it; 0: whichever has least to do */
    const char
        *subscriptions[SOCKET_SUBSCRIPTIONS_MAX]; /* SUB: topic prefixes, NULL-terminated or full */
};

/* Once per process, before the first socket: no signal handler of czmq's, io threads (1 … 4),
 * RLIMIT_NOFILE raised. */
MUST_USE enum status socket_setup(int io_threads, struct detail *ret_detail);
/* Closes the context; all sockets must be gone. */
void socket_teardown(void);

/* CONFIG for an endpoint that libzmq does not understand, BUSY for a tcp port in use, IO. An ipc
 * path in use is taken over without a word: hold a lock file before. */
MUST_USE enum status socket_open(const struct socket_options *options, struct socket **ret_socket,
                                 struct detail *ret_detail);
void socket_close(struct socket **socket);
/* Where it is bound or connected; a bound tcp://…:* with the port it got. Lives as long as the
 * socket. */
const char *socket_endpoint(const struct socket *socket);
/* SUB only; INVALID for a prefix above SOCKET_PREFIX_BYTES_MAX. */
MUST_USE enum status socket_subscribe(struct socket *socket, struct slice prefix);
/* SUB only; undoes one socket_subscribe. The publisher hears of it later; receiving passes over
 * what comes until then. */
void socket_unsubscribe(struct socket *socket, struct slice prefix);

/* A received frame; owns libzmq's memory until frame_fini. */
struct frame {
    _Alignas(16) unsigned char message[64]; /* a zmq_msg_t */
};
void frame_init(struct frame *frame);
void frame_fini(struct frame *frame);
/* `from` is empty afterwards; what `to` held is gone. */
void frame_move(struct frame *to, struct frame *from);
struct slice frame_slice(const struct frame *frame);
/* Are there more frames of the same message behind it? */
bool frame_more(const struct frame *frame);

/* Receives one frame without waiting: OK, END (nothing there now), IO. Reuses `frame`. */
MUST_USE enum status socket_receive(struct socket *socket, struct frame *frame);
/* Receives and throws away the rest of the message that `frame` began. */
void socket_discard_rest(struct socket *socket, const struct frame *frame);

/* Receives a whole message of at most `count` frames, without waiting, as socket_receive; frames
 * that it has not are empty, and those that it has above `count` are thrown away. */
MUST_USE enum status socket_receive_message(struct socket *socket, struct frame *const *frames,
                                            int count);

/* Sends one frame; never waits. OK, FULL (peer's queue full or no peer: nothing sent), IO. */
MUST_USE enum status socket_send(struct socket *socket, struct slice bytes, bool more);
/* As socket_send without a copy: libzmq calls release(bytes, hint) when it is done with the bytes,
 * from any thread; from this one, before the call returns, when nobody subscribes. On failure
 * release is not called. */
typedef void socket_release_fn(void *bytes, void *hint);
MUST_USE enum status socket_send_borrowed(struct socket *socket, struct slice bytes, bool more,
                                          socket_release_fn *release, void *hint);

/* Waiting. Either a socket or a descriptor. */
struct socket_wait {
    struct socket *socket; /* NULL: fd */
    int fd;
    bool want_write; /* else read */
    bool ready;      /* result */
};
/* Waits up to timeout_ms (−1: for ever) until one of at most SOCKET_WAIT_MAX is ready. OK (look at
 * `ready`), TIMED_OUT, INTERRUPTED, IO. */
MUST_USE enum status socket_wait(struct socket_wait *items, int count, int timeout_ms);

#endif
