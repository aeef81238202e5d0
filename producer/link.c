#include "producer/link.h"

#include <stdlib.h>

#include "common/app/lifecycle.h"
#include "common/base/clock.h"
#include "common/base/logger.h"
#include "common/event/codec.h"
#include "common/event/event.h"
#include "common/wire/socket.h"
#include "common/wire/submission.h"

enum {
    PUSH_HIGH_WATER_MARK = 64,    /* submissions */
    ACK_HIGH_WATER_MARK = 100000, /* messages */
    REQUEST_HIGH_WATER_MARK = 16, /* messages */
    REQUEST_REPEAT_MS = 1000,
    ATTEMPTS_TO_SAY = 2,
    STOPPING_WAIT_MS_MAX = 100, /* so that a second signal is noticed */
    REPLY_BYTES_MAX = 4 * 1024 * 1024,
    REQUEST_BYTES_MAX = 1024,
};

struct link {
    struct endpoints endpoints;
    struct socket *ingest;
    struct socket *control;
    struct socket *events;
    struct frame header; /* of the ack that the caller holds */
    struct frame scratch;
    uint64_t request_number;
    bool answered; /* the processor has answered once */
};

static enum status open_socket(struct link *link, enum socket_kind kind, struct detail *ret_detail)
{
    struct socket_options options = {.kind = kind, .linger_ms = 0};
    struct socket **socket = &link->events;
    switch (kind) {
    case SOCKET_PUSH:
        socket = &link->ingest;
        options.endpoint = link->endpoints.ingest;
        options.high_water_mark = PUSH_HIGH_WATER_MARK;
        options.message_bytes_max = INGEST_MESSAGE_BYTES_MAX;
        break;
    case SOCKET_DEALER:
        socket = &link->control;
        options.endpoint = link->endpoints.control;
        options.high_water_mark = REQUEST_HIGH_WATER_MARK;
        options.message_bytes_max = REPLY_BYTES_MAX;
        break;
    default:
        options.endpoint = link->endpoints.events;
        options.high_water_mark = ACK_HIGH_WATER_MARK;
        options.message_bytes_max = FEED_MESSAGE_BYTES_MAX;
    }
    return socket_open(&options, socket, ret_detail);
}

enum status link_open(const struct endpoints *endpoints, struct link **ret_link,
                      struct detail *ret_detail)
{
    struct link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the sockets");
    link->endpoints = *endpoints;
    frame_init(&link->header);
    frame_init(&link->scratch);
    enum status status = open_socket(link, SOCKET_SUB, ret_detail);
    if (status == STATUS_OK)
        status = open_socket(link, SOCKET_DEALER, ret_detail);
    if (status == STATUS_OK)
        status = open_socket(link, SOCKET_PUSH, ret_detail);
    if (status == STATUS_OK)
        *ret_link = link;
    else
        link_close(&link);
    return status;
}

void link_close(struct link **link)
{
    struct link *l = *link;
    if (l == NULL)
        return;
    frame_fini(&l->header);
    frame_fini(&l->scratch);
    socket_close(&l->ingest);
    socket_close(&l->control);
    socket_close(&l->events);
    free(l);
    *link = NULL;
}

/* Requests. Each has a number in a frame of its own, which comes back with the reply. */

static enum status send_request(struct link *link, struct slice request)
{
    uint8_t number[8];
    link->request_number++;
    codec_put_be(number, link->request_number, sizeof number);
    enum status status = socket_send(link->control, (struct slice){number, sizeof number}, true);
    if (status == STATUS_OK)
        status = socket_send(link->control, request, false);
    /* A full queue only means that the processor is away: the request is repeated. */
    return status == STATUS_FULL ? STATUS_OK : status;
}

