#include "projector/query_server.h"

#include <stdlib.h>
#include <string.h>

enum {
    QUERY_HIGH_WATER_MARK = 64, /* messages each way and peer */
    REQUESTS_PER_TURN_MAX = 16,
    ENVELOPE_FRAMES_MAX = 1 + CONTROL_ECHO_FRAMES_MAX, /* the peer's identity first */
};

struct query_server {
    struct socket *socket;
    struct frame envelope[ENVELOPE_FRAMES_MAX]; /* of the request being answered */
    uint32_t envelope_count;
    struct frame request;
    struct buffer reply;
};

enum status query_server_open(const char *endpoint, struct query_server **ret_server,
                              struct detail *ret_detail)
{
    struct query_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the query socket");
    for (uint32_t i = 0; i < ENVELOPE_FRAMES_MAX; i++)
        frame_init(&server->envelope[i]);
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
    for (uint32_t i = 0; i < ENVELOPE_FRAMES_MAX; i++)
        frame_fini(&old->envelope[i]);
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

/* A peer that is gone or does not read loses the reply; it asks again. */
static void send_to(struct query_server *server, const struct frame *envelope, uint32_t count,
                    struct slice reply)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++)
        status = socket_send(server->socket, frame_slice(&envelope[i]), true);
    if (status == STATUS_OK)
        status = socket_send(server->socket, reply, false);
    (void)status;
}

static void send_reply(struct query_server *server)
{
    if (server->reply.status != STATUS_OK) {
        buffer_clear(&server->reply);
        control_error_write(&server->reply, CONTROL_CODE_UNAVAILABLE, "no memory for the reply");
    }
    send_to(server, server->envelope, server->envelope_count, buffer_slice(&server->reply));
}

/* --- as of an earlier moment --- */

/* Who asked: the envelope of a request that is answered later. */
struct asker {
    struct query_server *server;
    struct frame envelope[ENVELOPE_FRAMES_MAX];
    uint32_t envelope_count;
};

static void answer_asker(void *owner, struct slice reply)
{
    struct asker *asker = owner;
    send_to(asker->server, asker->envelope, asker->envelope_count, reply);
    for (uint32_t i = 0; i < asker->envelope_count; i++)
        frame_fini(&asker->envelope[i]);
    free(asker);
}

/* The envelope moves to the asker. */
static struct asker *asker_new(struct query_server *server)
{
    struct asker *asker = calloc(1, sizeof *asker);
    if (asker == NULL)
        return NULL;
    asker->server = server;
    asker->envelope_count = server->envelope_count;
    memcpy(asker->envelope, server->envelope, sizeof asker->envelope);
    for (uint32_t i = 0; i < ENVELOPE_FRAMES_MAX; i++)
        frame_init(&server->envelope[i]);
    server->envelope_count = 0;
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
    control_error_write(&server->reply, CONTROL_CODE_UNAVAILABLE, busy);
    if (asker != NULL)
        answer_asker(asker, buffer_slice(&server->reply));
    return true;
}

enum taken { TAKEN_NOTHING, TAKEN_REQUEST, TAKEN_BAD_ENVELOPE };

/* Takes one message: the frames before the last are its envelope, which goes back with the reply.
 */
static enum taken take(struct query_server *server)
{
    server->envelope_count = 0;
    if (socket_receive(server->socket, &server->request) != STATUS_OK)
        return TAKEN_NOTHING;
    while (frame_more(&server->request)) {
        bool identity = server->envelope_count == 0;
        bool too_long = !identity && frame_slice(&server->request).size > CONTROL_ECHO_BYTES_MAX;
        if (too_long || server->envelope_count == ENVELOPE_FRAMES_MAX) {
            socket_discard_rest(server->socket, &server->request);
            return TAKEN_BAD_ENVELOPE;
        }
        struct frame *place = &server->envelope[server->envelope_count++];
        struct frame reused = *place;
        *place = server->request;
        server->request = reused;
        if (socket_receive(server->socket, &server->request) != STATUS_OK)
            return TAKEN_NOTHING;
    }
    return TAKEN_REQUEST;
}

void query_server_turn(struct query_server *server, struct fold *fold, const struct log_id *log_id,
                       struct asof *asof)
{
    for (int i = 0; i < REQUESTS_PER_TURN_MAX; i++) {
        enum taken taken = take(server);
        if (taken == TAKEN_NOTHING)
            return;
        buffer_clear(&server->reply);
        if (taken == TAKEN_REQUEST && ask_asof(server, fold, asof))
            continue;
        if (taken == TAKEN_BAD_ENVELOPE)
            control_error_write(&server->reply, CONTROL_CODE_BAD_REQUEST,
                                "at most 4 frames of at most 64 bytes before the request");
        else
            answer(fold, log_id, frame_slice(&server->request), &server->reply);
        send_reply(server);
    }
}
