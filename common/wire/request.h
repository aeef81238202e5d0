/* request: requests over a DEALER socket, and their replies.
 *
 *     number (8 bytes, big-endian) | request    →    number | reply | records, where there are any
 *
 * The number comes back before the reply, so that a late reply to a request that was given up is
 * not taken for another's. Belongs to the thread of the socket.
 */
#ifndef WEIR_COMMON_WIRE_REQUEST_H
#define WEIR_COMMON_WIRE_REQUEST_H

#include "common/base/clock.h"
#include "common/wire/control.h"
#include "common/wire/socket.h"

#define REQUEST_LIMIT_NS (5 * NS_PER_S) /* then the peer counts as not there */

/* Sends it, without waiting. OK, FULL (the peer is away or slow: ask again later), TOO_LARGE,
 * NO_MEMORY, IO. */
MUST_USE enum status request_send(struct socket *socket, uint64_t number,
                                  const struct control_request *request);

/* A reply; owns libzmq's memory from reply_init to reply_fini, and is reused. */
struct reply {
    uint64_t number; /* of its request; 0: of none that request_send sent */
    struct frame frame;
    struct frame body; /* size 0: no records */
};
void reply_init(struct reply *reply);
void reply_fini(struct reply *reply);

/* Takes the next reply, to whichever request. OK, END (none is there), IO. */
MUST_USE enum status reply_receive(struct socket *socket, struct reply *ret_reply);

/* Waits for the reply to request `number`, throwing others away, until CLOCK_BOOTTIME is limit_ns:
 * TIMED_OUT. INTERRUPTED: `stop_fd` is readable. IO. */
MUST_USE enum status reply_await(struct socket *socket, uint64_t number, uint64_t limit_ns,
                                 int stop_fd, struct reply *ret_reply);

/* Sends one request and waits for the first frame of its reply; only while no other request is
 * under way. UNAVAILABLE: no reply within REQUEST_LIMIT_NS. INTERRUPTED: `stop_fd` is readable. */
MUST_USE enum status request_exchange(struct socket *socket, const struct control_request *request,
                                      int stop_fd, struct frame *ret_reply,
                                      struct detail *ret_detail);

#endif