/* Reads replies that are there until the one to the newest request; END: not there yet. */
static enum status receive_reply(struct link *link, struct slice *ret_reply)
{
    uint8_t number[8];
    codec_put_be(number, link->request_number, sizeof number);
    for (;;) {
        enum status status = socket_receive(link->control, &link->scratch);
        if (status != STATUS_OK)
            return status;
        bool ours = slice_equal(frame_slice(&link->scratch), (struct slice){number, sizeof number});
        if (!ours || !frame_more(&link->scratch)) {
            socket_discard_rest(link->control, &link->scratch);
            continue;
        }
        status = socket_receive(link->control, &link->scratch);
        if (status != STATUS_OK)
            return status;
        bool whole = !frame_more(&link->scratch);
        *ret_reply = frame_slice(&link->scratch);
        if (whole)
            return STATUS_OK;
        socket_discard_rest(link->control, &link->scratch);
    }
}

/* Waits for the reply to the newest request. TIMED_OUT, INTERRUPTED, IO. */
static enum status await_reply(struct link *link, struct slice *ret_reply)
{
    uint64_t deadline_ns = clock_boot_ns() + REQUEST_REPEAT_MS * NS_PER_MS;
    for (;;) {
        enum status status = receive_reply(link, ret_reply);
        if (status != STATUS_END)
            return status;
        uint64_t now_ns = clock_boot_ns();
        if (now_ns >= deadline_ns)
            return STATUS_TIMED_OUT;
        struct socket_wait items[] = {
            {.socket = link->control, .fd = -1},
            {.socket = NULL, .fd = lifecycle_fd()},
        };
        int timeout_ms = (int)((deadline_ns - now_ns) / NS_PER_MS) + 1;
        status = socket_wait(items, 2, timeout_ms);
        if (lifecycle_stopping())
            return STATUS_INTERRUPTED;
        if (status == STATUS_IO)
            return status;
    }
}

static enum status nobody_answers(const struct link *link, struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_UNAVAILABLE,
                      "no processor answers at %s: start one with 'weir-processor run --store DIR'",
                      link->endpoints.control);
}

/* Repeats the request until it is answered, or, before the first answer ever, for a limited time.
 * The caller reads the reply. */
static enum status ask(struct link *link, struct slice request, struct slice *ret_reply,
                       struct detail *ret_detail)
{
    uint64_t limit_ns = clock_boot_ns() + LINK_HELLO_NS_MAX;
    for (unsigned attempt = 0;; attempt++) {
        if (attempt == ATTEMPTS_TO_SAY)
            log_info("waiting for the processor", "control=%s", link->endpoints.control);
        enum status status = send_request(link, request);
        if (status == STATUS_OK)
            status = await_reply(link, ret_reply);
        if (status == STATUS_OK) {
            link->answered = true;
            return STATUS_OK;
        }
        if (status == STATUS_INTERRUPTED)
            return detail_set(ret_detail, status, "stopped before the processor answered");
        if (status != STATUS_TIMED_OUT)
            return detail_set(ret_detail, status, "cannot talk to %s", link->endpoints.control);
        if (!link->answered && clock_boot_ns() >= limit_ns)
            return nobody_answers(link, ret_detail);
    }
}

/* A disk that is full is waited for like a processor that is away. */
static bool stopped_after_pause(void)
{
    struct socket_wait stop = {.socket = NULL, .fd = lifecycle_fd()};
    (void)!socket_wait(&stop, 1, REQUEST_REPEAT_MS);
    return lifecycle_stopping();
}

enum status link_hello(struct link *link, struct slice source, struct hello_reply *ret_reply,
                       struct detail *ret_detail)
{
    char topic[FEED_TOPIC_BYTES_MAX];
    enum status status = socket_subscribe(link->events, ack_topic(source, topic));
    if (status != STATUS_OK)
        return detail_set(ret_detail, status, "cannot subscribe to the acks of '%.*s'",
                          (int)source.size, (const char *)source.data);

