/* watch: a subscription of a producer's command that has certainly begun.
 *
 * A subscriber misses what is published before its subscription arrives. So opening a watch waits
 * for a heartbeat: whatever is published after that reaches it, unless its queue overflows.
 * Belongs to one thread.
 */
#ifndef WEIR_PRODUCER_WATCH_H
#define WEIR_PRODUCER_WATCH_H

#include "common/wire/socket.h"

#define WATCH_JOIN_NS_MAX 5000000000ULL

struct watch; /* opaque */

/* Subscribes to one topic (a prefix) at the `events` endpoint; socket_setup was called. UNAVAILABLE
 * when there is no heartbeat for WATCH_JOIN_NS_MAX; INTERRUPTED; IO. */
MUST_USE enum status watch_open(const char *endpoint, const char *topic, struct watch **ret_watch,
                                struct detail *ret_detail);
void watch_close(struct watch **watch);

/* For waiting. */
struct socket *watch_socket(const struct watch *watch);

struct watch_message {
    struct slice topic;
    struct slice header;
    struct slice body; /* size 0: the message has none */
};
/* The next message; it borrows the watch's memory until the next call. OK, END (none now), IO. */
MUST_USE enum status watch_next(struct watch *watch, struct watch_message *ret_message);

#endif
