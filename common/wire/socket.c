#include "common/wire/socket.h"

#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <zmq.h>

enum {
    HANDSHAKE_MS = 2000, /* libzmq's default of 30 s lets silent peers hold descriptors */
    KEEPALIVE_IDLE_S = 30,
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_COUNT = 3,
};

_Static_assert(sizeof(struct frame) == sizeof(zmq_msg_t), "a frame holds one zmq_msg_t");
_Static_assert(alignof(struct frame) >= alignof(zmq_msg_t), "a frame is aligned as a zmq_msg_t");

struct socket {
    zsock_t *zsock;
    void *handle; /* libzmq's, for the hot path */
    bool bound;
};

/* --- process --- */

/* libzmq aborts when accept meets the limit, so it is put as high as it may be. */
static enum status raise_descriptor_limit(struct detail *ret_detail)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return detail_set(ret_detail, STATUS_IO, "getrlimit: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return detail_set(ret_detail, STATUS_IO, "cannot raise the limit of open files: %s",
                          strerror(errno));
    return STATUS_OK;
}

enum status socket_setup(int io_threads, struct detail *ret_detail)
{
    assert(io_threads >= 1 && io_threads <= SOCKET_IO_THREADS_MAX);
    enum status status = raise_descriptor_limit(ret_detail);
    if (status != STATUS_OK)
        return status;
    zsys_handler_set(NULL); /* before zsys_init: signals are the lifecycle's */
    if (zsys_init() == NULL)
        return detail_set(ret_detail, STATUS_IO, "cannot start libzmq: %s",
                          zmq_strerror(zmq_errno()));
    zsys_set_logstream(stderr); /* stdout is for data */
    zsys_set_io_threads((size_t)io_threads);
    return STATUS_OK;
}

void socket_teardown(void)
{
    zsys_shutdown();
}

/* --- open and close --- */

static int zmq_kind(enum socket_kind kind)
{
    switch (kind) {
    case SOCKET_PULL:
        return ZMQ_PULL;
    case SOCKET_PUSH:
        return ZMQ_PUSH;
    case SOCKET_PUB:
        return ZMQ_PUB;
    case SOCKET_SUB:
        return ZMQ_SUB;
    case SOCKET_ROUTER:
        return ZMQ_ROUTER;
    case SOCKET_DEALER:
        return ZMQ_DEALER;
    }
    assert(!"a kind of socket");
    return -1;
}

static void set_options(zsock_t *zsock, const struct socket_options *options)
{
    zsock_set_linger(zsock, options->linger_ms);
    zsock_set_sndhwm(zsock, options->high_water_mark);
    zsock_set_rcvhwm(zsock, options->high_water_mark);
    zsock_set_maxmsgsize(zsock, (int)options->message_bytes_max);
    zsock_set_handshake_ivl(zsock, HANDSHAKE_MS);
    zsock_set_tcp_keepalive(zsock, 1);
    zsock_set_tcp_keepalive_idle(zsock, KEEPALIVE_IDLE_S);
    zsock_set_tcp_keepalive_intvl(zsock, KEEPALIVE_INTERVAL_S);
    zsock_set_tcp_keepalive_cnt(zsock, KEEPALIVE_COUNT);
    if (options->io_thread > 0)
        zsock_set_affinity(zsock, 1 << (options->io_thread - 1));
    /* Nothing is queued for a peer that is not there: the outbox resends from what it keeps. */
    if (options->kind == SOCKET_PUSH)
        zsock_set_immediate(zsock, 1);
    if (options->kind == SOCKET_ROUTER) {
        zsock_set_router_mandatory(zsock, 0);
        zsock_set_router_handover(zsock, 0);
    }
}

static enum status subscribe_all(struct socket *socket, const struct socket_options *options)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < SOCKET_SUBSCRIPTIONS_MAX && status == STATUS_OK; i++) {
        if (options->subscriptions[i] == NULL)
            break;
        status = socket_subscribe(socket, slice_of_text(options->subscriptions[i]));
    }
    return status;
}

static enum status status_of_attach(int error)
{
    switch (error) {
    case EADDRINUSE:
        return STATUS_BUSY;
    case EINVAL:
    case ENODEV: /* no such interface or host */
        return STATUS_CONFIG;
    default:
        return STATUS_IO;
    }
}

