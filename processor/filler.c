#include "processor/filler.h"

#include <stdlib.h>
#include <time.h>

#include "processor/policy_change.h"

enum {
    BODY_BYTES_MAX = REPLAY_BODY_BYTES_MAX + BATCH_BYTES_MAX,
    IDLE_MS = 60000, /* between two looks at an empty queue */
};
#define DURABLE_LOOK_EVERY_NS (100 * 1000L)

struct filler {
    struct service *service;
    struct reader *reader; /* of the change at hand; NULL: there was none yet */
    struct buffer body;    /* scratch: records */
};

struct filler *filler_new(struct service *service)
{
    struct filler *filler = calloc(1, sizeof *filler);
    if (filler == NULL)
        return NULL;
    filler->service = service;
    buffer_init(&filler->body, BODY_BYTES_MAX);
    return filler;
}

void filler_destroy(struct filler **filler)
{
    if (*filler == NULL)
        return;
    reader_destroy(&(*filler)->reader);
    buffer_fini(&(*filler)->body);
    free(*filler);
    *filler = NULL;
}

/* Is the process to end? */
static bool ending(const struct filler *filler)
{
    return queue_finished(filler->service->to_filler) ||
           atomic_load(&filler->service->failure) != STATUS_OK;
}

/* The first event that the longest window needs where the change is made at once; later it needs no
 * more. From here on the log keeps it, if it is still there. */
static enum status first_find(struct filler *filler, const struct durable *end, struct call *call)
{
    struct change *change = &call->change;
    const char *directory = filler->service->store_directory;
    const uint64_t from_ns = window_fill_from_ns(change->fill, change->began_ns);
    const struct change_place place = {
        .directory = directory, .end = *end, .now_ns = change->began_ns};
    pin_set(&filler->service->pin, from_ns);
    reader_destroy(&filler->reader);
    enum status status = reader_new(directory, &filler->reader, &call->detail);
    if (status == STATUS_OK)
        status = policy_change_expect_kept(change->fill, &place, filler->reader, &call->detail);
    if (status == STATUS_OK)
        status = reader_seek(filler->reader, end, STREAM_ACCEPTED, from_ns, &change->next_id,
                             &call->detail);
    return status;
}

static enum status records_add(struct filler *filler, struct call *call)
{
    struct mp_reader reader = mp_reader_of(buffer_slice(&filler->body));
    while (!mp_at_end(&reader)) {
        struct accepted_record record;
        if (accepted_record_read(&reader, &record) != STATUS_OK)
            return detail_set(&call->detail, STATUS_DAMAGED, "an accepted record cannot be read");
        enum status status = policy_change_add(call->change.fill, &record, &call->detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Adds what follows, up to a megabyte. */
static enum status piece_add(struct filler *filler, const struct durable *end, struct call *call)
{
    struct replay_reply reply;
    buffer_clear(&filler->body);
    enum status status = reader_replay(filler->reader, end, STREAM_ACCEPTED, call->change.next_id,
                                       UINT64_MAX, &filler->body, &reply, &call->detail);
    if (status == STATUS_OK)
        status = records_add(filler, call);
    if (status != STATUS_OK)
        return status;
    call->change.next_id += reply.count;
    counter_add(&filler->service->counters.filled, reply.count);
    return STATUS_OK;
}

static enum status end_wait(struct filler *filler, struct call *call, struct durable *ret_end)
{
    const struct timespec moment = {.tv_nsec = DURABLE_LOOK_EVERY_NS};
    for (;;) {
        *ret_end = log_durable(filler->service->log);
        if (ret_end->last_event_id >= call->change.durable_id)
            return STATUS_OK;
        if (ending(filler))
            return detail_set(&call->detail, STATUS_UNAVAILABLE, "the processor is stopping");
        nanosleep(&moment, NULL);
    }
}

void filler_lap(struct filler *filler, struct call *call)
{
    struct durable end;
    call->status = end_wait(filler, call, &end);
    if (call->status == STATUS_OK && call->change.next_id == 0)
        call->status = first_find(filler, &end, call);
    while (call->status == STATUS_OK && call->change.next_id <= end.last_event_id) {
        if (ending(filler))
            call->status =
                detail_set(&call->detail, STATUS_UNAVAILABLE, "the processor is stopping");
        else
            call->status = piece_add(filler, &end, call);
    }
}

void filler_run(struct filler *filler)
{
    while (!queue_finished(filler->service->to_filler)) {
        void *call;
        if (queue_pop(filler->service->to_filler, &call, 1, IDLE_MS) == 0)
            continue;
        filler_lap(filler, call);
        queue_push(filler->service->to_core, call);
    }
}
