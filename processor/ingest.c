#include "processor/ingest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/logger.h"
#include "common/wire/feed.h"
#include "common/wire/submission.h"
#include "processor/core/admission.h"
#include "processor/ledger.h"
#include "processor/recorder.h"

enum {
    IDLE_TICK_MS = 100,         /* with nothing to do: let empty windows go, refresh the gauges */
    HOLD_RETRY_MS = 2,          /* while the log has no room */
    BATCHES_IN_FLIGHT_BUSY = 2, /* then the open batch rather grows */
    FRAMES_PER_TURN_MAX = 256,  /* between two looks at hellos and the stop */
    /* What one event may add to a batch beside its own bytes: its record or its refusal, and the
       reports of all shadow policies. */
    EVENT_OVERHEAD_BYTES_MAX = RECORD_REJECTION_OVERHEAD_BYTES_MAX * (1 + POLICIES_MAX),
};

struct ingest {
    struct service *service;
    struct state *state;
    struct socket *socket;
    struct ledger *ledger;
    struct recorder *recorder;
    struct batch *batch; /* open; NULL while there is no room */
    bool holding;        /* no room, and no space to make some */
    uint64_t next_batch; /* number */
    uint64_t now_ns;     /* the stamp of the open batch */
    int stop_fd;         /* readable: the process is to end */
    struct frame frame;
    struct decision decision;
    struct candidate group[ADMISSION_GROUP_MAX];
    enum status group_read[ADMISSION_GROUP_MAX]; /* what event_read said */
    struct slice group_raw[ADMISSION_GROUP_MAX]; /* the event's bytes, good or bad */
    struct detail group_detail[ADMISSION_GROUP_MAX];
    struct buffer key; /* scratch: a key's MessagePack */
};

/* One submission while it is being decided. */
struct visit {
    struct submission_header header;
    struct mp_reader reader; /* at the next event */
    uint32_t source;         /* slot; SOURCE_NONE: unsequenced */
    uint32_t done;           /* events behind us, decided or duplicates */
};

struct ingest *ingest_new(struct service *service, struct state *state, struct socket *socket)
{
    struct ingest *ingest = calloc(1, sizeof *ingest);
    if (ingest == NULL)
        return NULL;
    ingest->service = service;
    ingest->state = state;
    ingest->socket = socket;
    ingest->next_batch = log_durable(service->log).last_batch + 1;
    frame_init(&ingest->frame);
    buffer_init(&ingest->key, 2 * POLICY_KEY_BYTES_MAX);
    ingest->ledger = ledger_new(&service->log_id);
    ingest->recorder = recorder_new(service->records_per_s);
    if (ingest->ledger == NULL || ingest->recorder == NULL)
        ingest_destroy(&ingest);
    return ingest;
}

void ingest_destroy(struct ingest **ingest)
{
    if (*ingest == NULL)
        return;
    if ((*ingest)->batch != NULL)
        batch_release((*ingest)->batch);
    frame_fini(&(*ingest)->frame);
    buffer_fini(&(*ingest)->key);
    ledger_destroy(&(*ingest)->ledger);
    recorder_destroy(&(*ingest)->recorder);
    state_destroy(&(*ingest)->state);
    free(*ingest);
    *ingest = NULL;
}

static void fail(struct ingest *ingest, enum status status, const char *what)
{
    struct detail detail;
    service_fail(ingest->service, detail_set(&detail, status, "the core thread: %s", what),
                 &detail);
}

/* Applies what was decided; without memory for it the state is no longer whole, so the process
 * ends. */
static void apply(struct ingest *ingest)
{
    if (state_apply(ingest->state, &ingest->decision) != STATUS_OK)
        fail(ingest, STATUS_NO_MEMORY, "no memory to apply a decision; nothing undecided was lost");
}

/* ---- batches ---- */

/* Once the process is to end, nothing more is decided: the state may no longer be whole. */
static bool failing(const struct ingest *ingest)
{
    return atomic_load_explicit(&ingest->service->failure, memory_order_relaxed) != STATUS_OK;
}

static void holding_note(struct ingest *ingest, bool holding)
{
    if (holding == ingest->holding)
        return;
    ingest->holding = holding;
    counter_set(&ingest->service->counters.holding, holding ? 1 : 0);
    if (holding)
        log_warn("no space: taking nothing in until there is room", "store=%s",
                 ingest->service->store_directory);
    else
        log_info("there is room again: taking in", "store=%s", ingest->service->store_directory);
}

