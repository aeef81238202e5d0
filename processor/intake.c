#include "processor/intake.h"

#include <stdlib.h>

#include "common/wire/submission.h"
#include "processor/verdict.h"

struct intake {
    struct draft *draft;
    struct candidate group[ADMISSION_GROUP_MAX];
    enum status group_read[ADMISSION_GROUP_MAX]; /* what event_read said */
    struct slice group_raw[ADMISSION_GROUP_MAX]; /* the event's bytes, good or bad */
    struct detail group_detail[ADMISSION_GROUP_MAX];
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
    return intake;
}

void intake_destroy(struct intake **intake)
{
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
    verdict_refuse(draft, visit->header.source, &rejection);
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
                (void)verdict_reach(draft, candidate);
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
