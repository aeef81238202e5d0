#include "projector/http/upstream.h"

#include <stdlib.h>

#include "common/wire/request.h"

enum {
    HIGH_WATER_MARK = UPSTREAM_ASKS_MAX,
    REPLY_BYTES_MAX = 4 * 1024 * 1024, /* a replay is about 1 MiB */
    REPLIES_PER_TURN_MAX = 8,
};

struct ask {
    uint64_t number; /* 0: a free place */
    uint64_t due_ns; /* CLOCK_BOOTTIME */
    upstream_done_fn *done;
    void *owner;
};

struct upstream {
    struct socket *socket;
    struct reply reply; /* the one being handled */
    struct ask asks[UPSTREAM_ASKS_MAX];
    uint64_t last_number;
};

enum status upstream_open(const char *endpoint, struct upstream **ret_upstream,
                          struct detail *ret_detail)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (upstream == NULL)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "no memory for questions");
    reply_init(&upstream->reply);
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
    reply_fini(&old->reply);
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
    struct ask *ask = find(upstream, 0);
    if (ask == NULL)
        return STATUS_FULL;
    if (request_send(upstream->socket, upstream->last_number + 1, request) != STATUS_OK)
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

static void finish(struct ask *ask, enum status status, struct slice reply, struct slice body)
{
    struct ask finished = *ask;
    *ask = (struct ask){0}; /* first: `done` may ask again */
    finished.done(finished.owner, status, reply, body);
}

void upstream_turn(struct upstream *upstream, uint64_t now_ns)
{
    static const struct slice nothing = {NULL, 0};
    struct reply *reply = &upstream->reply;
    for (int i = 0; i < REPLIES_PER_TURN_MAX && reply_receive(upstream->socket, reply) == STATUS_OK;
         i++) {
        struct ask *ask = reply->number > 0 ? find(upstream, reply->number) : NULL;
        if (ask != NULL)
            finish(ask, STATUS_OK, frame_slice(&reply->frame), frame_slice(&reply->body));
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
