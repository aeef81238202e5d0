#include "projector/http/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "projector/http/http_request.h"

#define ERROR_TYPE "application/json"
/* Everything a page may load is ours; nothing may frame it. */
#define CONTENT_SECURITY_POLICY                                                                    \
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

enum {
    BACKLOG = 256,
    STREAM_BLOCK_BYTES = 16 * 1024,
    PORT_MAX = 65535,
};

struct http_exchange {
    struct http_server *server;
    struct MHD_Connection *connection;   /* NULL until its headers are read */
    struct http_exchange *next, **place; /* among those of the server */
    struct MHD_Response *response;       /* to be queued; NULL: none yet */
    unsigned status;
    bool handled, suspended;
    http_pull_fn *pull; /* NULL: no stream */
    http_over_fn *over; /* NULL: nothing was kept */
    void *kept;
    char target[HTTP_TARGET_BYTES_MAX + 2]; /* one byte more than is allowed, so that it shows */
};

struct http_server {
    struct MHD_Daemon *daemon;
    http_handle_fn *handle;
    void *owner;
    struct http_exchange *exchanges;
    bool closing;
    char address[HTTP_ADDRESS_BYTES_MAX];
};

/* --- responses --- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (response != NULL && value != NULL)
        (void)MHD_add_response_header(response, name, value);
}

static void add_common_headers(struct MHD_Response *response, const char *type, const char *cache)
{
    add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, cache);
    add_header(response, "Content-Security-Policy", CONTENT_SECURITY_POLICY);
    add_header(response, "X-Content-Type-Options", "nosniff");
    add_header(response, "Referrer-Policy", "no-referrer");
}

/* Takes over the reply's buffer. NULL: no memory. */
static struct MHD_Response *response_of(const struct http_reply *reply)
{
    struct MHD_Response *response;
    if (reply->body != NULL && reply->body->size > 0) {
        response = MHD_create_response_from_buffer(reply->body->size, reply->body->data,
                                                   MHD_RESPMEM_MUST_FREE);
        if (response != NULL)
            buffer_init(reply->body, reply->body->bytes_max);
    } else {
        union {
            const uint8_t *constant;
            void *bytes;
        } body = {.constant = reply->static_body.data}; /* the library only reads it */
        response = MHD_create_response_from_buffer(reply->static_body.size, body.bytes,
                                                   MHD_RESPMEM_PERSISTENT);
    }
    if (reply->body != NULL)
        buffer_fini(reply->body);
    add_common_headers(response, reply->type, reply->cache);
    add_header(response, MHD_HTTP_HEADER_ETAG, reply->etag);
    add_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
    return response;
}

/* --- exchanges --- */

static void *begin(void *cls, const char *target, struct MHD_Connection *connection)
{
    (void)connection;
    struct http_server *server = cls;
    struct http_exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL)
        return NULL;
    exchange->server = server;
    snprintf(exchange->target, sizeof exchange->target, "%s", target);
    exchange->next = server->exchanges;
    exchange->place = &server->exchanges;
    if (exchange->next != NULL)
        exchange->next->place = &exchange->next;
    server->exchanges = exchange;
    return exchange;
}

static void end(void *cls, struct MHD_Connection *connection, void **context,
                enum MHD_RequestTerminationCode code)
{
    (void)cls, (void)connection, (void)code;
    struct http_exchange *exchange = *context;
    if (exchange == NULL)
        return;
    *context = NULL;
    *exchange->place = exchange->next;
    if (exchange->next != NULL)
        exchange->next->place = exchange->place;
    if (exchange->over != NULL)
        exchange->over(exchange->kept);
    if (exchange->response != NULL)
        MHD_destroy_response(exchange->response);
    free(exchange);
}

static enum MHD_Result queue(struct http_exchange *exchange)
{
    struct MHD_Response *response = exchange->response;
    exchange->response = NULL;
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result = MHD_queue_response(exchange->connection, exchange->status, response);
    MHD_destroy_response(response);
    return result;
}

