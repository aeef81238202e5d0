#include "producer/link.h"

#include <stdlib.h>

#include "common/app/lifecycle.h"
#include "common/base/clock.h"
#include "common/base/logger.h"
#include "common/event/event.h"
#include "common/wire/request.h"
#include "common/wire/socket.h"
#include "common/wire/submission.h"

enum {
    IO_THREADS = 1,
    PUSH_HIGH_WATER_MARK = 256,   /* submissions */
    ACK_HIGH_WATER_MARK = 100000, /* messages */
    REQUEST_HIGH_WATER_MARK = 16, /* messages */
    REQUEST_REPEAT_MS = 1000,
    ATTEMPTS_TO_SAY = 2,
    STOPPING_WAIT_MS_MAX = 100, /* so that a second signal is noticed */
    REPLY_BYTES_MAX = 4 * 1024 * 1024,
};

struct link {
    struct endpoints endpoints;
    struct socket *ingest;
    struct socket *control;
    struct socket *events;
    struct frame topic, header, body; /* of the message that the caller holds */
    struct reply reply;               /* that the caller holds */
    uint64_t request_number;
    bool answered;      /* the processor has answered once */
    bool waits_limited; /* even then, a request is not repeated for ever */
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

enum status link_open(const struct endpoint_options *options, struct link **ret_link,
                      struct detail *ret_detail)
{
    struct endpoints endpoints;
    enum status status = endpoints_resolve(options, &endpoints, ret_detail);
    if (status == STATUS_OK)
        status = socket_setup(IO_THREADS, ret_detail);
    if (status != STATUS_OK)
        return status;
    struct link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        socket_teardown();
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for the sockets");
    }
    link->endpoints = endpoints;
    frame_init(&link->topic);
    frame_init(&link->header);
    frame_init(&link->body);
    reply_init(&link->reply);
    status = open_socket(link, SOCKET_SUB, ret_detail);
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
    frame_fini(&l->topic);
    frame_fini(&l->header);
    frame_fini(&l->body);
    reply_fini(&l->reply);
    socket_close(&l->ingest);
    socket_close(&l->control);
    socket_close(&l->events);
    socket_teardown();
    free(l);
    *link = NULL;
}

void link_limit_waits(struct link *link)
{
    link->waits_limited = true;
}

/* Requests. */

static enum status nobody_answers(const struct link *link, struct detail *ret_detail)
{
    return detail_set(ret_detail, STATUS_UNAVAILABLE,
                      "no processor answers at %s: start one with 'weir-processor run --store DIR'",
                      link->endpoints.control);
}

/* One attempt. TIMED_OUT, INTERRUPTED, IO. */
static enum status exchange(struct link *link, const struct control_request *request)
{
    uint64_t number = ++link->request_number;
    enum status status = request_send(link->control, number, request);
    /* A full queue only means that the processor is away: the request is repeated. */
    if (status == STATUS_OK || status == STATUS_FULL)
        status = reply_await(link->control, number, clock_boot_ns() + REQUEST_REPEAT_MS * NS_PER_MS,
                             lifecycle_fd(), &link->reply);
    return status;
}

/* Repeats the request until it is answered, or, before the first answer ever, for a limited time.
 */
