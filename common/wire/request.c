#include "common/wire/request.h"

enum { REQUEST_BYTES_MAX = 1024 };

static enum status send_request(struct socket *socket, const struct control_request *request,
                                struct detail *ret_detail)
{
    struct buffer bytes;
    buffer_init(&bytes, REQUEST_BYTES_MAX);
    control_request_write(&bytes, request);
    enum status status = bytes.status;
    if (status == STATUS_OK)
        status = socket_send(socket, buffer_slice(&bytes), false);
    if (status != STATUS_OK)
        status = detail_set(ret_detail, status, "cannot send a request: %s", status_text(status));
    buffer_fini(&bytes);
    return status;
}

enum status request_exchange(struct socket *socket, const struct control_request *request,
                             int stop_fd, struct frame *ret_reply, struct detail *ret_detail)
{
    enum status status = send_request(socket, request, ret_detail);
    uint64_t limit_ns = clock_boot_ns() + REQUEST_LIMIT_NS;
    while (status == STATUS_OK) {
        uint64_t now_ns = clock_boot_ns();
        if (now_ns >= limit_ns)
            return detail_set(ret_detail, STATUS_UNAVAILABLE, "no answer within %llu s",
                              REQUEST_LIMIT_NS / NS_PER_S);
        struct socket_wait items[] = {{.fd = stop_fd}, {.socket = socket}};
        status = socket_wait(items, 2, (int)((limit_ns - now_ns) / NS_PER_MS) + 1);
        if (items[0].ready)
            return detail_set(ret_detail, STATUS_INTERRUPTED, "asked to stop");
        if (status == STATUS_OK && items[1].ready)
            break;
        if (status == STATUS_TIMED_OUT || status == STATUS_INTERRUPTED)
            status = STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
    status = socket_receive(socket, ret_reply);
    if (status == STATUS_OK)
        socket_discard_rest(socket, ret_reply);
    return status;
}
