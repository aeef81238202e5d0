/* replay_link: a connection to the processor's control socket over which records are asked for. The
 * frames are common/wire/request's; which number is wanted is the caller's to know. Belongs to one
 * thread.
 */
#ifndef WEIR_PROJECTOR_REPLAY_LINK_H
#define WEIR_PROJECTOR_REPLAY_LINK_H

#include "common/wire/request.h"

/* A request asks for so many records at most; the processor's limit on bytes comes first. */
enum { REPLAY_RECORDS_MAX = 1000000 };

struct replay_link {
    struct socket *control; /* NULL: closed */
    struct reply reply;     /* the last one, by reply_receive */
};

/* Connects; the processor need not be there yet. */
MUST_USE enum status replay_link_init(struct replay_link *link, const char *endpoint,
                                      struct detail *ret_detail);
void replay_link_fini(struct replay_link *link);
/* Asks for records from id `from` on; as request_send. */
MUST_USE enum status replay_link_ask(struct replay_link *link, uint64_t number, enum stream stream,
                                     uint64_t from, uint64_t max);

#endif
