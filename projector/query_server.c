#include "projector/query_server.h"

#include <stdlib.h>

#include "common/wire/envelope.h"

enum {
    QUERY_HIGH_WATER_MARK = 64, /* messages each way and peer */
    REQUESTS_PER_TURN_MAX = 16,
};

struct query_server {
    struct socket *socket;
    struct envelope envelope; /* of the request being answered */
    struct frame request;
    struct buffer reply;
};

enum status query_server_open(const char *endpoint, struct query_server **ret_server,
                              struct detail *ret_detail)
{
    struct query_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the query socket");
    frame_init(&server->request);
    buffer_init(&server->reply, ANSWER_BYTES_MAX);
    struct socket_options options = {.kind = SOCKET_ROUTER,
                                     .bind = true,
                                     .endpoint = endpoint,
                                     .high_water_mark = QUERY_HIGH_WATER_MARK,
                                     .message_bytes_max = CONTROL_MESSAGE_BYTES_MAX};
    enum status status = socket_open(&options, &server->socket, ret_detail);
    if (status == STATUS_OK)
        *ret_server = server;
    else
        query_server_close(&server);
    return status;
}

void query_server_close(struct query_server **server)
{
    struct query_server *old = *server;
    if (old == NULL)
        return;
    frame_fini(&old->request);
    buffer_fini(&old->reply);
    socket_close(&old->socket);
    free(old);
    *server = NULL;
}

struct socket *query_server_socket(struct query_server *server)
{
    return server->socket;
}

static void send_reply(struct query_server *server)
{
    if (server->reply.status != STATUS_OK) {
        buffer_clear(&server->reply);
        control_error_write(&server->reply, CONTROL_CODE_UNAVAILABLE, "no memory for the reply");
    }
    (void)!envelope_send(server->socket, &server->envelope, buffer_slice(&server->reply), NULL);
}

/* --- as of an earlier moment --- */

/* Who asked: the envelope of a request that is answered later. */
struct asker {
    struct socket *socket;
    struct envelope envelope;
};

static void answer_asker(void *owner, struct slice reply)
{
    struct asker *asker = owner;
    (void)!envelope_send(asker->socket, &asker->envelope, reply, NULL);
    free(asker);
}

static struct asker *asker_new(const struct query_server *server)
{
    struct asker *asker = malloc(sizeof *asker);
    if (asker == NULL)
        return NULL;
    asker->socket = server->socket;
    asker->envelope = server->envelope;
    return asker;
}

/* Is the request one for an earlier moment of a view that is here? Then it was taken. */
static bool ask_asof(struct query_server *server, const struct fold *fold, struct asof *asof)
{
    struct control_request asked;
    struct slice text;
    enum control_code code;
    static const char busy[] = "too many questions for earlier moments wait: ask again";
    if (control_request_read(frame_slice(&server->request), &asked, &code, NULL) != STATUS_OK ||
        asked.verb != CONTROL_VIEW || asked.at == AT_NOW ||
        !fold_view_text(fold, asked.view, &text))
        return false;
    struct asof_question question = {.view = asked.view,
                                     .text = text,
                                     .at = asked.at,
                                     .event_id = asked.at == AT_EVENT_ID ? asked.at_event_id : 0,
                                     .time_ns = asked.at == AT_TIME ? asked.time_ns : 0};
    struct asker *asker = asker_new(server);
    if (asker != NULL && asof_ask(asof, &question, answer_asker, asker) == STATUS_OK)
        return true;
    free(asker);
    control_error_write(&server->reply, CONTROL_CODE_UNAVAILABLE, busy);
    send_reply(server);
    return true;
}

void query_server_turn(struct query_server *server, struct fold *fold, const struct log_id *log_id,
                       struct asof *asof)
{
    for (int i = 0; i < REQUESTS_PER_TURN_MAX; i++) {
        enum status status = envelope_receive(server->socket, &server->envelope, &server->request);
        if (status != STATUS_OK && status != STATUS_TOO_LARGE)
            return;
        buffer_clear(&server->reply);
        if (status == STATUS_OK && ask_asof(server, fold, asof))
            continue;
        if (status == STATUS_TOO_LARGE)
            control_error_write(&server->reply, CONTROL_CODE_BAD_REQUEST, envelope_limits_text);
        else
            answer(fold, log_id, frame_slice(&server->request), &server->reply);
        send_reply(server);
    }
}
