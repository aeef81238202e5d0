/* link: a producer's three sockets: PUSH to ingest, DEALER to control, SUB for the acks.
 *
 * Speaks the wire, decides nothing: what to send and what an ack means is the outbox's business.
 * The processor must answer the first request within a time limit; afterwards one that is away is
 * waited for. Belongs to one thread.
 */
#ifndef WEIR_PRODUCER_LINK_H
#define WEIR_PRODUCER_LINK_H

#include <stdbool.h>

#include "common/wire/control.h"
#include "common/wire/endpoint.h"
#include "common/wire/feed.h"

#define LINK_HELLO_NS_MAX 5000000000ULL

struct link; /* opaque */

/* Connects; no peer need be there yet. socket_setup was called. */
MUST_USE enum status link_open(const struct endpoints *endpoints, struct link **ret_link,
                               struct detail *ret_detail);
void link_close(struct link **link);

/* Subscribes to the acks of `source`, then takes its name over. While no request was ever answered:
 * STATUS_UNAVAILABLE after LINK_HELLO_NS_MAX, saying what to do. Later it waits as long as it
 * takes, repeating the request. STATUS_INTERRUPTED when asked to stop. */
MUST_USE enum status link_hello(struct link *link, struct slice source,
                                struct hello_reply *ret_reply, struct detail *ret_detail);

/* Asks which log the processor keeps; limits as link_hello. */
MUST_USE enum status link_log_id(struct link *link, struct log_id *ret_log_id,
                                 struct detail *ret_detail);

/* Pushes one submission; never waits. OK, FULL, IO. */
MUST_USE enum status link_push(struct link *link, struct slice submission);
/* The next ack; it borrows the link's memory until the next call. OK, END (none now), IO. What is
 * no ack is skipped. */
MUST_USE enum status link_receive_ack(struct link *link, struct ack *ret_ack);

struct link_wait {
    int fd;         /* also wait until this is readable; −1: none */
    int timeout_ms; /* −1: for ever */
    bool want_push; /* also wait until a submission can be pushed */
    bool fd_ready;  /* result */
};
/* Waits for an ack, a stop, or what `wait` asks for. OK (also when the time is over), IO. */
MUST_USE enum status link_wait(struct link *link, struct link_wait *wait);

#endif
