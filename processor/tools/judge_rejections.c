#include "processor/tools/judge_struct.h"

#include <inttypes.h>

/* ---- shadow reports ---- */

void judge_shadows_leave(struct judge *judge)
{
    judge->shadows_missing += judge->shadow_count - judge->shadow_next;
    judge->shadow_count = judge->shadow_next = 0;
}

/* What has to be reported of the acceptance in judge->decision. */
void judge_shadows_expect(struct judge *judge)
{
    const struct decision *decision = &judge->decision;
    buffer_clear(&judge->shadow_keys);
    for (uint32_t i = 0; i < decision->shadow_count; i++) {
        const struct shadow_report *report = &decision->shadows[i];
        struct shadow_due *due = &judge->shadows_due[i];
        due->policy = report->policy;
        due->retry_after_ns = report->retry_after_ns;
        due->key_at = (uint32_t)judge->shadow_keys.size;
        policy_key_write(&decision->charges[report->charge].key, &judge->shadow_keys);
        due->key_bytes = (uint32_t)judge->shadow_keys.size - due->key_at;
    }
    judge->shadow_count = decision->shadow_count;
    judge->shadow_next = 0;
}

static bool shadow_agrees(const struct judge *judge, const struct shadow_due *due,
                          const struct rejection *rejection)
{
    struct slice key = {judge->shadow_keys.data + due->key_at, due->key_bytes};
    const struct policy *policy = &state_policies(judge->state)->items[due->policy];
    return slice_equal_text(rejection->policy, policy->name) && slice_equal(key, rejection->key) &&
           rejection->retry_after_ns == due->retry_after_ns;
}

/* A report agrees with the next one due, or with a later one if those before were summed up. */
static void shadow_judge(struct judge *judge, const struct rejection *rejection)
{
    while (judge->shadow_next < judge->shadow_count) {
        if (shadow_agrees(judge, &judge->shadows_due[judge->shadow_next++], rejection))
            return;
        judge->shadows_missing++;
    }
    judge_found(judge, OF_REJECTION, rejection->rejection_id,
                "a shadow report that the event before it does not give");
}

/* ---- refusals ---- */

/* Decided again, the event is refused with the same reason, policy, key and wait. */
static void refusal_compare(struct judge *judge, const struct rejection *rejection)
{
    const struct decision *decision = &judge->decision;
    uint64_t id = rejection->rejection_id;
    char now[WAIT_BYTES_MAX], then[WAIT_BYTES_MAX];
    if (decision->kind == DECISION_ACCEPT) {
        judge_found(judge, OF_REJECTION, id, "refused as %s, but it would have been accepted",
                    reason_text(rejection->reason));
        return;
    }
    if (decision->reason != rejection->reason) {
        judge_found(judge, OF_REJECTION, id, "refused as %s, but decided again it is %s",
                    reason_text(rejection->reason), reason_text(decision->reason));
        return;
    }
    buffer_clear(&judge->key);
    struct slice policy = {0};
    if (decision->policy != POLICY_NONE) {
        policy = slice_of_text(state_policies(judge->state)->items[decision->policy].name);
        policy_key_write(&decision->charges[decision->policy_charge].key, &judge->key);
    }
    if (!slice_equal(policy, rejection->policy) ||
        !slice_equal(buffer_slice(&judge->key), rejection->key))
        judge_found(judge, OF_REJECTION, id,
                    "refused by policy %.*s, but decided again by policy %.*s, "
                    "or for another key",
                    (int)rejection->policy.size, (const char *)rejection->policy.data,
                    (int)policy.size, (const char *)policy.data);
    else if (decision->retry_after_ns != rejection->retry_after_ns) {
        judge_wait_format(decision->retry_after_ns, now);
        judge_wait_format(rejection->retry_after_ns, then);
        judge_found(judge, OF_REJECTION, id, "refused with %s, but decided again with %s", then,
                    now);
    }
}

