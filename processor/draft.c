#include "processor/draft.h"

#include <string.h>

#include "common/base/logger.h"
#include "common/wire/socket.h"

enum {
    /* What one event may add to a batch beside its own bytes: its record or its refusal, and the
       reports of all shadow policies. */
    EVENT_OVERHEAD_BYTES_MAX = RECORD_REJECTION_OVERHEAD_BYTES_MAX * (1 + POLICIES_MAX),
};

enum status draft_init(struct draft *draft, struct service *service, struct state *state)
{
    memset(draft, 0, sizeof *draft);
    draft->service = service;
    draft->next_batch = log_durable(service->log).last_batch + 1;
    draft->stop_fd = -1;
    buffer_init(&draft->key, 2 * POLICY_KEY_BYTES_MAX);
    draft->ledger = ledger_new(&service->log_id);
    draft->recorder = recorder_new(service->records_per_s);
    if (draft->ledger == NULL || draft->recorder == NULL)
        return STATUS_NO_MEMORY;
    draft->state = state;
    return STATUS_OK;
}

void draft_fini(struct draft *draft)
{
    if (draft->batch != NULL)
        batch_release(draft->batch);
    draft->batch = NULL;
    ledger_destroy(&draft->ledger);
    recorder_destroy(&draft->recorder);
    buffer_fini(&draft->key);
    state_destroy(&draft->state);
}

void draft_fail(struct draft *draft, const char *what)
{
    struct detail detail;
    service_fail(draft->service, detail_set(&detail, STATUS_NO_MEMORY, "the core thread: %s", what),
                 &detail);
}

bool draft_failing(const struct draft *draft)
{
    return atomic_load_explicit(&draft->service->failure, memory_order_relaxed) != STATUS_OK;
}

void draft_apply(struct draft *draft)
{
    if (state_apply(draft->state, &draft->decision) != STATUS_OK)
        draft_fail(draft, "no memory to apply a decision; nothing undecided was lost");
}

/* ---- room ---- */

static void holding_note(struct draft *draft, bool holding)
{
    if (holding == draft->holding)
        return;
    draft->holding = holding;
    counter_set(&draft->service->counters.holding, holding ? 1 : 0);
    if (draft->offline)
        return;
    if (holding)
        log_warn("no space: taking nothing in until there is room", "store=%s",
                 draft->service->store_directory);
    else
        log_info("there is room again: taking in", "store=%s", draft->service->store_directory);
}

/* Is there surely room on disk for one more batch behind those in flight? They are counted first: a
 * batch that becomes durable in between is then counted twice, never not at all. */
static bool log_has_room(struct draft *draft)
{
    uint64_t in_flight = atomic_load(&draft->service->counters.in_flight);
    struct log_room room = log_room(draft->service->log);
    bool has_room = room.batches > in_flight;
    holding_note(draft, !has_room && room.no_space);
    return has_room;
}

void draft_stamp_at(struct draft *draft, uint64_t now_ns)
{
    if (draft_is_empty(draft))
        draft->first_ns = now_ns;
    draft->now_ns = now_ns;
    admission_tick(now_ns, &draft->decision);
    draft_apply(draft);
}

void draft_stamp(struct draft *draft)
{
    draft_stamp_at(draft, log_clock_stamp(&draft->service->clock, clock_boot_ns()));
}

bool draft_open(struct draft *draft)
{
    if (draft->batch != NULL)
        return true;
    if (!log_has_room(draft))
        return false;
    draft->batch = batch_pool_take(draft->service->pool);
    if (draft->batch == NULL) {
        draft_fail(draft, "no memory for a batch");
        return false;
    }
    struct position position = state_position(draft->state);
    draft->batch->header.first_event_id = position.last_event_id + 1;
    draft->batch->header.first_rejection_id = position.last_rejection_id + 1;
    return true;
}

void draft_pace_half(struct draft *draft)
{
    draft->pace = PACE_HALF;
    draft->half_from_id = state_position(draft->state).last_event_id;
    draft->half_filled = counter_get(&draft->service->counters.filled);
}

bool draft_may_take(const struct draft *draft)
{
    if (draft->pace != PACE_HALF)
        return draft->pace == PACE_FULL;
    const uint64_t taken = state_position(draft->state).last_event_id - draft->half_from_id;
    const uint64_t filled = counter_get(&draft->service->counters.filled) - draft->half_filled;
    return taken <= filled / 2 + PACE_EVENTS_AHEAD;
}

bool draft_is_empty(const struct draft *draft)
{
    return draft->batch == NULL ||
           (batch_is_empty(draft->batch) && ledger_is_empty(draft->ledger) &&
            recorder_is_empty(draft->recorder));
}

void draft_refuse_call(struct draft *draft, struct call *call, const char *why)
{
    if (call->kind == CALL_POLICY_SET)
        draft->pace = PACE_FULL; /* there is one at a time */
    call->status = detail_set(&call->detail, STATUS_UNAVAILABLE, "%s", why);
    queue_push(draft->service->to_control, call);
}