/* Is there surely room on disk for one more batch behind those in flight? They are counted first: a
 * batch that becomes durable in between is then counted twice, never not at all. */
static bool log_has_room(struct ingest *ingest)
{
    uint64_t in_flight = atomic_load(&ingest->service->counters.in_flight);
    struct log_room room = log_room(ingest->service->log);
    bool has_room = room.batches > in_flight;
    holding_note(ingest, !has_room && room.no_space);
    return has_room;
}

static void stamp(struct ingest *ingest)
{
    ingest->now_ns = log_clock_stamp(&ingest->service->clock, clock_boot_ns());
    admission_tick(ingest->now_ns, &ingest->decision);
    apply(ingest);
}

static bool batch_open(struct ingest *ingest)
{
    if (ingest->batch != NULL)
        return true;
    if (!log_has_room(ingest))
        return false;
    ingest->batch = batch_pool_take(ingest->service->pool);
    if (ingest->batch == NULL) {
        fail(ingest, STATUS_NO_MEMORY, "no memory for a batch");
        return false;
    }
    struct position position = state_position(ingest->state);
    ingest->batch->header.first_event_id = position.last_event_id + 1;
    ingest->batch->header.first_rejection_id = position.last_rejection_id + 1;
    return true;
}

static void records_given(struct ingest *ingest, uint32_t count)
{
    if (count == 0)
        return;
    ingest->batch->header.rejection_count += count;
    ingest->decision.kind = DECISION_RECORDED;
    ingest->decision.time_ns = ingest->now_ns;
    ingest->decision.count = count;
    apply(ingest);
}

static void gauges_refresh(struct ingest *ingest)
{
    struct counters *counters = &ingest->service->counters;
    counter_set(&counters->sources, state_source_count(ingest->state));
    for (uint32_t i = 0; i < ingest->service->policies->count; i++) {
        counter_set(&counters->policy_keys[i], state_policy_keys(ingest->state, i));
        counter_set(&counters->policy_units[i], state_policy_units(ingest->state, i));
    }
}

/* Closes the open batch and hands it to the commit thread; waits while too many are in flight. */
static void batch_seal(struct ingest *ingest)
{
    struct batch *batch = ingest->batch;
    struct position position = state_position(ingest->state);
    records_given(ingest, recorder_close(ingest->recorder, position.last_rejection_id + 1,
                                         ingest->now_ns, position.last_event_id, &batch->rejected));
    ledger_close(ingest->ledger, batch, ingest->state);
    if (batch_is_empty(batch))
        return;
    ingest->batch = NULL;
    if (batch->sources.status != STATUS_OK || batch->rejected.status != STATUS_OK) {
        fail(ingest, STATUS_NO_MEMORY, "no memory for the records of a batch");
        batch_release(batch);
        return;
    }
    batch->header.first_time_ns = ingest->now_ns;
    batch->header.last_time_ns = ingest->now_ns;
    if (batch_is_durable_matter(batch)) {
        batch->header.number = ingest->next_batch++;
        counter_add(&ingest->service->counters.in_flight, 1);
    }
    counter_add(&ingest->service->counters.accepted, batch->header.event_count);
    counter_add(&ingest->service->counters.accepted_bytes, batch->accepted.size);
    gauges_refresh(ingest);
    queue_push(ingest->service->to_commit, batch);
}

static void hellos_refuse(struct ingest *ingest);

/* Opens a batch as soon as the log has room. False when the process ends first: then the sender,
 * who has no ack, sends again. */
static bool batch_wait(struct ingest *ingest)
{
    struct socket_wait stop = {.fd = ingest->stop_fd};
    while (!batch_open(ingest)) {
        if (failing(ingest) || stop.ready)
            return false;
        if (ingest->holding)
            hellos_refuse(ingest);
        (void)!socket_wait(&stop, 1, HOLD_RETRY_MS);
    }
    return true;
}

