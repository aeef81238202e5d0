#include "processor/tools/judge.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire/record.h"
#include "processor/core/admission.h"
#include "processor/policy_change.h"
#include "processor/store/reader.h"
#include "processor/tools/proof.h"
#include "processor/tools/roll.h"

enum { WAIT_BYTES_MAX = 48 };

/* A report of a shadow policy that has to follow an acceptance. */
struct shadow_due {
    uint32_t policy;
    uint32_t key_at, key_bytes; /* in shadow_keys */
    uint64_t retry_after_ns;
};

struct judge {
    const char *directory;
    struct findings *findings;
    struct state *state;    /* NULL before the genesis */
    uint64_t proof_from_ns; /* before that, windows lack what is gone */
    struct proof *proof;
    struct roll *roll;
    struct decision decision;
    struct judge_result result;

    /* the batch at hand */
    const struct batch_view *batch;
    uint64_t now_ns;
    uint32_t last_source;        /* of the newest record; SOURCE_NONE: none */
    struct mp_reader rejections; /* behind `next` */
    struct slice next_bytes;
    struct rejection next; /* the next rejection, where has_next */
    bool has_next;
    uint64_t summed_up[REASON_COUNT]; /* refusals that records without sequences tell of */
    uint64_t shadows_missing;

    struct candidate group[PROOF_GROUP_MAX];
    struct accepted_record records[PROOF_GROUP_MAX];
    struct slice record_bytes[PROOF_GROUP_MAX];
    struct candidate refused; /* scratch */
    struct shadow_due shadows_due[POLICIES_MAX];
    uint32_t shadow_count, shadow_next;
    struct buffer shadow_keys;
    struct buffer key; /* scratch */
};

struct judge *judge_new(const char *directory, struct findings *findings)
{
    struct judge *judge = calloc(1, sizeof *judge);
    if (judge == NULL)
        return NULL;
    judge->directory = directory;
    judge->findings = findings;
    buffer_init(&judge->shadow_keys, (size_t)2 * POLICIES_MAX * POLICY_KEY_BYTES_MAX);
    buffer_init(&judge->key, (size_t)2 * POLICY_KEY_BYTES_MAX);
    judge->proof = proof_new();
    judge->roll = roll_new();
    if (judge->proof == NULL || judge->roll == NULL)
        judge_destroy(&judge);
    return judge;
}

void judge_destroy(struct judge **judge)
{
    if (*judge == NULL)
        return;
    state_destroy(&(*judge)->state);
    proof_destroy(&(*judge)->proof);
    roll_destroy(&(*judge)->roll);
    buffer_fini(&(*judge)->shadow_keys);
    buffer_fini(&(*judge)->key);
    free(*judge);
    *judge = NULL;
}

enum status judge_begin(struct judge *judge, struct state *state)
{
    enum status status = proof_set_policies(judge->proof, state_policies(state));
    if (status != STATUS_OK)
        return status;
    state_destroy(&judge->state);
    judge->state = state;
    judge->proof_from_ns =
        state_position(state).last_time_ns + proof_longest_window_ns(judge->proof);
    return STATUS_OK;
}

struct judge_result judge_result(const struct judge *judge)
{
    return judge->result;
}

const struct state *judge_state(const struct judge *judge)
{
    return judge->state;
}

/* ---- findings ---- */

enum what { OF_BATCH, OF_EVENT, OF_REJECTION };

static void found(struct judge *judge, enum what of, uint64_t id, const char *format, ...)
    PRINTF_LIKE(4, 5);

static void found(struct judge *judge, enum what of, uint64_t id, const char *format, ...)
{
    static const char *const kinds[] = {[OF_EVENT] = "event", [OF_REJECTION] = "rejection"};
    char where[FINDING_WHERE_BYTES_MAX];
    struct detail what;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what.text, sizeof what.text, format, arguments);
    va_end(arguments);
    int used = snprintf(where, sizeof where, "batch %" PRIu64, judge->batch->header.number);
    if (of != OF_BATCH)
        snprintf(where + used, sizeof where - (size_t)used, ", %s %" PRIu64, kinds[of], id);
    findings_add(judge->findings, where, what.text);
}