static bool has_body(const struct http_exchange *exchange)
{
    const char *length = http_exchange_header(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return (length != NULL && strcmp(length, "0") != 0) ||
           http_exchange_header(exchange, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

static void refuse(struct http_exchange *exchange, unsigned status, const char *json,
                   const char *allow)
{
    struct http_reply reply = {.status = status,
                               .type = ERROR_TYPE,
                               .cache = "no-store",
                               .allow = allow,
                               .static_body = slice_of_text(json)};
    http_exchange_answer(exchange, &reply);
}

/* The first call, with the headers alone: what has no business here is refused before its body is
 * read, and the connection closed. */
static enum MHD_Result check(struct http_exchange *exchange, const char *method)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        refuse(exchange, MHD_HTTP_METHOD_NOT_ALLOWED,
               "{\"error\":\"only GET and HEAD: nothing can be written here\"}\n", "GET, HEAD");
    else if (has_body(exchange))
        refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "{\"error\":\"a request here has no body\"}\n",
               NULL);
    else
        return MHD_YES;
    exchange->handled = true;
    return queue(exchange);
}

/* Called for the headers, then for the whole request, then again when a kept one is resumed. */
static enum MHD_Result serve(void *cls, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *upload_data,
                             size_t *upload_data_size, void **context)
{
    (void)url, (void)version, (void)upload_data;
    struct http_server *server = cls;
    struct http_exchange *exchange = *context;
    if (exchange == NULL || server->closing)
        return MHD_NO;
    if (exchange->connection == NULL) {
        exchange->connection = connection;
        return check(exchange, method);
    }
    *upload_data_size = 0;
    if (!exchange->handled) {
        exchange->handled = true;
        server->handle(server->owner, exchange);
    }
    if (exchange->response != NULL)
        return queue(exchange);
    if (exchange->over == NULL)
        return MHD_NO; /* no memory for the answer */
    exchange->suspended = true;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

const char *http_exchange_target(const struct http_exchange *exchange)
{
    return exchange->target;
}

const char *http_exchange_header(const struct http_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

void http_exchange_wake(struct http_exchange *exchange)
{
    if (!exchange->suspended)
        return;
    exchange->suspended = false;
    MHD_resume_connection(exchange->connection);
}

void http_exchange_answer(struct http_exchange *exchange, const struct http_reply *reply)
{
    exchange->status = reply->status;
    exchange->response = response_of(reply);
    http_exchange_wake(exchange);
}

void http_exchange_keep(struct http_exchange *exchange, http_over_fn *over, void *kept)
{
    exchange->over = over;
    exchange->kept = kept;
}

/* --- streams --- */

static ssize_t pull(void *cls, uint64_t position, char *bytes, size_t max)
{
    (void)position;
    struct http_exchange *exchange = cls;
    if (exchange->server->closing)
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t size = exchange->pull(exchange->kept, bytes, max);
    if (size == 0) {
        exchange->suspended = true;
        MHD_suspend_connection(exchange->connection);
    }
    return (ssize_t)size;
}

void http_exchange_stream(struct http_exchange *exchange, const char *type, http_pull_fn *pull_fn,
                          http_over_fn *over, void *kept)
{
    exchange->pull = pull_fn;
    exchange->over = over;
    exchange->kept = kept;
    exchange->status = MHD_HTTP_OK;
    exchange->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES,
                                                           pull, exchange, NULL);
    add_common_headers(exchange->response, type, "no-store");
    add_header(exchange->response, "X-Accel-Buffering", "no"); /* nginx: pass it on at once */
}

/* --- the server --- */

/* "ADDR:PORT" or "[ADDR]:PORT". */
static enum status parse_address(const char *text, struct sockaddr_storage *ret_address,
                                 socklen_t *ret_size, struct detail *ret_detail)
{
    char host[HTTP_ADDRESS_BYTES_MAX];
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const char *colon = strrchr(text, ':');
    size_t host_bytes = colon != NULL ? (size_t)(colon - text) : 0;
    bool bracketed = host_bytes >= 2 && text[0] == '[' && text[host_bytes - 1] == ']';
    size_t inner = bracketed ? host_bytes - 2 : host_bytes;
    char *end = NULL;
    unsigned long port = 0;
    if (colon != NULL && colon[1] >= '0' && colon[1] <= '9')
        port = strtoul(colon + 1, &end, 10);
    if (end == NULL || *end != '\0' || port > PORT_MAX || inner >= sizeof host)
        goto bad;
    snprintf(host, sizeof host, "%.*s", (int)inner, text + (bracketed ? 1 : 0));
    v4.sin_port = v6.sin6_port = htons((uint16_t)port);
    if (!bracketed && inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(ret_address, &v4, sizeof v4);
        *ret_size = sizeof v4;
        return STATUS_OK;
    }
    if (bracketed && inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(ret_address, &v6, sizeof v6);
        *ret_size = sizeof v6;
        return STATUS_OK;
    }
bad:
    return detail_set(ret_detail, STATUS_CONFIG,
                      "--http: '%s' is no ADDR:PORT with a numeric address, such as "
                      "127.0.0.1:8080 or [::1]:8080",
                      text);
}

static enum status listen_on(const char *text, int *ret_fd, struct detail *ret_detail)
{
    struct sockaddr_storage address;
    socklen_t size = 0;
    int on = 1;
    enum status status = parse_address(text, &address, &size, ret_detail);
    if (status != STATUS_OK)
        return status;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (const struct sockaddr *)&address, size) == 0 && listen(fd, BACKLOG) == 0) {
        *ret_fd = fd;
        return STATUS_OK;
    }
    status = errno == EADDRINUSE ? STATUS_BUSY : STATUS_IO;
    status =
        detail_set(ret_detail, status, "--http: cannot listen on %s: %s", text, strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

static void note_address(struct http_server *server, int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v6 = {.sin6_family = AF_INET6}};
    socklen_t size = sizeof address;
    char host[INET6_ADDRSTRLEN] = "";
    (void)getsockname(fd, &address.any, &size);
    bool is_v6 = address.any.sa_family == AF_INET6;
    const void *binary = is_v6 ? (const void *)&address.v6.sin6_addr : &address.v4.sin_addr;
    (void)inet_ntop(address.any.sa_family, binary, host, sizeof host);
    snprintf(server->address, sizeof server->address, is_v6 ? "[%s]:%u" : "%s:%u", host,
             (unsigned)ntohs(is_v6 ? address.v6.sin6_port : address.v4.sin_port));
}

static struct MHD_Daemon *start_daemon(struct http_server *server, int fd)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, serve, server,
        MHD_OPTION_LISTEN_SOCKET, fd,                                          /* taken over */
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,           /* all peers */
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BYTES_MAX, /* each */
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S,                  /* s */
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_URI_LOG_CALLBACK, begin, server, /* the target before it is decoded */
        MHD_OPTION_NOTIFY_COMPLETED, end, server, MHD_OPTION_END);
}

