#include "projector/http/upstream.h"

#include <stdlib.h>

#include "common/event/codec.h"

enum {
    HIGH_WATER_MARK = UPSTREAM_ASKS_MAX,
    REPLY_BYTES_MAX = 4 * 1024 * 1024, /* a replay is about 1 MiB */
    REQUEST_BYTES_MAX = 1024,
    REPLIES_PER_TURN_MAX = 8,
    NUMBER_BYTES = 8,
};

struct ask {
    uint64_t number; /* 0: a free place */
    uint64_t due_ns; /* CLOCK_BOOTTIME */
    upstream_done_fn *done;
    void *owner;
};

struct upstream {
    struct socket *socket;
    struct frame number, reply, body; /* of the message being handled */
    struct buffer request;
    struct ask asks[UPSTREAM_ASKS_MAX];
    uint64_t last_number;
};

enum status upstream_open(const char *endpoint, struct upstream **ret_upstream,
                          struct detail *ret_detail)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (upstream == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for questions");
    frame_init(&upstream->number);
    frame_init(&upstream->reply);
    frame_init(&upstream->body);
    buffer_init(&upstream->request, REQUEST_BYTES_MAX);
    struct socket_options options = {.kind = SOCKET_DEALER,
                                     .endpoint = endpoint,
                                     .high_water_mark = HIGH_WATER_MARK,
                                     .message_bytes_max = REPLY_BYTES_MAX};
    enum status status = socket_open(&options, &upstream->socket, ret_detail);
    if (status == STATUS_OK)
        *ret_upstream = upstream;
    else
        upstream_close(&upstream);
    return status;
}

void upstream_close(struct upstream **upstream)
{
    struct upstream *old = *upstream;
    if (old == NULL)
        return;
    frame_fini(&old->number);
    frame_fini(&old->reply);
    frame_fini(&old->body);
    buffer_fini(&old->request);
    socket_close(&old->socket);
    free(old);
    *upstream = NULL;
}

struct socket *upstream_socket(struct upstream *upstream)
{
    return upstream->socket;
}

/* --- asking --- */

static struct ask *find(struct upstream *upstream, uint64_t number)
{
    for (uint32_t i = 0; i < UPSTREAM_ASKS_MAX; i++)
        if (upstream->asks[i].number == number)
            return &upstream->asks[i];
    return NULL;
}

enum status upstream_ask(struct upstream *upstream, const struct control_request *request,
                         uint64_t now_ns, upstream_done_fn *done, void *owner)
{
    uint8_t number[NUMBER_BYTES];
    struct ask *ask = find(upstream, 0);
    if (ask == NULL)
        return STATUS_FULL;
    buffer_clear(&upstream->request);
    control_request_write(&upstream->request, request);
    codec_put_be(number, upstream->last_number + 1, NUMBER_BYTES);
    if (upstream->request.status != STATUS_OK ||
        socket_send(upstream->socket, (struct slice){number, NUMBER_BYTES}, true) != STATUS_OK ||
        socket_send(upstream->socket, buffer_slice(&upstream->request), false) != STATUS_OK)
        return STATUS_UNAVAILABLE;
    *ask = (struct ask){++upstream->last_number, now_ns + UPSTREAM_LIMIT_NS, done, owner};
    return STATUS_OK;
}

void upstream_forget(struct upstream *upstream, const void *owner)
{
    for (uint32_t i = 0; i < UPSTREAM_ASKS_MAX; i++)
        if (upstream->asks[i].owner == owner)
            upstream->asks[i] = (struct ask){0};
}

/* --- replies --- */

static uint64_t number_of(struct slice frame)
{
    uint64_t number = 0;
    for (size_t i = 0; frame.size == NUMBER_BYTES && i < NUMBER_BYTES; i++)
        number = number << 8 | frame.data[i];
    return number;
}

/* A message of up to three frames; those it has not are empty. */
static enum status receive(struct upstream *upstream)
{
    struct frame *frames[] = {&upstream->number, &upstream->reply, &upstream->body};
    frame_fini(&upstream->reply);
    frame_fini(&upstream->body);
    for (int i = 0; i < 3; i++) {
        enum status status = socket_receive(upstream->socket, frames[i]);
        if (status != STATUS_OK || !frame_more(frames[i]))
            return status;
    }
    socket_discard_rest(upstream->socket, &upstream->body);
    return STATUS_OK;
}

static void finish(struct ask *ask, enum status status, struct slice reply, struct slice body)
{
    struct ask finished = *ask;
    *ask = (struct ask){0}; /* first: `done` may ask again */
    finished.done(finished.owner, status, reply, body);
}

void upstream_turn(struct upstream *upstream, uint64_t now_ns)
{
    static const struct slice nothing = {NULL, 0};
    for (int i = 0; i < REPLIES_PER_TURN_MAX && receive(upstream) == STATUS_OK; i++) {
        uint64_t number = number_of(frame_slice(&upstream->number));
        struct ask *ask = number > 0 ? find(upstream, number) : NULL;
        if (ask != NULL)
            finish(ask, STATUS_OK, frame_slice(&upstream->reply), frame_slice(&upstream->body));
    }
    for (uint32_t i = 0; i < UPSTREAM_ASKS_MAX; i++)
        if (upstream->asks[i].number > 0 && upstream->asks[i].due_ns <= now_ns)
            finish(&upstream->asks[i], STATUS_UNAVAILABLE, nothing, nothing);
}

uint64_t upstream_due_ns(const struct upstream *upstream)
{
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < UPSTREAM_ASKS_MAX; i++)
        if (upstream->asks[i].number > 0 && upstream->asks[i].due_ns < due_ns)
            due_ns = upstream->asks[i].due_ns;
    return due_ns;
}
