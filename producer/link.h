/* link: a producer's three sockets: PUSH to ingest, DEALER to control, SUB for the acks (and for
 * other topics, where asked).
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

/* Sets libzmq up and connects; no peer need be there yet. One per process; its end takes libzmq
 * down again. CONFIG, IO, NO_MEMORY. */
MUST_USE enum status link_open(const struct endpoint_options *options, struct link **ret_link,
                               struct detail *ret_detail);
void link_close(struct link **link);

/* From now on every request has the time limit of the first: for who would rather know that the
 * processor is away than wait for it. */
void link_limit_waits(struct link *link);

/* Subscribes to the acks of `source`, then takes its name over. While no request was ever answered:
 * STATUS_UNAVAILABLE after LINK_HELLO_NS_MAX, saying what to do. Later it waits as long as it
 * takes, repeating the request. STATUS_INTERRUPTED when asked to stop. */
MUST_USE enum status link_hello(struct link *link, struct slice source,
                                struct hello_reply *ret_reply, struct detail *ret_detail);

/* What a producer wants to know of the processor. */
struct processor_status {
    struct log_id log_id;
    uint64_t now_ns;      /* log time, and … */
    uint64_t boottime_ns; /* … its CLOCK_BOOTTIME at the same moment; 0: it does not say */
};
/* Asks for it; limits as link_hello. */
MUST_USE enum status link_status(struct link *link, struct processor_status *ret_status,
                                 struct detail *ret_detail);

/* Any request; limits as link_hello. The reply borrows the link's memory until the next request;
 * the caller reads it. */
struct link_reply {
    struct slice reply;
    struct slice body; /* records; size 0: none */
};
MUST_USE enum status link_ask(struct link *link, const struct control_request *request,
                              struct link_reply *ret_reply, struct detail *ret_detail);

/* Pushes one submission; never waits. OK, FULL, IO. */
MUST_USE enum status link_push(struct link *link, struct slice submission);
/* Pushes one frame of a message that has more of them behind it, which no good submission has. */
MUST_USE enum status link_push_more(struct link *link, struct slice frame);

/* Subscribes to one more topic of the feed. */
MUST_USE enum status link_subscribe(struct link *link, const char *topic);
/* The next message of any topic subscribed to; it borrows the link's memory until the next one.
 * OK, END (none now), IO. */
struct link_message {
    struct slice topic;
    struct slice header;
    struct slice body; /* size 0: none */
};
MUST_USE enum status link_receive(struct link *link, struct link_message *ret_message);

struct link_wait {
    int fd;         /* also wait until this is readable; −1: none */
    int timeout_ms; /* −1: for ever */
    bool want_push; /* also wait until a submission can be pushed */
    bool fd_ready;  /* result */
};
/* Waits for a message, a stop, or what `wait` asks for. OK (also when the time is over), IO. */
MUST_USE enum status link_wait(struct link *link, struct link_wait *wait);

#endif
