#include "projector/query_server.h"

#include <stdlib.h>

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
static void send_reply(struct query_server *server)
{
    if (server->reply.status != STATUS_OK) {
        buffer_clear(&server->reply);
        control_error_write(&server->reply, CONTROL_CODE_UNAVAILABLE, "no memory for the reply");
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < server->envelope_count && status == STATUS_OK; i++)
        status = socket_send(server->socket, frame_slice(&server->envelope[i]), true);
    if (status == STATUS_OK)
        status = socket_send(server->socket, buffer_slice(&server->reply), false);
    (void)status;
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

void query_server_turn(struct query_server *server, struct fold *fold, const struct log_id *log_id)
{
    for (int i = 0; i < REQUESTS_PER_TURN_MAX; i++) {
        enum taken taken = take(server);
        if (taken == TAKEN_NOTHING)
            return;
        buffer_clear(&server->reply);
        if (taken == TAKEN_BAD_ENVELOPE)
            control_error_write(&server->reply, CONTROL_CODE_BAD_REQUEST,
                                "at most 4 frames of at most 64 bytes before the request");
        else
            answer(fold, log_id, frame_slice(&server->request), &server->reply);
        send_reply(server);
    }
}
