#include "processor/intake.h"

#include <stdlib.h>

#include "common/wire/submission.h"

struct intake {
    struct draft *draft;
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

struct intake *intake_new(struct draft *draft)
{
    struct intake *intake = calloc(1, sizeof *intake);
    if (intake == NULL)
        return NULL;
    intake->draft = draft;
    buffer_init(&intake->key, 2 * POLICY_KEY_BYTES_MAX);
    return intake;
}

void intake_destroy(struct intake **intake)
{
    if (*intake == NULL)
        return;
    buffer_fini(&(*intake)->key);
    free(*intake);
    *intake = NULL;
}

/* ---- refusals ---- */

/* A submission that is refused as a whole, or what follows its last event: one record, no sequence.
 */
static void submission_refuse(struct intake *intake, enum reason reason, struct slice source,
                              struct slice evidence, const struct detail *detail)
{
    struct draft *draft = intake->draft;
    counter_add(&draft->service->counters.refused[reason], 1);
    if (!draft_has_room(draft, RECORD_EVIDENCE_BYTES_MAX))
        return;
    struct rejection rejection = {.reason = reason,
                                  .count = 1,
                                  .retry_after_ns = RECORD_NEVER,
                                  .detail = slice_of_text(detail->text),
                                  .source = source,
                                  .evidence = evidence};
    draft_record(draft, &rejection);
}

static void rejection_name_policy(struct intake *intake, struct rejection *rejection,
                                  uint32_t policy, uint32_t charge)
{
    struct draft *draft = intake->draft;
    const struct policy *named = &state_policies(draft->state)->items[policy];
    rejection->policy = slice_of_text(named->name);
    buffer_clear(&intake->key);
    policy_key_write(&draft->decision.charges[charge].key, &intake->key);
    rejection->key = buffer_slice(&intake->key);
}

/* What a refused sequence leaves: its record, its place in the ack, its verdict in the state. */
static void event_refuse(struct intake *intake, const struct visit *visit,
                         struct rejection *rejection)
{
    struct draft *draft = intake->draft;
    const struct decision *decision = &draft->decision;
    counter_add(&draft->service->counters.refused[decision->reason], decision->count);
    rejection->reason = decision->reason;
    rejection->source = visit->header.source;
    rejection->has_sequence = true;
    rejection->sequence = decision->sequence;
    rejection->count = decision->count;
    rejection->retry_after_ns = decision->retry_after_ns;
    if (rejection->detail.size == 0)
        rejection->detail = slice_of_text(decision->detail.text);
    if (decision->policy != POLICY_NONE)
        rejection_name_policy(intake, rejection, decision->policy, decision->policy_charge);
    struct refusal refusal = {.sequence = decision->sequence,
                              .has_reason = true,
                              .reason = decision->reason,
                              .policy = rejection->policy,
                              .retry_after_ns = decision->retry_after_ns};
    uint64_t count = decision->count;
    draft_apply(draft);
    if (visit->source != SOURCE_NONE && ledger_refuse(draft->ledger, draft->batch, draft->state,
                                                      visit->source, &refusal, count) != STATUS_OK)
        draft_fail(draft, "no memory for the verdicts of a batch");
    draft_record(draft, rejection);
}

/* Shadow policies report what they would have refused; the event itself passes. */
static void shadows_report(struct intake *intake, const struct candidate *candidate)
{
    struct draft *draft = intake->draft;
    uint32_t count = draft->decision.shadow_count;
    for (uint32_t i = 0; i < count; i++) {
        struct shadow_report report = draft->decision.shadows[i];
        struct rejection rejection = {.reason = REASON_SHADOW,
                                      .source = candidate->source_name,
                                      .has_sequence = true,
                                      .sequence = candidate->sequence,
                                      .count = 1,
                                      .retry_after_ns = report.retry_after_ns,
                                      .type = candidate->event.type,
                                      .subject = candidate->event.subject};
        rejection_name_policy(intake, &rejection, report.policy, report.charge);
        counter_add(&draft->service->counters.refused[REASON_SHADOW], 1);
        draft_record(draft, &rejection);
    }
}

static void event_accept(struct intake *intake, const struct candidate *candidate)
{
    struct draft *draft = intake->draft;
    struct batch *batch = draft->batch;
    uint8_t *at = batch->accepted.data + batch->accepted.size;
    uint8_t *end =
        accepted_record_put(at, draft->decision.event_id, draft->now_ns, candidate->source_name,
                            candidate->sequence, candidate->event.raw);
    batch->accepted.size += (size_t)(end - at);
    batch->header.event_count++;
    draft_apply(draft);
    if (candidate->source != SOURCE_NONE)
        ledger_accept(draft->ledger, candidate->source, candidate->sequence);
    if (draft->decision.shadow_count > 0)
        shadows_report(intake, candidate);
}

/* ---- one submission: check → decode → decide → apply → append ---- */

static uint64_t visit_sequence(const struct visit *visit)
{
    return visit->source == SOURCE_NONE ? 0 : visit->header.first_sequence + visit->done;
}

/* Reads and prepares the next events, up to a group. Ends early behind what is not MessagePack. */
static uint32_t group_read(struct intake *intake, struct visit *visit)
{
    struct draft *draft = intake->draft;
    uint32_t wanted = visit->header.count - visit->done;
    uint32_t count = 0;
    while (count < wanted && count < ADMISSION_GROUP_MAX) {
        struct candidate *candidate = &intake->group[count];
        enum status read = event_read(&visit->reader, &candidate->event, &intake->group_raw[count],
                                      &intake->group_detail[count]);
        intake->group_read[count] = read;
        candidate->source_name = visit->header.source;
        candidate->source = visit->source;
        candidate->sequence = visit->source == SOURCE_NONE ? 0 : visit_sequence(visit) + count;
        if (read == STATUS_OK)
            admission_prepare(draft->state, candidate);
        count++;
        if (read == STATUS_MALFORMED)
            break;
    }
    for (uint32_t i = 0; i < count; i++)
        if (intake->group_read[i] == STATUS_OK)
            admission_prefetch(draft->state, &intake->group[i]);
    for (uint32_t i = 0; i < count; i++)
        if (intake->group_read[i] == STATUS_OK)
            admission_prefetch_windows(draft->state, &intake->group[i]);
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
static void event_refuse_unread(struct intake *intake, const struct visit *visit, uint32_t index)
{
    struct draft *draft = intake->draft;
    enum status read = intake->group_read[index];
    struct rejection rejection = {.detail = slice_of_text(intake->group_detail[index].text)};
    uint64_t count = 1;
    if (read == STATUS_MALFORMED) {
        count = visit->header.count - visit->done;
        rejection.evidence =
            (struct slice){visit->reader.at, (size_t)(visit->reader.end - visit->reader.at)};
    } else {
        rejection.evidence = intake->group_raw[index];
    }
    admission_refuse(draft->state, visit->source, visit_sequence(visit), count, reason_of(read),
                     draft->now_ns, &draft->decision);
    event_refuse(intake, visit, &rejection);
}

static void event_decide(struct intake *intake, const struct visit *visit,
                         const struct candidate *candidate)
{
    struct draft *draft = intake->draft;
    admission_decide(draft->state, candidate, draft->now_ns, &draft->decision);
    if (draft->decision.kind == DECISION_ACCEPT) {
        event_accept(intake, candidate);
        return;
    }
    struct rejection rejection = {.type = candidate->event.type,
                                  .subject = candidate->event.subject,
                                  .evidence = candidate->event.raw,
                                  .evidence_is_event = true};
    event_refuse(intake, visit, &rejection);
}

/* Decides the events that are left. False when the rest was malformed or the process ends. */
static bool events_decide(struct intake *intake, struct visit *visit)
{
    struct draft *draft = intake->draft;
    while (visit->done < visit->header.count) {
        uint32_t count = group_read(intake, visit);
        for (uint32_t i = 0; i < count; i++) {
            const struct candidate *candidate = &intake->group[i];
            size_t bytes =
                intake->group_read[i] == STATUS_OK ? candidate->event.raw.size : EVENT_BYTES_MAX;
            if (!draft_has_room(draft, bytes))
                return false;
            if (visit->source != SOURCE_NONE &&
                ledger_touch(draft->ledger, draft->state, visit->source) != STATUS_OK) {
                draft_fail(draft, "no memory for the verdicts of a batch");
                return false;
            }
            if (intake->group_read[i] != STATUS_OK) {
                event_refuse_unread(intake, visit, i);
                if (intake->group_read[i] == STATUS_MALFORMED)
                    return false;
            } else {
                event_decide(intake, visit, candidate);
            }
            visit->done++;
        }
    }
    return true;
}

/* Steps over the events that were decided before and answers them from memory. False when the bytes
 * end inside them. */
static bool duplicates_answer(struct intake *intake, struct visit *visit, uint32_t skip)
{
    struct draft *draft = intake->draft;
    uint64_t first = visit->header.first_sequence;
    counter_add(&draft->service->counters.refused[REASON_DUPLICATE], skip);
    ledger_resend(draft->ledger, draft->batch, draft->state, visit->source, first,
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

static void submission_redirect(struct intake *intake, const struct visit *visit,
                                enum ack_status status)
{
    struct draft *draft = intake->draft;
    enum reason reason = status == ACK_GAP ? REASON_OUT_OF_ORDER : REASON_FENCED;
    counter_add(&draft->service->counters.refused[reason], visit->header.count);
    struct redirect redirect = {
        .name = visit->header.source, .source = visit->source, .status = status};
    ledger_redirect(draft->ledger, draft->batch, draft->state, &redirect, draft->now_ns);
}

/* A good header: epoch, sequence, then event by event. */
static void submission_decide(struct intake *intake, struct visit *visit)
{
    struct draft *draft = intake->draft;
    const struct submission_header *header = &visit->header;
    struct entry entry = admission_enter(draft->state, header->source, header->epoch,
                                         header->first_sequence, header->count);
    visit->source = entry.source;
    if (!draft_has_room(draft, 0))
        return;
    if (entry.entrance != ENTRANCE_OPEN) {
        submission_redirect(intake, visit, entry.entrance == ENTRANCE_GAP ? ACK_GAP : ACK_FENCED);
        return;
    }
    if (entry.skip > 0 && !duplicates_answer(intake, visit, (uint32_t)entry.skip))
        return;
    if (!events_decide(intake, visit))
        return;
    if (!mp_at_end(&visit->reader)) {
        struct slice rest = {visit->reader.at, (size_t)(visit->reader.end - visit->reader.at)};
        struct detail detail;
        detail_write(&detail, "%zu bytes after the last event", rest.size);
        submission_refuse(intake, REASON_MALFORMED, header->source, rest, &detail);
    }
}

/* Everything that can be wrong before the first event; then the events. */
void intake_take(struct intake *intake, struct slice bytes, bool more_frames)
{
    struct draft *draft = intake->draft;
    struct visit visit = {.reader = mp_reader_of(bytes), .source = SOURCE_NONE};
    struct slice nobody = {0};
    struct detail detail;
    counter_add(&draft->service->counters.submissions, 1);
    if (more_frames) {
        detail_write(&detail, "a submission is exactly one frame");
        submission_refuse(intake, REASON_MALFORMED, nobody, bytes, &detail);
        return;
    }
    if (bytes.size > SUBMISSION_BYTES_MAX) {
        detail_write(&detail, "a submission of %zu bytes; at most %d", bytes.size,
                     SUBMISSION_BYTES_MAX);
        submission_refuse(intake, REASON_TOO_LARGE, nobody, bytes, &detail);
        return;
    }
    enum status status = submission_read_header(&visit.reader, &visit.header, &detail);
    if (status != STATUS_OK) {
        submission_refuse(intake, reason_of(status), nobody, bytes, &detail);
        return;
    }
    submission_decide(intake, &visit);
}