    struct buffer request;
    buffer_init(&request, REQUEST_BYTES_MAX);
    control_request_write(&request,
                          &(struct control_request){.verb = CONTROL_HELLO, .source = source});
    status = request.status;
    uint64_t limit_ns = clock_boot_ns() + LINK_HELLO_NS_MAX;
    while (status == STATUS_OK) {
        struct slice reply;
        status = ask(link, buffer_slice(&request), &reply, ret_detail);
        if (status != STATUS_OK)
            break;
        status = hello_reply_read(reply, ret_reply, ret_detail);
        if (status != STATUS_UNAVAILABLE || clock_boot_ns() >= limit_ns)
            break;
        status = STATUS_OK;
        if (stopped_after_pause())
            status = detail_set(ret_detail, STATUS_INTERRUPTED, "stopped while waiting for room");
    }
    buffer_fini(&request);
    return status;
}

/* [1, "ok", {"log_id": bin 16, …}] */
static enum status read_log_id(struct slice reply, struct log_id *ret_log_id,
                               struct detail *ret_detail)
{
    struct mp_reader reader;
    uint32_t items;
    enum status status = control_reply_read(reply, &reader, &items, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct slice map;
    struct mp_reader value;
    status = mp_read_raw(&reader, &map);
    if (status == STATUS_OK)
        status = event_field(map, slice_of_text("log_id"), &value);
    if (status == STATUS_OK)
        status = log_id_read(&value, ret_log_id);
    if (status != STATUS_OK)
        return detail_set(ret_detail, STATUS_MALFORMED, "the processor's status has no log_id");
    return STATUS_OK;
}

enum status link_log_id(struct link *link, struct log_id *ret_log_id, struct detail *ret_detail)
{
    struct buffer request;
    buffer_init(&request, REQUEST_BYTES_MAX);
    control_request_write(&request, &(struct control_request){.verb = CONTROL_STATUS});
    struct slice reply;
    enum status status = request.status;
    if (status == STATUS_OK)
        status = ask(link, buffer_slice(&request), &reply, ret_detail);
    if (status == STATUS_OK)
        status = read_log_id(reply, ret_log_id, ret_detail);
    buffer_fini(&request);
    return status;
}

/* Submissions and acks. */

enum status link_push(struct link *link, struct slice submission)
{
    return socket_send(link->ingest, submission, false);
}

enum status link_receive_ack(struct link *link, struct ack *ret_ack)
{
    for (;;) {
        enum status status = socket_receive(link->events, &link->scratch);
        if (status != STATUS_OK)
            return status;
        if (!frame_more(&link->scratch))
            continue;
        status = socket_receive(link->events, &link->header);
        if (status != STATUS_OK)
            return status;
        bool whole = !frame_more(&link->header);
        if (!whole)
            socket_discard_rest(link->events, &link->header);
        else if (ack_read(frame_slice(&link->header), ret_ack) == STATUS_OK)
            return STATUS_OK;
    }
}

enum status link_wait(struct link *link, struct link_wait *wait)
{
    struct socket_wait items[4] = {{.socket = link->events, .fd = -1}};
    int count = 1;
    int fd_item = -1;
    /* The descriptor stays readable after a stop: then it would end every wait at once. */
    bool stopping = lifecycle_stopping();
    if (!stopping)
        items[count++] = (struct socket_wait){.socket = NULL, .fd = lifecycle_fd()};
    if (wait->fd >= 0) {
        fd_item = count;
        items[count++] = (struct socket_wait){.socket = NULL, .fd = wait->fd};
    }
    if (wait->want_push)
        items[count++] = (struct socket_wait){.socket = link->ingest, .fd = -1, .want_write = true};

    int timeout_ms = wait->timeout_ms;
    if (stopping && (timeout_ms < 0 || timeout_ms > STOPPING_WAIT_MS_MAX))
        timeout_ms = STOPPING_WAIT_MS_MAX;
    enum status status = socket_wait(items, count, timeout_ms);
    wait->fd_ready = status == STATUS_OK && fd_item >= 0 && items[fd_item].ready;
    return status == STATUS_IO ? STATUS_IO : STATUS_OK;
}