enum status link_ask(struct link *link, const struct control_request *request,
                     struct link_reply *ret_reply, struct detail *ret_detail)
{
    uint64_t limit_ns = clock_boot_ns() + LINK_HELLO_NS_MAX;
    for (unsigned attempt = 0;; attempt++) {
        if (attempt == ATTEMPTS_TO_SAY)
            log_info("waiting for the processor", "control=%s", link->endpoints.control);
        enum status status = exchange(link, request);
        if (status == STATUS_OK) {
            link->answered = true;
            *ret_reply = (struct link_reply){frame_slice(&link->reply.frame),
                                             frame_slice(&link->reply.body)};
            return STATUS_OK;
        }
        if (status == STATUS_INTERRUPTED)
            return detail_set(ret_detail, status, "stopped before the processor answered");
        if (status != STATUS_TIMED_OUT)
            return detail_set(ret_detail, status, "cannot talk to %s", link->endpoints.control);
        bool limited = !link->answered || link->waits_limited;
        if (limited && clock_boot_ns() >= limit_ns)
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

    struct control_request request = {.verb = CONTROL_HELLO, .source = source};
    uint64_t limit_ns = clock_boot_ns() + LINK_HELLO_NS_MAX;
    while (status == STATUS_OK) {
        struct link_reply reply;
        status = link_ask(link, &request, &reply, ret_detail);
        if (status != STATUS_OK)
            break;
        status = hello_reply_read(reply.reply, ret_reply, ret_detail);
        if (status != STATUS_UNAVAILABLE || clock_boot_ns() >= limit_ns)
            break;
        status = STATUS_OK;
        if (stopped_after_pause())
            status = detail_set(ret_detail, STATUS_INTERRUPTED, "stopped while waiting for room");
    }
    return status;
}

/* 0 if there is none. */
static uint64_t uint_field(struct slice map, const char *name)
{
    struct mp_reader reader;
    uint64_t value;
    enum status status = event_field(map, slice_of_text(name), &reader);
    if (status == STATUS_OK)
        status = mp_read_uint(&reader, &value);
    return status == STATUS_OK ? value : 0;
}

/* [1, "ok", {"log_id": bin 16, "now": uint, "boottime": uint, …}] */
static enum status read_status(struct slice reply, struct processor_status *ret_status,
                               struct detail *ret_detail)
{
    struct slice map;
    struct mp_reader value;
    struct log_id log_id;
    enum status status = control_reply_map_read(reply, &map, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = event_field(map, slice_of_text("log_id"), &value);
    if (status == STATUS_OK)
        status = log_id_read(&value, &log_id);
    if (status != STATUS_OK)
        return detail_set(ret_detail, STATUS_MALFORMED, "the processor's status has no log_id");
    *ret_status = (struct processor_status){.log_id = log_id,
                                            .now_ns = uint_field(map, "now"),
                                            .boottime_ns = uint_field(map, "boottime")};
    return STATUS_OK;
}

enum status link_status(struct link *link, struct processor_status *ret_status,
                        struct detail *ret_detail)
{
    struct control_request request = {.verb = CONTROL_STATUS};
    struct link_reply reply;
    enum status status = link_ask(link, &request, &reply, ret_detail);
    if (status == STATUS_OK)
        status = read_status(reply.reply, ret_status, ret_detail);
    return status;
}

/* Submissions and acks. */

enum status link_push(struct link *link, struct slice submission)
{
    return socket_send(link->ingest, submission, false);
}

enum status link_push_more(struct link *link, struct slice frame)
{
    return socket_send(link->ingest, frame, true);
}

enum status link_subscribe(struct link *link, const char *topic)
{
    return socket_subscribe(link->events, slice_of_text(topic));
}

/* Receives one more frame of the message that `before` began, or empties `frame`. */
static enum status receive_rest(struct socket *socket, const struct frame *before,
                                struct frame *frame)
{
    if (frame_more(before))
        return socket_receive(socket, frame);
    frame_fini(frame);
    return STATUS_OK;
}

enum status link_receive(struct link *link, struct link_message *ret_message)
{
    for (;;) {
        enum status status = socket_receive(link->events, &link->topic);
        if (status != STATUS_OK)
            return status;
        if (!frame_more(&link->topic))
            continue;
        status = socket_receive(link->events, &link->header);
        if (status == STATUS_OK)
            status = receive_rest(link->events, &link->header, &link->body);
        if (status != STATUS_OK)
            return status;
        *ret_message = (struct link_message){frame_slice(&link->topic), frame_slice(&link->header),
                                             frame_slice(&link->body)};
        if (!frame_more(&link->body))
            return STATUS_OK;
        socket_discard_rest(link->events, &link->body);
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
