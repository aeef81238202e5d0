#include "common/wire/request.h"

#include "common/event/codec.h"

enum { NUMBER_BYTES = 8 };

enum status request_send(struct socket *socket, uint64_t number,
                         const struct control_request *request)
{
    uint8_t head[NUMBER_BYTES];
    struct buffer bytes;
    buffer_init(&bytes, CONTROL_MESSAGE_BYTES_MAX);
    codec_put_be(head, number, sizeof head);
    control_request_write(&bytes, request);
    enum status status = bytes.status;
    if (status == STATUS_OK)
        status = socket_send(socket, (struct slice){head, sizeof head}, true);
    if (status == STATUS_OK)
        status = socket_send(socket, buffer_slice(&bytes), false);
    buffer_fini(&bytes);
    return status;
}

void reply_init(struct reply *reply)
{
    reply->number = 0;
    frame_init(&reply->frame);
    frame_init(&reply->body);
}

void reply_fini(struct reply *reply)
{
    frame_fini(&reply->frame);
    frame_fini(&reply->body);
}

static uint64_t number_read(struct slice frame)
{
    if (frame.size != NUMBER_BYTES)
        return 0;
    uint64_t number = 0;
    for (int i = 0; i < NUMBER_BYTES; i++)
        number = number << 8 | frame.data[i];
    return number;
}

enum status reply_receive(struct socket *socket, struct reply *ret_reply)
{
    struct frame head;
    frame_init(&head);
    struct frame *const frames[] = {&head, &ret_reply->frame, &ret_reply->body};
    enum status status = socket_receive_message(socket, frames, 3);
    ret_reply->number = status == STATUS_OK ? number_read(frame_slice(&head)) : 0;
    frame_fini(&head);
    return status;
}

enum status reply_await(struct socket *socket, uint64_t number, uint64_t limit_ns, int stop_fd,
                        struct reply *ret_reply)
{
    for (;;) {
        enum status status = reply_receive(socket, ret_reply);
        if (status == STATUS_OK && ret_reply->number == number)
            return status;
        if (status != STATUS_OK && status != STATUS_END)
            return status;
        uint64_t now_ns = clock_boot_ns();
        if (now_ns >= limit_ns)
            return STATUS_TIMED_OUT;
        struct socket_wait items[] = {{.fd = stop_fd}, {.socket = socket}};
        status = socket_wait(items, 2, (int)((limit_ns - now_ns) / NS_PER_MS) + 1);
        if (items[0].ready)
            return STATUS_INTERRUPTED;
        if (status == STATUS_IO)
            return status;
    }
}

enum status request_exchange(struct socket *socket, const struct control_request *request,
                             int stop_fd, struct frame *ret_reply, struct detail *ret_detail)
{
    struct reply reply;
    reply_init(&reply);
    uint64_t number = clock_boot_ns(); /* no request before had it */
    enum status status = request_send(socket, number, request);
    if (status != STATUS_OK)
        status = detail_set(ret_detail, status, "cannot send a request: %s", status_text(status));
    else
        status = reply_await(socket, number, number + REQUEST_LIMIT_NS, stop_fd, &reply);
    if (status == STATUS_TIMED_OUT)
        status = detail_set(ret_detail, STATUS_UNAVAILABLE, "no answer within %llu s",
                            REQUEST_LIMIT_NS / NS_PER_S);
    else if (status == STATUS_INTERRUPTED)
        status = detail_set(ret_detail, status, "asked to stop");
    if (status == STATUS_OK)
        frame_move(ret_reply, &reply.frame);
    reply_fini(&reply);
    return status;
}