/* Would the open batch, when it is closed, be larger than it should or may be with `bytes` more? */
static bool batch_is_full(const struct ingest *ingest, size_t bytes)
{
    const struct batch *batch = ingest->batch;
    size_t log_bytes = BATCH_HEADER_BYTES + batch->accepted.size + batch->rejected.size +
                       ledger_source_bytes(ingest->ledger) + recorder_close_bytes(ingest->recorder);
    return batch->accepted.size >= BATCH_TARGET_BYTES ||
           batch->rejected.size >= BATCH_TARGET_BYTES ||
           batch->acks.size + ledger_ack_bytes(ingest->ledger) >= BATCH_ACKS_TARGET_BYTES ||
           batch->header.event_count >= BATCH_EVENTS_MAX ||
           log_bytes + bytes + EVENT_OVERHEAD_BYTES_MAX > BATCH_BYTES_MAX;
}

/* Makes sure that the open batch takes one more event of `bytes`, with what it leaves in the
 * ledger; false when the process ends first. */
static bool batch_has_room(struct ingest *ingest, size_t bytes)
{
    if (failing(ingest))
        return false;
    if (ingest->batch != NULL && !batch_is_full(ingest, bytes))
        return true;
    if (ingest->batch != NULL)
        batch_seal(ingest);
    if (!batch_wait(ingest))
        return false;
    stamp(ingest);
    return true;
}

/* ---- records ---- */

static void refusal_record(struct ingest *ingest, struct rejection *rejection)
{
    struct position position = state_position(ingest->state);
    rejection->rejection_id = position.last_rejection_id + 1;
    rejection->rejected_at_ns = ingest->now_ns;
    rejection->after_event_id = position.last_event_id;
    records_given(ingest, recorder_take(ingest->recorder, rejection, &ingest->batch->rejected));
}

/* A submission that is refused as a whole, or what follows its last event: one record, no sequence.
 */
static void submission_refuse(struct ingest *ingest, enum reason reason, struct slice source,
                              struct slice evidence, const struct detail *detail)
{
    counter_add(&ingest->service->counters.refused[reason], 1);
    if (!batch_has_room(ingest, RECORD_EVIDENCE_BYTES_MAX))
        return;
    struct rejection rejection = {.reason = reason,
                                  .count = 1,
                                  .retry_after_ns = RECORD_NEVER,
                                  .detail = slice_of_text(detail->text),
                                  .source = source,
                                  .evidence = evidence};
    refusal_record(ingest, &rejection);
}

static void rejection_name_policy(struct ingest *ingest, struct rejection *rejection,
                                  uint32_t policy, uint32_t charge)
{
    const struct policy *named = &state_policies(ingest->state)->items[policy];
    rejection->policy = slice_of_text(named->name);
    buffer_clear(&ingest->key);
    policy_key_write(&ingest->decision.charges[charge].key, &ingest->key);
    rejection->key = buffer_slice(&ingest->key);
}

/* What a refused sequence leaves: its record, its place in the ack, its verdict in the state. */
static void event_refuse(struct ingest *ingest, const struct visit *visit,
                         struct rejection *rejection)
{
    const struct decision *decision = &ingest->decision;
    counter_add(&ingest->service->counters.refused[decision->reason], decision->count);
    rejection->reason = decision->reason;
    rejection->source = visit->header.source;
    rejection->has_sequence = true;
    rejection->sequence = decision->sequence;
    rejection->count = decision->count;
    rejection->retry_after_ns = decision->retry_after_ns;
    if (rejection->detail.size == 0)
        rejection->detail = slice_of_text(decision->detail.text);
    if (decision->policy != POLICY_NONE)
        rejection_name_policy(ingest, rejection, decision->policy, decision->policy_charge);
    struct refusal refusal = {.sequence = decision->sequence,
                              .has_reason = true,
                              .reason = decision->reason,
                              .policy = rejection->policy,
                              .retry_after_ns = decision->retry_after_ns};
    uint64_t count = decision->count;
    apply(ingest);
    if (visit->source != SOURCE_NONE && ledger_refuse(ingest->ledger, ingest->batch, ingest->state,
                                                      visit->source, &refusal, count) != STATUS_OK)
        fail(ingest, STATUS_NO_MEMORY, "no memory for the verdicts of a batch");
    refusal_record(ingest, rejection);
}

/* Shadow policies report what they would have refused; the event itself passes. */
static void shadows_report(struct ingest *ingest, const struct candidate *candidate)
{
    uint32_t count = ingest->decision.shadow_count;
    for (uint32_t i = 0; i < count; i++) {
        struct shadow_report report = ingest->decision.shadows[i];
        struct rejection rejection = {.reason = REASON_SHADOW,
                                      .source = candidate->source_name,
                                      .has_sequence = true,
                                      .sequence = candidate->sequence,
                                      .count = 1,
                                      .retry_after_ns = report.retry_after_ns,
                                      .type = candidate->event.type,
                                      .subject = candidate->event.subject};
        rejection_name_policy(ingest, &rejection, report.policy, report.charge);
        counter_add(&ingest->service->counters.refused[REASON_SHADOW], 1);
        refusal_record(ingest, &rejection);
    }
}