/* The log cannot be followed any further. */
static enum status lost(struct judge *judge, const char *what, struct detail *ret_detail)
{
    found(judge, OF_BATCH, 0, "%s", what);
    return detail_set(ret_detail, STATUS_INVALID, "%s", what);
}

static enum status apply(struct judge *judge, struct detail *ret_detail)
{
    if (state_apply(judge->state, &judge->decision) == STATUS_OK)
        return STATUS_OK;
    return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory while folding the log");
}

/* ---- time ---- */

static enum status tick(struct judge *judge, uint64_t now_ns, struct detail *ret_detail)
{
    judge->now_ns = now_ns;
    admission_tick(now_ns, &judge->decision);
    return apply(judge, ret_detail);
}

/* Time moves on to that of a record, which lies within those of its batch, in order. */
static enum status time_reach(struct judge *judge, enum what of, uint64_t id, uint64_t time_ns,
                              struct detail *ret_detail)
{
    if (time_ns == judge->now_ns)
        return STATUS_OK;
    if (time_ns > judge->now_ns && time_ns <= judge->batch->header.last_time_ns)
        return tick(judge, time_ns, ret_detail);
    found(judge, of, id, "its time %" PRIu64 " is %s", time_ns,
          time_ns < judge->now_ns ? "before that of what stands before it"
                                  : "behind the last one of its batch");
    return STATUS_OK;
}

/* ---- sequences ---- */

/* Applies the summed-up refusals of a source before `sequence`, then says whether it is the next.
 */
