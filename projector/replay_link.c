#include "projector/replay_link.h"

#include <stdlib.h>

#include "common/event/codec.h"

enum {
    HIGH_WATER_MARK = 8,
    REPLY_BYTES_MAX = 4 * 1024 * 1024, /* a replay is about 1 MiB */
    REQUEST_BYTES_MAX = 64,
    NUMBER_BYTES = 8,
};

struct replay_link {
    struct socket *socket;
    struct frame number, header, body; /* of the reply received last */
    struct buffer request;
};

enum status replay_link_open(const char *endpoint, struct replay_link **ret_link,
                             struct detail *ret_detail)
{
    struct replay_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for a connection");
    frame_init(&link->number);
    frame_init(&link->header);
    frame_init(&link->body);
    buffer_init(&link->request, REQUEST_BYTES_MAX);
    struct socket_options options = {.kind = SOCKET_DEALER,
                                     .endpoint = endpoint,
                                     .high_water_mark = HIGH_WATER_MARK,
                                     .message_bytes_max = REPLY_BYTES_MAX};
    enum status status = socket_open(&options, &link->socket, ret_detail);
    if (status == STATUS_OK)
        *ret_link = link;
    else
        replay_link_close(&link);
    return status;
}

void replay_link_close(struct replay_link **link)
{
    struct replay_link *old = *link;
    if (old == NULL)
        return;
    frame_fini(&old->number);
    frame_fini(&old->header);
    frame_fini(&old->body);
    buffer_fini(&old->request);
    socket_close(&old->socket);
    free(old);
    *link = NULL;
}

struct socket *replay_link_socket(struct replay_link *link)
{
    return link->socket;
}

enum status replay_link_send(struct replay_link *link, uint64_t number,
                             const struct control_request *request)
{
    uint8_t bytes[NUMBER_BYTES];
    codec_put_be(bytes, number, NUMBER_BYTES);
    buffer_clear(&link->request);
    control_request_write(&link->request, request);
    if (link->request.status != STATUS_OK ||
        socket_send(link->socket, (struct slice){bytes, NUMBER_BYTES}, true) != STATUS_OK ||
        socket_send(link->socket, buffer_slice(&link->request), false) != STATUS_OK)
        return STATUS_UNAVAILABLE;
    return STATUS_OK;
}

enum status replay_link_ask(struct replay_link *link, uint64_t number, enum stream stream,
                            uint64_t from, uint64_t max)
{
    struct control_request request = {.verb = CONTROL_REPLAY,
                                      .stream = stream,
                                      .from = from,
                                      .max = max < REPLAY_RECORDS_MAX ? max : REPLAY_RECORDS_MAX};
    return replay_link_send(link, number, &request);
}

static uint64_t number_of(struct slice frame)
{
    uint64_t number = 0;
    for (size_t i = 0; frame.size == NUMBER_BYTES && i < NUMBER_BYTES; i++)
        number = number << 8 | frame.data[i];
    return number;
}

enum status replay_link_receive(struct replay_link *link, uint64_t *ret_number)
{
    struct frame *const frames[] = {&link->number, &link->header, &link->body};
    enum status status = socket_receive_message(link->socket, frames, 3);
    if (status == STATUS_OK)
        *ret_number = number_of(frame_slice(&link->number));
    return status;
}

struct slice replay_link_header(const struct replay_link *link)
{
    return frame_slice(&link->header);
}

struct slice replay_link_body(const struct replay_link *link)
{
    return frame_slice(&link->body);
}

void replay_link_take_body(struct replay_link *link, struct frame *ret_body)
{
    frame_move(ret_body, &link->body);
}
