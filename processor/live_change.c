#include "processor/live_change.h"

#include "common/wire/socket.h"
#include "processor/policy_change.h"

/* Nothing has changed: the answer is `call->status`. */
static void give_up(struct draft *draft, struct call *call)
{
    draft->pace = PACE_FULL;
    queue_push(draft->service->to_control, call);
}

static void lap_ask(struct draft *draft, struct call *call)
{
    call->change.laps++;
    call->change.durable_id = call->change.paused ? state_position(draft->state).last_event_id : 0;
    if (queue_try_push(draft->service->to_filler, call) != STATUS_OK)
        draft_refuse_call(draft, call, "another change of the policies is under way: ask again");
}

/* A batch for the event alone, stamped. False: there is none, and the call is answered. */
static bool own_batch_open(struct draft *draft, struct call *call)
{
    struct socket_wait stop = {.fd = draft->stop_fd};
    draft_seal(draft);
    while (!draft_open(draft)) {
        if (draft->holding || draft_failing(draft) || stop.ready) {
            draft_refuse_call(draft, call, "the log has no room: nothing was changed");
            return false;
        }
        (void)!socket_wait(&stop, 1, DRAFT_RETRY_MS);
    }
    draft_stamp(draft);
    return true;
}

static void record_append(struct draft *draft, const struct accepted_record *record)
{
    struct batch *batch = draft->batch;
    uint8_t *at = batch->accepted.data + batch->accepted.size;
    uint8_t *end = accepted_record_put(at, record->event_id, record->accepted_at_ns, record->source,
                                       record->sequence, record->event.raw);
    batch->accepted.size += (size_t)(end - at);
    batch->header.event_count++;
}

/* The event, and the change with it; sealed, with the answer behind it. */
static void come_into_force(struct draft *draft, struct call *call)
{
    struct change *change = &call->change;
    struct accepted_record record;
    struct buffer event;
    if (!own_batch_open(draft, call))
        return;
    buffer_init(&event, POLICY_CHANGE_BYTES_MAX);
    call->status = policy_change_record(draft->state, change->policies->text, "control",
                                        draft->now_ns, &event, &record);
    if (call->status == STATUS_OK)
        call->status = policy_change_add(change->fill, &record, &call->detail);
    else
        detail_write(&call->detail, "the event cannot be made: %s", status_text(call->status));
    if (call->status != STATUS_OK) {
        give_up(draft, call);
        buffer_fini(&event);
        return;
    }
    record_append(draft, &record);
    if (policy_change_apply(draft->state, change->fill, &record, &draft->decision) != STATUS_OK)
        draft_fail(draft, "no memory to apply other policies");
    buffer_fini(&event);
    change->event_id = record.event_id;
    change->paused_ns = change->paused ? clock_boot_ns() - change->paused_at_ns : 0;
    draft->batch->answers[draft->batch->answer_count++] = call;
    draft_seal(draft);
    draft->pace = PACE_FULL;
}

static void begin(struct draft *draft, struct call *call)
{
    call->change.began_ns = draft->now_ns;
    call->change.fill = window_fill_new(draft->state, call->change.policies);
    if (call->change.fill == NULL) {
        draft_refuse_call(draft, call, "out of memory");
    } else if (window_fill_length_ns(call->change.fill) == 0) {
        come_into_force(draft, call);
    } else {
        draft_pace_half(draft);
        lap_ask(draft, call);
    }
}

/* The filler is back, and still behind. */
static void go_on(struct draft *draft, struct call *call)
{
    struct change *change = &call->change;
    uint64_t rest = state_position(draft->state).last_event_id + 1 - change->next_id;
    if (rest <= CHANGE_REST_EVENTS_MAX || change->laps >= CHANGE_LAPS_MAX) {
        draft_seal(draft);
        draft->pace = PACE_NONE;
        change->paused = true;
        change->paused_at_ns = clock_boot_ns();
    }
    lap_ask(draft, call);
}

void live_change_take(struct draft *draft, struct call *call)
{
    if (call->change.fill == NULL)
        begin(draft, call);
    else if (call->status != STATUS_OK)
        give_up(draft, call);
    else if (call->change.paused)
        come_into_force(draft, call);
    else
        go_on(draft, call);
}