static enum status sequence_reach(struct judge *judge, enum what of, uint64_t id, uint32_t source,
                                  uint64_t sequence, struct detail *ret_detail)
{
    struct refused_run run;
    while (roll_take_before(judge->roll, source,
                            state_source(judge->state, source).last_sequence + 1, sequence, &run)) {
        admission_refuse(judge->state, source, run.first, run.count, REASON_RATE_LIMITED,
                         judge->now_ns, &judge->decision);
        enum status status = apply(judge, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    uint64_t last = state_source(judge->state, source).last_sequence;
    if (last + 1 == sequence)
        return STATUS_OK;
    struct slice name = state_source(judge->state, source).name;
    found(judge, of, id, "sequence %" PRIu64 " of source %.*s %s %" PRIu64, sequence,
          (int)name.size, (const char *)name.data,
          sequence <= last ? "has a verdict already: the last one is"
                           : "is not the next: the last one with a verdict is",
          last);
    return detail_set(ret_detail, STATUS_INVALID, "the sequences of a source do not follow");
}

/* The slot of a record's source, which the batch must name. */
static enum status source_find(struct judge *judge, enum what of, uint64_t id, struct slice name,
                               uint32_t *ret_source, struct detail *ret_detail)
{
    /* Mostly the same as the one before: that saves a look into the table. */
    if (judge->last_source == SOURCE_NONE ||
        !slice_equal(state_source(judge->state, judge->last_source).name, name))
        judge->last_source = state_find_source(judge->state, name);
    *ret_source = judge->last_source;
    if (*ret_source != SOURCE_NONE && roll_has(judge->roll, *ret_source))
        return STATUS_OK;
    found(judge, of, id, "its source %.*s is not among those of its batch", (int)name.size,
          (const char *)name.data);
    return detail_set(ret_detail, STATUS_INVALID, "a record's source is not in its batch");
}

static enum status source_enter(struct judge *judge, const struct source_record *record,
                                struct detail *ret_detail)
{
    uint32_t source = state_find_source(judge->state, record->source);
    uint64_t epoch = source == SOURCE_NONE ? 0 : state_source(judge->state, source).epoch;
    if (record->epoch < epoch || record->epoch == 0)
        found(judge, OF_BATCH, 0, "the epoch of source %.*s goes back from %" PRIu64 " to %" PRIu64,
              (int)record->source.size, (const char *)record->source.data, epoch, record->epoch);
    if (source == SOURCE_NONE || record->epoch > epoch) {
        judge->decision = (struct decision){.kind = DECISION_HELLO,
                                            .time_ns = judge->now_ns,
                                            .source = source,
                                            .name = record->source,
                                            .epoch = record->epoch};
        enum status status = apply(judge, ret_detail);
        if (status != STATUS_OK)
            return status;
        source = state_find_source(judge->state, record->source);
    }
    enum status status = roll_enter(judge->roll, source, record);
    if (status == STATUS_OUT_OF_ORDER)
        return lost(judge, "a source stands twice in it", ret_detail);
    return status == STATUS_OK ? STATUS_OK : detail_set(ret_detail, status, "out of memory");
}

static enum status sources_enter(struct judge *judge, struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(judge->batch->sources);
    roll_clear(judge->roll);
    while (!mp_at_end(&reader)) {
        struct source_record record;
        if (source_record_read(&reader, &record) != STATUS_OK)
            return lost(judge, "a source record cannot be read", ret_detail);
        enum status status = source_enter(judge, &record, ret_detail);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Behind all records: every source stands where its record says. */
static enum status sources_leave(struct judge *judge, struct detail *ret_detail)
{
    for (uint32_t i = 0; i < roll_count(judge->roll); i++) {
        struct roll_entry entry = roll_at(judge->roll, i);
        if (entry.last_sequence == state_source(judge->state, entry.source).last_sequence &&
            entry.left == 0)
            continue;
        enum status status =
            sequence_reach(judge, OF_BATCH, 0, entry.source, entry.last_sequence + 1, ret_detail);
        if (status != STATUS_OK)
            return status;
        if (roll_at(judge->roll, i).left > 0)
            return lost(judge, "a refused sequence of a source is not the next", ret_detail);
    }
    uint64_t told = 0;
    for (unsigned i = 0; i < REASON_COUNT; i++)
        told += i == REASON_SHADOW ? 0 : judge->summed_up[i];
    if (roll_untold(judge->roll) > told)
        found(judge, OF_BATCH, 0,
              "%" PRIu64 " sequences were refused without a record, and summaries tell of %" PRIu64,
              roll_untold(judge->roll), told);
    if (judge->shadows_missing > judge->summed_up[REASON_SHADOW])
        found(judge, OF_BATCH, 0,
              "%" PRIu64 " reports of shadow policies are missing, and summaries tell of %" PRIu64,
              judge->shadows_missing, judge->summed_up[REASON_SHADOW]);
    return STATUS_OK;
}

/* ---- shadow reports ---- */

static void shadows_leave(struct judge *judge)
{
    judge->shadows_missing += judge->shadow_count - judge->shadow_next;
    judge->shadow_count = judge->shadow_next = 0;
}

/* What has to be reported of the acceptance in judge->decision. */
static void shadows_expect(struct judge *judge)
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
    found(judge, OF_REJECTION, rejection->rejection_id,
          "a shadow report that the event before it does not give");
}

/* ---- refusals ---- */

static void wait_format(uint64_t wait_ns, char ret_text[WAIT_BYTES_MAX])
{
    if (wait_ns == RETRY_NEVER)
        snprintf(ret_text, WAIT_BYTES_MAX, "no wait");
    else
        snprintf(ret_text, WAIT_BYTES_MAX, "a wait of %" PRIu64 " ns", wait_ns);
}

/* Decided again, the event is refused with the same reason, policy, key and wait. */
static void refusal_compare(struct judge *judge, const struct rejection *rejection)
{
    const struct decision *decision = &judge->decision;
    uint64_t id = rejection->rejection_id;
    char now[WAIT_BYTES_MAX], then[WAIT_BYTES_MAX];
    if (decision->kind == DECISION_ACCEPT) {
        found(judge, OF_REJECTION, id, "refused as %s, but it would have been accepted",
              reason_text(rejection->reason));
        return;
    }
    if (decision->reason != rejection->reason) {
        found(judge, OF_REJECTION, id, "refused as %s, but decided again it is %s",
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
        found(judge, OF_REJECTION, id,
              "refused by policy %.*s, but decided again by policy %.*s, "
              "or for another key",
              (int)rejection->policy.size, (const char *)rejection->policy.data, (int)policy.size,
              (const char *)policy.data);
    else if (decision->retry_after_ns != rejection->retry_after_ns) {
        wait_format(decision->retry_after_ns, now);
        wait_format(rejection->retry_after_ns, then);
        found(judge, OF_REJECTION, id, "refused with %s, but decided again with %s", then, now);
    }
}

/* A refused sequence that stands in a record. */
static enum status refused_sequence(struct judge *judge, const struct rejection *rejection,
                                    uint32_t source, struct detail *ret_detail)
{
    enum status status = sequence_reach(judge, OF_REJECTION, rejection->rejection_id, source,
                                        rejection->sequence, ret_detail);
    if (status != STATUS_OK)
        return status;
    if (roll_take(judge->roll, source, rejection->sequence, rejection->count))
        return STATUS_OK;
    found(judge, OF_REJECTION, rejection->rejection_id,
          "sequence %" PRIu64 " is not among the refused ones of its source", rejection->sequence);
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
        found(judge, OF_REJECTION, rejection->rejection_id, "its evidence is no event: %s",
              what.text);
        admission_refuse(judge->state, source, rejection->sequence, rejection->count,
                         rejection->reason, judge->now_ns, &judge->decision);
        return apply(judge, ret_detail);
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
    enum status status = apply(judge, ret_detail);
    if (status != STATUS_OK || rejection->reason != REASON_RATE_LIMITED ||
        judge->now_ns < judge->proof_from_ns)
        return status;
    status = proof_refuse(judge->proof, rejection, &candidate->event, &what);
    if (status == STATUS_INVALID)
        found(judge, OF_REJECTION, rejection->rejection_id, "%s", what.text);
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
        found(judge, OF_REJECTION, rejection->rejection_id, "refused as %s, but its evidence is %s",
              reason_text(rejection->reason),
              status == STATUS_OK ? "an event" : "bad in another way");
}

static enum status refusal_take(struct judge *judge, const struct rejection *rejection,
                                struct detail *ret_detail)
{
    uint32_t source = SOURCE_NONE;
    if (rejection->sequence != 0) {
        enum status status = source_find(judge, OF_REJECTION, rejection->rejection_id,
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
    return apply(judge, ret_detail);
}

static enum status rejection_take(struct judge *judge, const struct rejection *rejection,
                                  struct detail *ret_detail)
{
    struct position position = state_position(judge->state);
    uint64_t id = rejection->rejection_id;
    if (id != position.last_rejection_id + 1)
        return lost(judge, "a rejection's id is not the next", ret_detail);
    if (rejection->after_event_id != position.last_event_id)
        found(judge, OF_REJECTION, id,
              "it says that it stands behind event %" PRIu64 ", and stands behind %" PRIu64,
              rejection->after_event_id, position.last_event_id);
    enum status status = time_reach(judge, OF_REJECTION, id, rejection->rejected_at_ns, ret_detail);
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
    return apply(judge, ret_detail);
}

/* Reads the next rejection ahead, so that it can be seen where it stands. */
static enum status rejection_read_next(struct judge *judge, struct detail *ret_detail)
{
    const uint8_t *first = judge->rejections.at;
    judge->has_next = !mp_at_end(&judge->rejections);
    if (!judge->has_next)
        return STATUS_OK;
    if (rejection_read(&judge->rejections, &judge->next) != STATUS_OK)
        return lost(judge, "a rejection record cannot be read", ret_detail);
    judge->next_bytes = (struct slice){first, (size_t)(judge->rejections.at - first)};
    return STATUS_OK;
}

/* Takes the rejections that stand before the event `event_id`. */
static enum status rejections_take(struct judge *judge, uint64_t event_id,
                                   struct detail *ret_detail)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && judge->has_next && judge->next.after_event_id < event_id) {
        struct rejection rejection = judge->next;
        status = rejection_take(judge, &rejection, ret_detail);
        if (status == STATUS_OK)
            status = rejection_read_next(judge, ret_detail);
    }
    return status;
}

/* ---- acceptances ---- */

static void acceptance_compare(struct judge *judge, const struct accepted_record *record)
{
    const struct decision *decision = &judge->decision;
    if (decision->kind == DECISION_ACCEPT)
        return;
    char wait[WAIT_BYTES_MAX];
    wait_format(decision->retry_after_ns, wait);
    found(judge, OF_EVENT, record->event_id,
          "accepted, but decided again it is refused as %s by policy %s with %s %s",
          reason_text(decision->reason),
          decision->policy == POLICY_NONE
              ? "-"
              : state_policies(judge->state)->items[decision->policy].name,
          wait, decision->detail.text);
}

static enum status acceptance_judge(struct judge *judge, uint32_t index, struct detail *ret_detail)
{
    const struct accepted_record *record = &judge->records[index];
    struct candidate *candidate = &judge->group[index];
    struct detail what;
    shadows_leave(judge);
    admission_decide(judge->state, candidate, judge->now_ns, &judge->decision);
    if (judge->decision.kind == DECISION_ACCEPT) {
        if (judge->decision.shadow_count > 0)
            shadows_expect(judge);
    } else {
        acceptance_compare(judge, record);
        admission_recorded(judge->state, candidate, judge->now_ns, &judge->decision);
    }
    enum status status = apply(judge, ret_detail);
    if (status != STATUS_OK)
        return status;
    status = proof_accept(judge->proof, index, judge->now_ns, &what);
    if (status == STATUS_INVALID)
        found(judge, OF_EVENT, record->event_id, "%s", what.text);
    return status == STATUS_INVALID ? STATUS_OK : status;
}

static enum status event_take(struct judge *judge, uint32_t index, struct detail *ret_detail)
{
    const struct accepted_record *record = &judge->records[index];
    struct candidate *candidate = &judge->group[index];
    if (record->event_id != state_position(judge->state).last_event_id + 1)
        return lost(judge, "an event's id is not the next", ret_detail);
    enum status status =
        time_reach(judge, OF_EVENT, record->event_id, record->accepted_at_ns, ret_detail);
    if (status == STATUS_OK && record->sequence != 0) {
        status = source_find(judge, OF_EVENT, record->event_id, record->source, &candidate->source,
                             ret_detail);
        if (status == STATUS_OK)
            status = sequence_reach(judge, OF_EVENT, record->event_id, candidate->source,
                                    record->sequence, ret_detail);
    }
    if (status == STATUS_OK)
        status = acceptance_judge(judge, index, ret_detail);
    judge->result.events++;
    digest_add(&judge->result.records, judge->record_bytes[index].data,
               judge->record_bytes[index].size);
    return status;
}

/* Reads and prepares the next events, up to a group. */
static enum status group_read(struct judge *judge, struct mp_reader *reader, uint32_t *ret_count,
                              struct detail *ret_detail)
{
    uint32_t count = 0;
    while (count < PROOF_GROUP_MAX && !mp_at_end(reader)) {
        const uint8_t *first = reader->at;
        if (accepted_record_read(reader, &judge->records[count]) != STATUS_OK)
            return lost(judge, "an accepted record cannot be read", ret_detail);
        judge->record_bytes[count++] = (struct slice){first, (size_t)(reader->at - first)};
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct accepted_record *record = &judge->records[i];
        struct candidate *candidate = &judge->group[i];
        candidate->event = record->event;
        candidate->source_name = record->source;
        candidate->source = SOURCE_NONE;
        candidate->sequence = record->sequence;
        admission_prepare(judge->state, candidate);
        proof_prepare(judge->proof, i, record->source, &record->event);
    }
    for (uint32_t i = 0; i < count; i++) {
        admission_prefetch(judge->state, &judge->group[i]);
        proof_prefetch(judge->proof, i);
    }
    for (uint32_t i = 0; i < count; i++)
        admission_prefetch_windows(judge->state, &judge->group[i]);
    *ret_count = count;
    return STATUS_OK;
}

/* ---- other policies ---- */

static enum status proof_fill_visit(void *proof, const struct batch_view *batch,
                                    struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(batch->accepted);
    while (batch->header.kind == BATCH_ORDINARY && !mp_at_end(&reader)) {
        struct accepted_record record;
        if (accepted_record_read(&reader, &record) != STATUS_OK)
            return detail_set(ret_detail, STATUS_DAMAGED, "an accepted record cannot be read");
        if (proof_fill(proof, &record) != STATUS_OK)
            return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    }
    return STATUS_OK;
}

/* The proof's windows under other policies, from the log. A policy that stays is filled as well,
 * and may reach back to what is gone. */
static enum status proof_change(struct judge *judge, const struct change_place *place,
                                const struct policy_set *policies, struct detail *ret_detail)
{
    struct reader *reader = NULL;
    struct batch_header first = {0};
    judge->proof_from_ns = 0;
    if (proof_set_policies(judge->proof, policies) != STATUS_OK)
        return detail_set(ret_detail, STATUS_NO_MEMORY, "out of memory");
    uint64_t length_ns = proof_longest_window_ns(judge->proof);
    uint64_t after_ns = place->now_ns > length_ns ? place->now_ns - length_ns : 0;
    if (length_ns == 0)
        return STATUS_OK;
    enum status status = reader_new(place->directory, &reader, ret_detail);
    if (status == STATUS_OK)
        status = reader_first(reader, &place->end, &first, ret_detail);
    if (status == STATUS_OK)
        status =
            reader_visit(reader, &place->end, after_ns, proof_fill_visit, judge->proof, ret_detail);
    if (status == STATUS_OK && first.number > 0 && first.first_time_ns > after_ns)
        judge->proof_from_ns = first.first_time_ns + length_ns;
    reader_destroy(&reader);
    return status;
}

static enum status policies_change(struct judge *judge, const struct accepted_record *record,
                                   struct detail *ret_detail)
{
    struct policy_set *policies;
    struct window_fill *fill = NULL;
    const struct batch_header *header = &judge->batch->header;
    const struct change_place place = {.directory = judge->directory,
                                       .end = {.last_batch = header->number,
                                               .last_event_id = header->first_event_id,
                                               .last_rejection_id = header->first_rejection_id - 1,
                                               .last_time_ns = header->last_time_ns,
                                               .segment = judge->batch->segment,
                                               .offset = judge->batch->end_offset},
                                       .now_ns = record->accepted_at_ns};
    if (header->event_count != 1)
        return lost(judge, "a policy change is not alone in it", ret_detail);
    if (policy_change_read(&record->event, &policies, ret_detail) != STATUS_OK)
        return lost(judge, "its policies cannot be read", ret_detail);
    enum status status = policy_change_fill(&place, judge->state, policies, &fill, ret_detail);
    if (status == STATUS_OK) {
        window_fill_decide(fill, judge->now_ns, &judge->decision);
        status = apply(judge, ret_detail);
    }
    window_fill_destroy(&fill);
    if (status == STATUS_OK)
        status = proof_change(judge, &place, policies, ret_detail);
    free(policies);
    return status;
}

/* ---- batches ---- */

static enum status events_take(struct judge *judge, struct detail *ret_detail)
{
    struct mp_reader reader = mp_reader_of(judge->batch->accepted);
    while (!mp_at_end(&reader)) {
        uint32_t count = 0;
        enum status status = group_read(judge, &reader, &count, ret_detail);
        for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
            const struct accepted_record *record = &judge->records[i];
            status = rejections_take(judge, record->event_id, ret_detail);
            if (status == STATUS_OK)
                status = event_take(judge, i, ret_detail);
            if (status == STATUS_OK && policy_change_is(record->source, &record->event))
                status = policies_change(judge, record, ret_detail);
        }
        if (status != STATUS_OK)
            return status;
    }
    return rejections_take(judge, UINT64_MAX, ret_detail);
}

/* Behind a batch: the state stands where its header says. */
static enum status batch_leave(struct judge *judge, struct detail *ret_detail)
{
    const struct batch_header *header = &judge->batch->header;
    struct position position = state_position(judge->state);
    if (position.last_event_id + 1 != header->first_event_id + header->event_count ||
        position.last_rejection_id + 1 != header->first_rejection_id + header->rejection_count)
        return lost(judge, "its records are not those that its header counts", ret_detail);
    if (position.last_time_ns != header->last_time_ns)
        found(judge, OF_BATCH, 0, "its last time %" PRIu64 " is not that of its records, %" PRIu64,
              header->last_time_ns, position.last_time_ns);
    uint64_t digest = state_digest(judge->state);
    if (header->state_digest != 0 && header->state_digest != digest)
        found(judge, OF_BATCH, 0,
              "the digest of the state behind it is %016" PRIx64 ", its header says %016" PRIx64,
              digest, header->state_digest);
    return STATUS_OK;
}

static enum status ordinary_visit(struct judge *judge, struct detail *ret_detail)
{
    if (judge->state == NULL)
        return lost(judge, "it stands before the log's genesis", ret_detail);
    memset(judge->summed_up, 0, sizeof judge->summed_up);
    judge->shadows_missing = 0;
    judge->last_source = SOURCE_NONE;
    judge->rejections = mp_reader_of(judge->batch->rejected);
    enum status status = tick(judge, judge->batch->header.first_time_ns, ret_detail);
    if (status == STATUS_OK)
        status = sources_enter(judge, ret_detail);
    if (status == STATUS_OK)
        status = rejection_read_next(judge, ret_detail);
    if (status == STATUS_OK)
        status = events_take(judge, ret_detail);
    shadows_leave(judge);
    if (status == STATUS_OK)
        status = sources_leave(judge, ret_detail);
    return status == STATUS_OK ? batch_leave(judge, ret_detail) : status;
}

static enum status genesis_visit(struct judge *judge, struct detail *ret_detail)
{
    char *text = calloc(1, POLICY_TEXT_BYTES_MAX);
    struct policy_set *policies = calloc(1, sizeof *policies);
    struct genesis genesis;
    struct hash_seed seed = state_seed(judge->batch->salt);
    enum status status = STATUS_NO_MEMORY;
    detail_write(ret_detail, "out of memory");
    if (text == NULL || policies == NULL)
        goto out;
    if (genesis_read(judge->batch->sources, &genesis) != STATUS_OK ||
        genesis.policy_text.size >= POLICY_TEXT_BYTES_MAX) {
        status = lost(judge, "the log's genesis record cannot be read", ret_detail);
        goto out;
    }
    memcpy(text, genesis.policy_text.data, genesis.policy_text.size);
    status = policy_set_parse(text, "the log's genesis", policies, ret_detail);
    if (status != STATUS_OK) {
        status = lost(judge, "the policies in the log's genesis record cannot be read", ret_detail);
        goto out;
    }
    judge->state = state_new(policies, &seed);
    status = judge->state == NULL ? STATUS_NO_MEMORY : proof_set_policies(judge->proof, policies);
out:
    free(text);
    free(policies);
    return status;
}

enum status judge_visit(void *context, const struct batch_view *batch, struct detail *ret_detail)
{
    struct judge *judge = context;
    judge->batch = batch;
    judge->result.batches++;
    if (batch->header.kind == BATCH_GENESIS)
        return genesis_visit(judge, ret_detail);
    return ordinary_visit(judge, ret_detail);
}
