#include "processor/ingest.h"

#include <stdlib.h>

#include "processor/intake.h"
#include "processor/live_change.h"

enum {
    IDLE_TICK_MS = 100,         /* with nothing to do: let empty windows go, refresh the gauges */
    BATCHES_IN_FLIGHT_BUSY = 2, /* then the open batch rather grows */
    PACE_LOOK_MS = 1,           /* between two looks whether more may be taken in */
    FRAMES_PER_TURN_MAX = 256,  /* between two looks at calls and the stop */
};

struct ingest {
    struct draft draft;
    struct intake *intake;
    struct socket *socket;
    struct frame frame;
};

struct ingest *ingest_new(struct service *service, struct state *state, struct socket *socket)
{
    struct ingest *ingest = calloc(1, sizeof *ingest);
    if (ingest == NULL)
        return NULL;
    ingest->socket = socket;
    frame_init(&ingest->frame);
    ingest->intake = intake_new(&ingest->draft);
    if (draft_init(&ingest->draft, service, state) != STATUS_OK || ingest->intake == NULL) {
        ingest->draft.state = NULL; /* still the caller's */
        ingest_destroy(&ingest);
    }
    return ingest;
}

void ingest_destroy(struct ingest **ingest)
{
    if (*ingest == NULL)
        return;
    frame_fini(&(*ingest)->frame);
    intake_destroy(&(*ingest)->intake);
    draft_fini(&(*ingest)->draft);
    free(*ingest);
    *ingest = NULL;
}

/* ---- calls ---- */

/* Raises the source's epoch; the answer leaves when the batch that holds it is durable. */
static void hello_take(struct draft *draft, struct call *call)
{
    struct hello *hello = &call->hello;
    struct slice name = {(const uint8_t *)hello->source, hello->source_size};
    enum status status = admission_hello(draft->state, name, draft->now_ns, &draft->decision);
    if (status != STATUS_OK) {
        draft_refuse_call(draft, call, "the table of sources is full");
        return;
    }
    draft_apply(draft);
    uint32_t source = state_find_source(draft->state, name);
    if (source == SOURCE_NONE || ledger_touch(draft->ledger, draft->state, source) != STATUS_OK) {
        draft_fail(draft, "no memory for a source");
        draft_refuse_call(draft, call, "out of memory");
        return;
    }
    struct source_info info = state_source(draft->state, source);
    call->status = STATUS_OK;
    hello->epoch = info.epoch;
    hello->last_sequence = info.last_sequence;
    draft->batch->answers[draft->batch->answer_count++] = call;
}

static void calls_take(struct draft *draft)
{
    void *item;
    while (draft_has_room(draft, 0) && draft->batch->answer_count < BATCH_ANSWERS_MAX &&
           queue_pop(draft->service->to_core, &item, 1, 0) == 1) {
        struct call *call = item;
        if (call->kind == CALL_HELLO)
            hello_take(draft, call);
        else
            live_change_take(draft, call);
    }
}

/* ---- the loop ---- */

/* Takes what is waiting, up to a turn's worth; true when a whole turn was taken. */
static bool frames_take(struct ingest *ingest)
{
    struct draft *draft = &ingest->draft;
    for (int i = 0; i < FRAMES_PER_TURN_MAX; i++) {
        if (!draft_may_take(draft) || !draft_open(draft) ||
            socket_receive(ingest->socket, &ingest->frame) != STATUS_OK)
            return false;
        bool more = frame_more(&ingest->frame);
        intake_take(ingest->intake, frame_slice(&ingest->frame), more);
        if (more)
            socket_discard_rest(ingest->socket, &ingest->frame);
    }
    return true;
}

/* Waits for submissions, calls or the stop; while the log has no room, for room. */
static bool wait_for_work(struct ingest *ingest)
{
    struct draft *draft = &ingest->draft;
    bool open = draft_open(draft);
    draft_tend_hold(draft);
    struct socket_wait items[] = {{.fd = draft->stop_fd},
                                  {.fd = queue_descriptor(draft->service->to_core)},
                                  {.socket = ingest->socket}};
    bool may_take = draft_may_take(draft);
    int item_count = !open ? 1 : !may_take ? 2 : 3;
    int timeout_ms = open ? IDLE_TICK_MS : DRAFT_RETRY_MS;
    if (draft->pace == PACE_HALF && !may_take)
        timeout_ms = PACE_LOOK_MS;
    if (!draft_is_empty(draft))
        timeout_ms = 0; /* it was left open for more; if nothing more came, it goes now */
    if (socket_wait(items, item_count, timeout_ms) == STATUS_TIMED_OUT && timeout_ms > 0)
        draft_refresh_gauges(draft);
    return !items[0].ready;
}

/* One turn: what is waiting goes into the batch, and the batch on its way. While the commit thread
 * has enough to do and more is waiting here, the batch stays open and grows. */
static void turn(struct ingest *ingest)
{
    struct draft *draft = &ingest->draft;
    if (!draft_open(draft))
        return;
    if (draft_is_empty(draft))
        draft_stamp(draft);
    calls_take(draft);
    bool more_waits = frames_take(ingest);
    bool commit_busy = counter_get(&draft->service->counters.in_flight) >= BATCHES_IN_FLIGHT_BUSY;
    if (draft->batch != NULL && !(more_waits && commit_busy))
        draft_seal(draft);
}

void ingest_run(struct ingest *ingest, int stop_fd)
{
    struct draft *draft = &ingest->draft;
    draft->stop_fd = stop_fd;
    while (!draft_failing(draft) && wait_for_work(ingest))
        turn(ingest);
    if (!draft_failing(draft)) {
        turn(ingest); /* what had arrived before the stop */
        if (draft->batch != NULL)
            draft_seal(draft);
    }
    queue_close(draft->service->to_commit);
}