static void event_accept(struct ingest *ingest, const struct candidate *candidate)
{
    struct batch *batch = ingest->batch;
    uint8_t *at = batch->accepted.data + batch->accepted.size;
    uint8_t *end =
        accepted_record_put(at, ingest->decision.event_id, ingest->now_ns, candidate->source_name,
                            candidate->sequence, candidate->event.raw);
    batch->accepted.size += (size_t)(end - at);
    batch->header.event_count++;
    apply(ingest);
    if (candidate->source != SOURCE_NONE)
        ledger_accept(ingest->ledger, candidate->source, candidate->sequence);
    if (ingest->decision.shadow_count > 0)
        shadows_report(ingest, candidate);
}

/* ---- one submission: check → decode → decide → apply → append ---- */

static uint64_t visit_sequence(const struct visit *visit)
{
    return visit->source == SOURCE_NONE ? 0 : visit->header.first_sequence + visit->done;
}

/* Reads and prepares the next events, up to a group. Ends early behind what is not MessagePack. */
static uint32_t group_read(struct ingest *ingest, struct visit *visit)
{
    uint32_t wanted = visit->header.count - visit->done;
    uint32_t count = 0;
    while (count < wanted && count < ADMISSION_GROUP_MAX) {
        struct candidate *candidate = &ingest->group[count];
        enum status read = event_read(&visit->reader, &candidate->event, &ingest->group_raw[count],
                                      &ingest->group_detail[count]);
        ingest->group_read[count] = read;
        candidate->source_name = visit->header.source;
        candidate->source = visit->source;
        candidate->sequence = visit->source == SOURCE_NONE ? 0 : visit_sequence(visit) + count;
        if (read == STATUS_OK)
            admission_prepare(ingest->state, candidate);
        count++;
        if (read == STATUS_MALFORMED)
            break;
    }
    for (uint32_t i = 0; i < count; i++)
        if (ingest->group_read[i] == STATUS_OK)
            admission_prefetch(ingest->state, &ingest->group[i]);
    for (uint32_t i = 0; i < count; i++)
        if (ingest->group_read[i] == STATUS_OK)
            admission_prefetch_windows(ingest->state, &ingest->group[i]);
    return count;
}

static enum reason reason_of(enum status read)
{
    switch (read) {
    case STATUS_MALFORMED:
        return REASON_MALFORMED;
    case STATUS_TOO_LARGE:
        return REASON_TOO_LARGE;
    default:
        return REASON_INVALID;
    }
}

/* The event at `index` of the group cannot be decided: it uses its sequence, and so does all that
 * follows what is malformed. */
static void event_refuse_unread(struct ingest *ingest, const struct visit *visit, uint32_t index)
{
    enum status read = ingest->group_read[index];
    struct rejection rejection = {.detail = slice_of_text(ingest->group_detail[index].text)};
    uint64_t count = 1;
    if (read == STATUS_MALFORMED) {
        count = visit->header.count - visit->done;
        rejection.evidence =
            (struct slice){visit->reader.at, (size_t)(visit->reader.end - visit->reader.at)};
    } else {
        rejection.evidence = ingest->group_raw[index];
    }
    admission_refuse(ingest->state, visit->source, visit_sequence(visit), count, reason_of(read),
                     ingest->now_ns, &ingest->decision);
    event_refuse(ingest, visit, &rejection);
}

static void event_decide(struct ingest *ingest, const struct visit *visit,
                         const struct candidate *candidate)
{
    admission_decide(ingest->state, candidate, ingest->now_ns, &ingest->decision);
    if (ingest->decision.kind == DECISION_ACCEPT) {
        event_accept(ingest, candidate);
        return;
    }
    struct rejection rejection = {.type = candidate->event.type,
                                  .subject = candidate->event.subject,
                                  .evidence = candidate->event.raw,
                                  .evidence_is_event = true};
    event_refuse(ingest, visit, &rejection);
}

