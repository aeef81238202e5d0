#include "projector/replay_link.h"

enum {
    HIGH_WATER_MARK = 8,
    REPLY_BYTES_MAX = 4 * 1024 * 1024, /* a replay is about 1 MiB */
};

enum status replay_link_init(struct replay_link *link, const char *endpoint,
                             struct detail *ret_detail)
{
    struct socket_options options = {.kind = SOCKET_DEALER,
                                     .endpoint = endpoint,
                                     .high_water_mark = HIGH_WATER_MARK,
                                     .message_bytes_max = REPLY_BYTES_MAX};
    link->control = NULL;
    reply_init(&link->reply);
    return socket_open(&options, &link->control, ret_detail);
}

void replay_link_fini(struct replay_link *link)
{
    reply_fini(&link->reply);
    socket_close(&link->control);
}

enum status replay_link_ask(struct replay_link *link, uint64_t number, enum stream stream,
                            uint64_t from, uint64_t max)
{
    struct control_request request = {.verb = CONTROL_REPLAY,
                                      .stream = stream,
                                      .from = from,
                                      .max = max < REPLAY_RECORDS_MAX ? max : REPLAY_RECORDS_MAX};
    return request_send(link->control, number, &request);
}
