/* request: one request and its reply over a DEALER socket, with a time limit. */
#ifndef WEIR_COMMON_WIRE_REQUEST_H
#define WEIR_COMMON_WIRE_REQUEST_H

#include "common/base/clock.h"
#include "common/wire/control.h"
#include "common/wire/socket.h"

#define REQUEST_LIMIT_NS (5 * NS_PER_S) /* then the peer counts as not there */

/* Sends the request and waits for the first frame of the reply; only while no other request is
 * under way. UNAVAILABLE: no reply within REQUEST_LIMIT_NS. INTERRUPTED: `stop_fd` is readable. */
MUST_USE enum status request_exchange(struct socket *socket, const struct control_request *request,
                                      int stop_fd, struct frame *ret_reply,
                                      struct detail *ret_detail);

#endif
