/* query_server: the ROUTER socket of a projector: takes requests, sends what `answer` says.
 *
 * Belongs to one thread. Requests are answered between two pieces of the log, so a reply shows one
 * position. Replies to one peer may come in another order than its requests: the frames before a
 * request, which come back with its reply, tell them apart.
 */
#ifndef WEIR_PROJECTOR_QUERY_SERVER_H
#define WEIR_PROJECTOR_QUERY_SERVER_H

#include "common/wire/socket.h"
#include "projector/asof.h"
#include "projector/core/answer.h"

struct query_server;

/* Binds. IO, BUSY, NO_MEMORY. */
MUST_USE enum status query_server_open(const char *endpoint, struct query_server **ret_server,
                                       struct detail *ret_detail);
void query_server_close(struct query_server **server);
/* To wait on. */
struct socket *query_server_socket(struct query_server *server);

/* Answers the requests that are waiting, a bounded number of them. Those as of an earlier moment go
 * to `asof`, which answers later; so it is closed before the server. */
void query_server_turn(struct query_server *server, struct fold *fold, const struct log_id *log_id,
                       struct asof *asof);

#endif