/* Decides the events that are left. False when the rest was malformed or the process ends. */
static bool events_decide(struct ingest *ingest, struct visit *visit)
{
    while (visit->done < visit->header.count) {
        uint32_t count = group_read(ingest, visit);
        for (uint32_t i = 0; i < count; i++) {
            const struct candidate *candidate = &ingest->group[i];
            size_t bytes =
                ingest->group_read[i] == STATUS_OK ? candidate->event.raw.size : EVENT_BYTES_MAX;
            if (!batch_has_room(ingest, bytes))
                return false;
            if (visit->source != SOURCE_NONE &&
                ledger_touch(ingest->ledger, ingest->state, visit->source) != STATUS_OK) {
                fail(ingest, STATUS_NO_MEMORY, "no memory for the verdicts of a batch");
                return false;
            }
            if (ingest->group_read[i] != STATUS_OK) {
                event_refuse_unread(ingest, visit, i);
                if (ingest->group_read[i] == STATUS_MALFORMED)
                    return false;
            } else {
                event_decide(ingest, visit, candidate);
            }
            visit->done++;
        }
    }
    return true;
}

/* Steps over the events that were decided before and answers them from memory. False when the bytes
 * end inside them. */
static bool duplicates_answer(struct ingest *ingest, struct visit *visit, uint32_t skip)
{
    uint64_t first = visit->header.first_sequence;
    counter_add(&ingest->service->counters.refused[REASON_DUPLICATE], skip);
    ledger_resend(ingest->ledger, ingest->batch, ingest->state, visit->source, first,
                  first + skip - 1);
    if (skip == visit->header.count) {
        visit->done = skip;
        return false;
    }
    while (visit->done < skip && mp_skip(&visit->reader) == STATUS_OK)
        visit->done++;
    visit->done = skip;
    return true;
}

static void submission_redirect(struct ingest *ingest, const struct visit *visit,
                                enum ack_status status)
{
    enum reason reason = status == ACK_GAP ? REASON_OUT_OF_ORDER : REASON_FENCED;
    counter_add(&ingest->service->counters.refused[reason], visit->header.count);
    struct redirect redirect = {
        .name = visit->header.source, .source = visit->source, .status = status};
    ledger_redirect(ingest->ledger, ingest->batch, ingest->state, &redirect, ingest->now_ns);
}

/* A good header: epoch, sequence, then event by event. */
static void submission_decide(struct ingest *ingest, struct visit *visit)
{
    const struct submission_header *header = &visit->header;
    struct entry entry = admission_enter(ingest->state, header->source, header->epoch,
                                         header->first_sequence, header->count);
    visit->source = entry.source;
    if (!batch_has_room(ingest, 0))
        return;
    if (entry.entrance != ENTRANCE_OPEN) {
        submission_redirect(ingest, visit, entry.entrance == ENTRANCE_GAP ? ACK_GAP : ACK_FENCED);
        return;
    }
    if (entry.skip > 0 && !duplicates_answer(ingest, visit, (uint32_t)entry.skip))
        return;
    if (!events_decide(ingest, visit))
        return;
    if (!mp_at_end(&visit->reader)) {
        struct slice rest = {visit->reader.at, (size_t)(visit->reader.end - visit->reader.at)};
        struct detail detail;
        detail_write(&detail, "%zu bytes after the last event", rest.size);
        submission_refuse(ingest, REASON_MALFORMED, header->source, rest, &detail);
    }
}

/* Everything that can be wrong before the first event; then the events. */
static void submission_take(struct ingest *ingest, struct slice bytes, bool more_frames)
{
    struct visit visit = {.reader = mp_reader_of(bytes), .source = SOURCE_NONE};
    struct slice nobody = {0};
    struct detail detail;
    counter_add(&ingest->service->counters.submissions, 1);
    if (more_frames) {
        detail_write(&detail, "a submission is exactly one frame");
        submission_refuse(ingest, REASON_MALFORMED, nobody, bytes, &detail);
        return;
    }
    if (bytes.size > SUBMISSION_BYTES_MAX) {
        detail_write(&detail, "a submission of %zu bytes; at most %d", bytes.size,
                     SUBMISSION_BYTES_MAX);
        submission_refuse(ingest, REASON_TOO_LARGE, nobody, bytes, &detail);
        return;
    }
    enum status status = submission_read_header(&visit.reader, &visit.header, &detail);
    if (status != STATUS_OK) {
        submission_refuse(ingest, reason_of(status), nobody, bytes, &detail);
        return;
    }
    submission_decide(ingest, &visit);
}