/* A refused sequence that stands in a record. */
static enum status refused_sequence(struct judge *judge, const struct rejection *rejection,
                                    uint32_t source, struct detail *ret_detail)
{
    enum status status = judge_sequence_reach(judge, OF_REJECTION, rejection->rejection_id, source,
                                              rejection->sequence, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (roll_take(judge->roll, source, rejection->sequence, rejection->count))
        return STATUS_OK;
    judge_found(judge, OF_REJECTION, rejection->rejection_id,
                "sequence %" PRIu64 " is not among the refused ones of its source",
                rejection->sequence);
    return detail_set(ret_detail, STATUS_INVALID, "a refusal is not in its batch's sources");
}

/* The whole event is in the record: it is decided again. */
static enum status refusal_judge(struct judge *judge, const struct rejection *rejection,
                                 uint32_t source, struct detail *ret_detail)
{
    struct candidate *candidate = &judge->refused;
    struct mp_reader reader = mp_reader_of(rejection->evidence);
    struct detail what;
    if (event_read(&reader, &candidate->event, NULL, &what) != STATUS_OK) {
        judge_found(judge, OF_REJECTION, rejection->rejection_id, "its evidence is no event: %s",
                    what.text);
        admission_refuse(judge->state, source, rejection->sequence, rejection->count,
                         rejection->reason, judge->now_ns, &judge->decision);
        return judge_apply(judge, ret_detail);
    }
    candidate->source_name = rejection->source;
    candidate->source = source;
    candidate->sequence = rejection->sequence;
    admission_prepare(judge->state, candidate);
    admission_decide(judge->state, candidate, judge->now_ns, &judge->decision);
    refusal_compare(judge, rejection);
    if (judge->decision.kind == DECISION_ACCEPT)
        admission_refuse(judge->state, source, rejection->sequence, rejection->count,
                         rejection->reason, judge->now_ns, &judge->decision);
    enum status status = judge_apply(judge, ret_detail);
    if (status != STATUS_OK || rejection->reason != REASON_RATE_LIMITED ||
        judge->now_ns < judge->proof_from_ns)
        return status;
    status = proof_refuse(judge->proof, rejection, &candidate->event, &what);
    if (status == STATUS_INVALID)
        judge_found(judge, OF_REJECTION, rejection->rejection_id, "%s", what.text);
    return status == STATUS_INVALID ? STATUS_OK : status;
}

/* Bytes that are in the record whole must be bad in the way it says. */
static void evidence_judge(struct judge *judge, const struct rejection *rejection)
{
    struct mp_reader reader = mp_reader_of(rejection->evidence);
    struct event event;
    if (rejection->evidence.size == 0 || rejection->evidence.size >= RECORD_EVIDENCE_BYTES_MAX ||
        !rejection->has_sequence)
        return;
    enum status status = event_read(&reader, &event, NULL, NULL);
    bool malformed = rejection->reason == REASON_MALFORMED;
    if (status == STATUS_OK || (status == STATUS_MALFORMED) != malformed)
        judge_found(judge, OF_REJECTION, rejection->rejection_id,
                    "refused as %s, but its evidence is %s", reason_text(rejection->reason),
                    status == STATUS_OK ? "an event" : "bad in another way");
}

static enum status refusal_take(struct judge *judge, const struct rejection *rejection,
                                struct detail *ret_detail)
{
    uint32_t source = SOURCE_NONE;
    if (rejection->sequence != 0) {
        enum status status = judge_source_find(judge, OF_REJECTION, rejection->rejection_id,
                                               rejection->source, &source, ret_detail);
        if (status == STATUS_OK)
            status = refused_sequence(judge, rejection, source, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    if (rejection->evidence_is_event)
        return refusal_judge(judge, rejection, source, ret_detail);
    evidence_judge(judge, rejection);
    admission_refuse(judge->state, source, rejection->sequence, rejection->count, rejection->reason,
                     judge->now_ns, &judge->decision);
    return judge_apply(judge, ret_detail);
}

static enum status rejection_take(struct judge *judge, const struct rejection *rejection,
                                  struct detail *ret_detail)
{
    struct position position = state_position(judge->state);
    uint64_t id = rejection->rejection_id;
    if (id != position.last_rejection_id + 1)
        return judge_lost(judge, "a rejection's id is not the next", ret_detail);
    if (rejection->after_event_id != position.last_event_id)
        judge_found(judge, OF_REJECTION, id,
                    "it says that it stands behind event %" PRIu64 ", and stands behind %" PRIu64,
                    rejection->after_event_id, position.last_event_id);
    enum status status =
        judge_time_reach(judge, OF_REJECTION, id, rejection->rejected_at_ns, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (!rejection->has_sequence)
        judge->summed_up[rejection->reason] += rejection->count;
    else if (rejection->reason == REASON_SHADOW)
        shadow_judge(judge, rejection);
    else
        status = refusal_take(judge, rejection, ret_detail);
    if (status != STATUS_OK)
        return status;
    judge->decision.kind = DECISION_RECORDED;
    judge->decision.time_ns = judge->now_ns;
    judge->decision.count = 1;
    judge->result.rejections++;
    digest_add(&judge->result.records, judge->next_bytes.data, judge->next_bytes.size);
    return judge_apply(judge, ret_detail);
}

/* Reads the next rejection ahead, so that it can be seen where it stands. */
enum status judge_rejection_read_next(struct judge *judge, struct detail *ret_detail)
{
    const uint8_t *first = judge->rejections.at;
    judge->has_next = !mp_at_end(&judge->rejections);
    if (!judge->has_next)
        return STATUS_OK;
    if (rejection_read(&judge->rejections, &judge->next) != STATUS_OK)
        return judge_lost(judge, "a rejection record cannot be read", ret_detail);
    judge->next_bytes = (struct slice){first, (size_t)(judge->rejections.at - first)};
    return STATUS_OK;
}

/* Takes the rejections that stand before the event `event_id`. */
enum status judge_rejections_take(struct judge *judge, uint64_t event_id, struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && judge->has_next && judge->next.after_event_id < event_id) {
        struct rejection rejection = judge->next;
        status = rejection_take(judge, &rejection, ret_detail);
        if (status == STATUS_OK)
            status = judge_rejection_read_next(judge, ret_detail);
    }
    return status;
}