enum status http_server_open(const struct http_server_options *options,
                             struct http_server **ret_server, struct detail *ret_detail)
{
    int fd = -1;
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for HTTP");
    server->handle = options->handle;
    server->owner = options->owner;
    enum status status = listen_on(options->address, &fd, ret_detail);
    if (status == STATUS_OK) {
        note_address(server, fd);
        server->daemon = start_daemon(server, fd);
        if (server->daemon == NULL) {
            close(fd);
            status = detail_set(ret_detail, STATUS_IO, "cannot start HTTP on %s", server->address);
        }
    }
    if (status == STATUS_OK)
        *ret_server = server;
    else
        free(server);
    return status;
}

void http_server_close(struct http_server **server)
{
    struct http_server *old = *server;
    if (old == NULL)
        return;
    old->closing = true;
    for (struct http_exchange *exchange = old->exchanges; exchange != NULL;
         exchange = exchange->next)
        http_exchange_wake(exchange);
    (void)MHD_run(old->daemon); /* a daemon must not be stopped with suspended connections */
    MHD_stop_daemon(old->daemon);
    free(old);
    *server = NULL;
}

const char *http_server_address(const struct http_server *server)
{
    return server->address;
}

int http_server_fd(const struct http_server *server)
{
    return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int http_server_wait_ms(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (MHD_get_timeout(server->daemon, &wait_ms) != MHD_YES)
        return -1;
    return wait_ms < (MHD_UNSIGNED_LONG_LONG)HTTP_IDLE_S * 1000 ? (int)wait_ms : HTTP_IDLE_S * 1000;
}

void http_server_turn(struct http_server *server)
{
    (void)MHD_run(server->daemon);
}

uint32_t http_server_connections(const struct http_server *server)
{
    return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
        ->num_connections;
}