/* ---- hellos ---- */

static void hello_refuse(struct ingest *ingest, struct hello_call *call, const char *why)
{
    call->status = detail_set(&call->detail, STATUS_UNAVAILABLE, "%s", why);
    queue_push(ingest->service->to_control, call);
}

static void hellos_refuse(struct ingest *ingest)
{
    void *call;
    while (queue_pop(ingest->service->to_core, &call, 1, 0) == 1)
        hello_refuse(ingest, call,
                     "the disk is full: the log takes nothing in until there is room");
}

/* Raises the source's epoch; the answer leaves when the batch that holds it is durable. */
static void hello_take(struct ingest *ingest, struct hello_call *call)
{
    struct slice name = {(const uint8_t *)call->source, call->source_size};
    enum status status = admission_hello(ingest->state, name, ingest->now_ns, &ingest->decision);
    if (status != STATUS_OK) {
        hello_refuse(ingest, call, "the table of sources is full");
        return;
    }
    apply(ingest);
    uint32_t source = state_find_source(ingest->state, name);
    if (source == SOURCE_NONE || ledger_touch(ingest->ledger, ingest->state, source) != STATUS_OK) {
        fail(ingest, STATUS_NO_MEMORY, "no memory for a source");
        hello_refuse(ingest, call, "out of memory");
        return;
    }
    struct source_info info = state_source(ingest->state, source);
    call->status = STATUS_OK;
    call->epoch = info.epoch;
    call->last_sequence = info.last_sequence;
    ingest->batch->hellos[ingest->batch->hello_count++] = call;
}

static void hellos_take(struct ingest *ingest)
{
    void *call;
    while (batch_has_room(ingest, 0) && ingest->batch->hello_count < BATCH_ANSWERS_MAX &&
           queue_pop(ingest->service->to_core, &call, 1, 0) == 1)
        hello_take(ingest, call);
}

/* ---- the loop ---- */

/* Takes what is waiting, up to a turn's worth; true when a whole turn was taken. */
static bool frames_take(struct ingest *ingest)
{
    for (int i = 0; i < FRAMES_PER_TURN_MAX; i++) {
        if (!batch_open(ingest) || socket_receive(ingest->socket, &ingest->frame) != STATUS_OK)
            return false;
        bool more = frame_more(&ingest->frame);
        submission_take(ingest, frame_slice(&ingest->frame), more);
        if (more)
            socket_discard_rest(ingest->socket, &ingest->frame);
    }
    return true;
}

/* Waits for submissions, hellos or the stop; while the log has no room, for room. */
static bool wait_for_work(struct ingest *ingest)
{
    bool open = batch_open(ingest);
    if (ingest->holding)
        hellos_refuse(ingest);
    struct socket_wait items[] = {{.fd = ingest->stop_fd},
                                  {.fd = queue_descriptor(ingest->service->to_core)},
                                  {.socket = ingest->socket}};
    int timeout_ms = open ? IDLE_TICK_MS : HOLD_RETRY_MS;
    if (open && !batch_is_empty(ingest->batch))
        timeout_ms = 0; /* it was left open for more; if nothing more came, it goes now */
    if (socket_wait(items, open ? 3 : 1, timeout_ms) == STATUS_TIMED_OUT && timeout_ms > 0)
        gauges_refresh(ingest);
    return !items[0].ready;
}

/* One turn: what is waiting goes into the batch, and the batch on its way. While the commit thread
 * has enough to do and more is waiting here, the batch stays open and grows. */
static void turn(struct ingest *ingest)
{
    if (!batch_open(ingest))
        return;
    if (batch_is_empty(ingest->batch))
        stamp(ingest);
    hellos_take(ingest);
    bool more_waits = frames_take(ingest);
    bool commit_busy = counter_get(&ingest->service->counters.in_flight) >= BATCHES_IN_FLIGHT_BUSY;
    if (ingest->batch != NULL && !(more_waits && commit_busy))
        batch_seal(ingest);
}

void ingest_run(struct ingest *ingest, int stop_fd)
{
    ingest->stop_fd = stop_fd;
    while (!failing(ingest) && wait_for_work(ingest))
        turn(ingest);
    if (!failing(ingest)) {
        turn(ingest); /* what had arrived before the stop */
        if (ingest->batch != NULL)
            batch_seal(ingest);
    }
    queue_close(ingest->service->to_commit);
}