void draft_tend_hold(struct draft *draft)
{
    void *call;
    while (draft->holding && queue_pop(draft->service->to_core, &call, 1, 0) == 1)
        draft_refuse_call(draft, call,
                          "the disk is full: the log takes nothing in until there is room");
}

static void no_space_fail(struct draft *draft)
{
    struct detail detail;
    service_fail(draft->service,
                 detail_set(&detail, STATUS_NO_SPACE, "%s: the disk is full",
                            draft->service->store_directory),
                 &detail);
}

/* Opens a batch as soon as the log has room. */
static bool batch_wait(struct draft *draft)
{
    struct socket_wait stop = {.fd = draft->stop_fd};
    while (!draft_open(draft)) {
        if (draft_failing(draft) || stop.ready)
            return false;
        if (draft->offline && draft->holding)
            no_space_fail(draft);
        else if (!draft->offline)
            draft_tend_hold(draft);
        (void)!socket_wait(&stop, 1, DRAFT_RETRY_MS);
    }
    return true;
}

/* Would the open batch, when it is closed, be larger than it should or may be with `bytes` more? */
static bool batch_is_full(const struct draft *draft, size_t bytes)
{
    const struct batch *batch = draft->batch;
    size_t log_bytes = BATCH_HEADER_BYTES + batch->accepted.size + batch->rejected.size +
                       ledger_source_bytes(draft->ledger) + recorder_close_bytes(draft->recorder);
    return batch->accepted.size >= BATCH_TARGET_BYTES ||
           batch->rejected.size >= BATCH_TARGET_BYTES ||
           batch->acks.size + ledger_ack_bytes(draft->ledger) >= BATCH_ACKS_TARGET_BYTES ||
           batch->header.event_count >= BATCH_EVENTS_MAX ||
           log_bytes + bytes + EVENT_OVERHEAD_BYTES_MAX > BATCH_BYTES_MAX;
}

bool draft_has_room(struct draft *draft, size_t bytes)
{
    if (draft_failing(draft))
        return false;
    if (draft->batch != NULL && !batch_is_full(draft, bytes))
        return true;
    if (draft->batch != NULL)
        draft_seal(draft);
    if (!batch_wait(draft))
        return false;
    if (draft->offline)
        draft_stamp_at(draft, draft->now_ns);
    else
        draft_stamp(draft);
    return true;
}

/* ---- records ---- */

static void records_given(struct draft *draft, uint32_t count)
{
    if (count == 0)
        return;
    draft->batch->header.rejection_count += count;
    draft->decision.kind = DECISION_RECORDED;
    draft->decision.time_ns = draft->now_ns;
    draft->decision.count = count;
    draft_apply(draft);
}

void draft_record(struct draft *draft, struct rejection *rejection)
{
    struct position position = state_position(draft->state);
    rejection->rejection_id = position.last_rejection_id + 1;
    rejection->rejected_at_ns = draft->now_ns;
    rejection->after_event_id = position.last_event_id;
    records_given(draft, recorder_take(draft->recorder, rejection, &draft->batch->rejected));
}

/* ---- the end of a batch ---- */

void draft_refresh_gauges(const struct draft *draft)
{
    struct counters *counters = &draft->service->counters;
    counter_set(&counters->sources, state_source_count(draft->state));
    counter_set(&counters->window_ns, state_longest_window_ns(draft->state));
    for (uint32_t i = 0; i < state_policies(draft->state)->count; i++) {
        counter_set(&counters->policy_keys[i], state_policy_keys(draft->state, i));
        counter_set(&counters->policy_units[i], state_policy_units(draft->state, i));
    }
}

void draft_seal(struct draft *draft)
{
    struct batch *batch = draft->batch;
    struct position position = state_position(draft->state);
    records_given(draft, recorder_close(draft->recorder, position.last_rejection_id + 1,
                                        draft->now_ns, position.last_event_id, &batch->rejected));
    ledger_close(draft->ledger, batch, draft->state);
    if (batch_is_empty(batch))
        return;
    draft->batch = NULL;
    if (batch->sources.status != STATUS_OK || batch->rejected.status != STATUS_OK) {
        draft_fail(draft, "no memory for the records of a batch");
        batch_release(batch);
        return;
    }
    batch->header.first_time_ns = draft->first_ns;
    batch->header.last_time_ns = draft->now_ns;
    batch->header.state_digest = state_digest(draft->state);
    if (batch_is_durable_matter(batch)) {
        batch->header.number = draft->next_batch++;
        counter_add(&draft->service->counters.in_flight, 1);
    }
    counter_add(&draft->service->counters.accepted, batch->header.event_count);
    counter_add(&draft->service->counters.accepted_bytes, batch->accepted.size);
    draft_refresh_gauges(draft);
    queue_push(draft->service->to_commit, batch);
}
