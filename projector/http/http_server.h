/* http_server: HTTP/1.1 in the owner's thread; the only user of microhttpd.h.
 *
 * GET and HEAD, nothing else, and no bodies. An exchange is one request: the handler answers it at
 * once, or keeps it and answers later, or makes a stream of it, whose bytes it gives when they are
 * there. Limits are named below: what is beyond them gets a 4xx or is closed.
 *
 * No thread, no lock: libmicrohttpd waits in an epoll descriptor of its own, which the owner's loop
 * waits on, and does what is due in http_server_turn. While an exchange is kept nothing is read
 * from its connection.
 */
#ifndef WEIR_PROJECTOR_HTTP_HTTP_SERVER_H
#define WEIR_PROJECTOR_HTTP_HTTP_SERVER_H

#include <stdbool.h>

#include "common/base/buffer.h"

enum {
    HTTP_CONNECTIONS_MAX = 256,            /* more wait until one ends, or are closed */
    HTTP_CONNECTION_BYTES_MAX = 16 * 1024, /* request line and headers, and room to send from */
    HTTP_IDLE_S = 15,                      /* a connection that does nothing so long is closed */
    HTTP_ADDRESS_BYTES_MAX = 64,           /* "[::1]:8080" with the NUL */
};

struct http_server;
struct http_exchange;

struct http_reply {
    unsigned status;
    const char *type;         /* content type */
    const char *cache;        /* Cache-Control */
    const char *etag;         /* with its quotes; NULL: none */
    const char *allow;        /* NULL: none */
    struct slice static_body; /* lives as long as the process; else: */
    struct buffer *body;      /* taken over: the buffer is empty afterwards; NULL: static_body */
};

typedef void http_handle_fn(void *owner, struct http_exchange *exchange);
/* The exchange is over; only for one that the handler gave a `kept` (http_exchange_keep). */
typedef void http_over_fn(void *kept);

struct http_server_options {
    const char *address; /* ADDR:PORT, ADDR a literal IPv4 or [IPv6] address; port 0: any */
    http_handle_fn *handle;
    void *owner;
};

/* CONFIG for an address that is none, BUSY for a port in use, IO. */
MUST_USE enum status http_server_open(const struct http_server_options *options,
                                      struct http_server **ret_server, struct detail *ret_detail);
/* Ends all exchanges. */
void http_server_close(struct http_server **server);

/* Where it listens, with the port it got. */
const char *http_server_address(const struct http_server *server);
/* To wait on. */
int http_server_fd(const struct http_server *server);
/* When a turn is due whatever comes, in ms from now; −1: never. */
int http_server_wait_ms(struct http_server *server);
void http_server_turn(struct http_server *server);
uint32_t http_server_connections(const struct http_server *server);

/* --- one exchange --- */

/* The target as it came: "/views?x=%20". */
const char *http_exchange_target(const struct http_exchange *exchange);
/* NULL: no such header. */
const char *http_exchange_header(const struct http_exchange *exchange, const char *name);

/* Exactly one of: */
void http_exchange_answer(struct http_exchange *exchange, const struct http_reply *reply);
/* Answer later. `over` is called with `kept` when the exchange ends, answered or not. */
void http_exchange_keep(struct http_exchange *exchange, http_over_fn *over, void *kept);
/* A reply of unknown length: `pull` copies at most `max` bytes to `ret_bytes` and returns how many;
 * 0: nothing now, call http_exchange_wake when there is. */
typedef size_t http_pull_fn(void *kept, char *ret_bytes, size_t max);
void http_exchange_stream(struct http_exchange *exchange, const char *type, http_pull_fn *pull,
                          http_over_fn *over, void *kept);
void http_exchange_wake(struct http_exchange *exchange);

#endif