static enum status attach(struct socket *socket, const struct socket_options *options,
                          struct detail *ret_detail)
{
    int rc = options->bind ? zsock_bind(socket->zsock, "%s", options->endpoint)
                           : zsock_connect(socket->zsock, "%s", options->endpoint);
    if (rc >= 0)
        return STATUS_OK;
    int error = zmq_errno();
    return detail_set(ret_detail, status_of_attach(error), "cannot %s %s: %s",
                      options->bind ? "bind" : "connect to", options->endpoint,
                      zmq_strerror(error));
}

enum status socket_open(const struct socket_options *options, struct socket **ret_socket,
                        struct detail *ret_detail)
{
    assert(options->high_water_mark >= 1);
    assert(options->io_thread >= 0 && options->io_thread <= SOCKET_IO_THREADS_MAX);
    assert(options->message_bytes_max >= 1 && options->message_bytes_max <= INT_MAX);
    struct socket *socket = calloc(1, sizeof *socket);
    if (socket == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    enum status status = STATUS_OK;
    socket->zsock = zsock_new(zmq_kind(options->kind));
    if (socket->zsock == NULL) {
        status = detail_set(ret_detail, STATUS_IO, "cannot make a socket for %s: %s",
                            options->endpoint, zmq_strerror(zmq_errno()));
        goto out;
    }
    socket->handle = zsock_resolve(socket->zsock);
    set_options(socket->zsock, options);
    status = subscribe_all(socket, options);
    if (status == STATUS_OK)
        status = attach(socket, options, ret_detail);
out:
    if (status == STATUS_OK)
        *ret_socket = socket;
    else
        socket_close(&socket);
    return status;
}

void socket_close(struct socket **socket)
{
    if (*socket == NULL)
        return;
    zsock_destroy(&(*socket)->zsock);
    free(*socket);
    *socket = NULL;
}

const char *socket_endpoint(const struct socket *socket)
{
    return zsock_endpoint(socket->zsock);
}

enum status socket_subscribe(struct socket *socket, struct slice prefix)
{
    if (prefix.size > SOCKET_PREFIX_BYTES_MAX)
        return STATUS_INVALID;
    int rc = zmq_setsockopt(socket->handle, ZMQ_SUBSCRIBE, prefix.data, prefix.size);
    return rc == 0 ? STATUS_OK : STATUS_IO;
}

void socket_unsubscribe(struct socket *socket, struct slice prefix)
{
    (void)zmq_setsockopt(socket->handle, ZMQ_UNSUBSCRIBE, prefix.data, prefix.size);
}

/* --- frames --- */

static zmq_msg_t *message_of(struct frame *frame)
{
    return (zmq_msg_t *)(void *)frame->message;
}

/* libzmq's accessors want a pointer that is not const, and only look. */
static zmq_msg_t *message_to_look_at(const struct frame *frame)
{
    return (zmq_msg_t *)(void *)frame->message;
}

void frame_init(struct frame *frame)
{
    zmq_msg_init(message_of(frame)); /* cannot fail */
}

void frame_fini(struct frame *frame)
{
    zmq_msg_close(message_of(frame));
    frame_init(frame);
}

void frame_move(struct frame *to, struct frame *from)
{
    zmq_msg_move(message_of(to), message_of(from)); /* fails for no frame */
}

struct slice frame_slice(const struct frame *frame)
{
    zmq_msg_t *message = message_to_look_at(frame);
    return (struct slice){zmq_msg_data(message), zmq_msg_size(message)};
}

bool frame_more(const struct frame *frame)
{
    return zmq_msg_more(message_to_look_at(frame)) != 0;
}

/* --- receive and send --- */

enum status socket_receive(struct socket *socket, struct frame *frame)
{
    int rc;
    do
        rc = zmq_msg_recv(message_of(frame), socket->handle, ZMQ_DONTWAIT);
    while (rc < 0 && zmq_errno() == EINTR);
    if (rc >= 0)
        return STATUS_OK;
    return zmq_errno() == EAGAIN ? STATUS_END : STATUS_IO;
}

void socket_discard_rest(struct socket *socket, const struct frame *frame)
{
    struct frame rest = {{0}};
    bool more = frame_more(frame);
    frame_init(&rest);
    /* libzmq hands a message over only when all its frames are there, so nothing waits here. */
    while (more && socket_receive(socket, &rest) == STATUS_OK)
        more = frame_more(&rest);
    frame_fini(&rest);
}

enum status socket_receive_message(struct socket *socket, struct frame *const *frames, int count)
{
    for (int i = 1; i < count; i++)
        frame_fini(frames[i]);
    for (int i = 0; i < count; i++) {
        enum status status = socket_receive(socket, frames[i]);
        if (status != STATUS_OK || !frame_more(frames[i]))
            return status;
    }
    socket_discard_rest(socket, frames[count - 1]);
    return STATUS_OK;
}

static int send_flags(bool more)
{
    return ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
}

static enum status send_failure(void)
{
    switch (zmq_errno()) {
    case EAGAIN:
    case EHOSTUNREACH:
        return STATUS_FULL;
    case ENOMEM:
        return STATUS_NO_MEMORY;
    default:
        return STATUS_IO;
    }
}

enum status socket_send(struct socket *socket, struct slice bytes, bool more)
{
    int rc;
    do
        rc = zmq_send(socket->handle, bytes.data, bytes.size, send_flags(more));
    while (rc < 0 && zmq_errno() == EINTR);
    return rc >= 0 ? STATUS_OK : send_failure();
}

/* What libzmq gives back: whom to tell, unless the send failed and the caller keeps the bytes. The
 * loan ends in another thread, ordered behind its beginning by libzmq's queues; `release` is atomic
 * so that thread sanitizers, which do not see into those, know it. */
struct loan {
    _Atomic(socket_release_fn *) release; /* NULL: nobody */
    void *hint;
};

static void end_loan(void *bytes, void *loan_of_message)
{
    struct loan *loan = loan_of_message;
    socket_release_fn *release = atomic_load_explicit(&loan->release, memory_order_acquire);
    void *hint = loan->hint;
    free(loan);
    if (release != NULL)
        release(bytes, hint);
}

enum status socket_send_borrowed(struct socket *socket, struct slice bytes, bool more,
                                 socket_release_fn *release, void *hint)
{
    zmq_msg_t message;
    struct loan *loan = malloc(sizeof *loan);
    if (loan == NULL)
        return STATUS_NO_MEMORY;
    loan->hint = hint;
    atomic_init(&loan->release, NULL);
    atomic_store_explicit(&loan->release, release, memory_order_release);
    void *data = (void *)bytes.data; /* libzmq reads it only */
    if (zmq_msg_init_data(&message, data, bytes.size, end_loan, loan) != 0) {
        free(loan);
        return STATUS_NO_MEMORY;
    }
    int rc;
    do
        rc = zmq_msg_send(&message, socket->handle, send_flags(more));
    while (rc < 0 && zmq_errno() == EINTR);
    if (rc >= 0)
        return STATUS_OK;
    enum status status = send_failure();
    atomic_store_explicit(&loan->release, NULL, memory_order_release);
    zmq_msg_close(&message);
    return status;
}

/* --- waiting --- */

enum status socket_wait(struct socket_wait *items, int count, int timeout_ms)
{
    zmq_pollitem_t polled[SOCKET_WAIT_MAX];
    assert(count >= 0 && count <= SOCKET_WAIT_MAX);
    for (int i = 0; i < count; i++) {
        items[i].ready = false;
        polled[i] = (zmq_pollitem_t){
            .socket = items[i].socket != NULL ? items[i].socket->handle : NULL,
            .fd = items[i].fd,
            .events = items[i].want_write ? ZMQ_POLLOUT : ZMQ_POLLIN,
        };
    }
    int rc = zmq_poll(polled, count, timeout_ms);
    if (rc < 0)
        return zmq_errno() == EINTR ? STATUS_INTERRUPTED : STATUS_IO;
    for (int i = 0; i < count; i++)
        items[i].ready = polled[i].revents != 0;
    return rc > 0 ? STATUS_OK : STATUS_TIMED_OUT;
}
