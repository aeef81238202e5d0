/* replay_link: a connection to the processor's control socket, for replays and what else is asked
 * beside them: numbered requests go out, messages of up to three frames come in.
 *
 *     reply  number, header, body
 *
 * It never waits and keeps no list of what was asked: which number is wanted is the caller's to
 * know. Belongs to one thread.
 */
#ifndef WEIR_PROJECTOR_REPLAY_LINK_H
#define WEIR_PROJECTOR_REPLAY_LINK_H

#include "common/wire/control.h"
#include "common/wire/socket.h"

/* A request asks for so many records at most; the processor's limit on bytes comes first. */
enum { REPLAY_RECORDS_MAX = 1000000 };

struct replay_link;

/* Connects; the processor need not be there yet. */
MUST_USE enum status replay_link_open(const char *endpoint, struct replay_link **ret_link,
                                      struct detail *ret_detail);
void replay_link_close(struct replay_link **link);
/* To wait on, and for request_exchange while nothing else is under way. */
struct socket *replay_link_socket(struct replay_link *link);

/* UNAVAILABLE: it cannot be sent now. */
MUST_USE enum status replay_link_send(struct replay_link *link, uint64_t number,
                                      const struct control_request *request);
/* Asks for records from id `from` on. */
MUST_USE enum status replay_link_ask(struct replay_link *link, uint64_t number, enum stream stream,
                                     uint64_t from, uint64_t max);

/* One reply; END: none is there. `ret_number`: of its request; 0: none that can be read. */
MUST_USE enum status replay_link_receive(struct replay_link *link, uint64_t *ret_number);
/* Of the reply that was received last; they live until the next is. */
struct slice replay_link_header(const struct replay_link *link);
struct slice replay_link_body(const struct replay_link *link);
/* Hands the body over to `ret_body`, which owns it from then on. */
void replay_link_take_body(struct replay_link *link, struct frame *ret_body);

#endif
