#include "producer/watch.h"

#include <stdlib.h>

#include "common/app/lifecycle.h"
#include "common/base/clock.h"
#include "common/wire/feed.h"

enum {
    HIGH_WATER_MARK = 100000, /* messages */
    FRAMES_MAX = 3,
};

struct watch {
    struct socket *socket;
    struct frame frames[FRAMES_MAX]; /* topic, header, body */
};

/* Reads messages until a heartbeat. END: not yet. */
static enum status find_heartbeat(struct watch *watch)
{
    for (;;) {
        struct watch_message message;
        enum status status = watch_next(watch, &message);
        if (status != STATUS_OK)
            return status;
        if (slice_equal_text(message.topic, FEED_TOPIC_HEARTBEAT))
            return STATUS_OK;
    }
}

static enum status await_heartbeat(struct watch *watch, struct detail *ret_detail)
{
    uint64_t deadline_ns = clock_boot_ns() + WATCH_JOIN_NS_MAX;
    for (;;) {
        enum status status = find_heartbeat(watch);
        if (status == STATUS_IO)
            return detail_set(ret_detail, status, "the events socket failed");
        if (status == STATUS_OK)
            return STATUS_OK;
        uint64_t now_ns = clock_boot_ns();
        if (now_ns >= deadline_ns)
            return detail_set(ret_detail, STATUS_UNAVAILABLE,
                              "no heartbeat comes from %s: is it the processor's events endpoint?",
                              socket_endpoint(watch->socket));
        struct socket_wait items[] = {
            {.socket = watch->socket, .fd = -1},
            {.socket = NULL, .fd = lifecycle_fd()},
        };
        int timeout_ms = (int)((deadline_ns - now_ns) / NS_PER_MS) + 1;
        (void)!socket_wait(items, 2, timeout_ms);
        if (lifecycle_stopping())
            return detail_set(ret_detail, STATUS_INTERRUPTED, "stopped before the first heartbeat");
    }
}

enum status watch_open(const char *endpoint, const char *topic, struct watch **ret_watch,
                       struct detail *ret_detail)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for a subscription");
    for (int i = 0; i < FRAMES_MAX; i++)
        frame_init(&watch->frames[i]);
    /* The heartbeat comes last, so that it stands for the one before it too. */
    const struct socket_options options = {.kind = SOCKET_SUB,
                                           .endpoint = endpoint,
                                           .high_water_mark = HIGH_WATER_MARK,
                                           .message_bytes_max = FEED_MESSAGE_BYTES_MAX,
                                           .linger_ms = 0,
                                           .subscriptions = {topic, FEED_TOPIC_HEARTBEAT}};
    enum status status = socket_open(&options, &watch->socket, ret_detail);
    if (status == STATUS_OK)
        status = await_heartbeat(watch, ret_detail);
    if (status == STATUS_OK)
        *ret_watch = watch;
    else
        watch_close(&watch);
    return status;
}

void watch_close(struct watch **watch)
{
    struct watch *w = *watch;
    if (w == NULL)
        return;
    for (int i = 0; i < FRAMES_MAX; i++)
        frame_fini(&w->frames[i]);
    socket_close(&w->socket);
    free(w);
    *watch = NULL;
}

struct socket *watch_socket(const struct watch *watch)
{
    return watch->socket;
}

enum status watch_next(struct watch *watch, struct watch_message *ret_message)
{
    struct slice parts[FRAMES_MAX] = {{0}};
    bool more = true;
    for (int i = 0; more && i < FRAMES_MAX; i++) {
        enum status status = socket_receive(watch->socket, &watch->frames[i]);
        if (status != STATUS_OK)
            return status;
        parts[i] = frame_slice(&watch->frames[i]);
        more = frame_more(&watch->frames[i]);
    }
    if (more)
        socket_discard_rest(watch->socket, &watch->frames[FRAMES_MAX - 1]);
    *ret_message = (struct watch_message){.topic = parts[0], .header = parts[1], .body = parts[2]};
    return STATUS_OK;
}
