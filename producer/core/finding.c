#include "producer/core/finding.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void finding_init(struct finding *finding, const struct finding_options *options)
{
    *finding = (struct finding){
        .kind = options->kind,
        .place = options->place,
        .sent = options->sent,
        .burst = options->burst,
        .sequences =
            options->burst != NULL ? options->burst->events : catalogue_sequences(options->kind),
        .nothing_spent = options->nothing_spent,
    };
    if (finding->sent.size > RECORD_EVIDENCE_BYTES_MAX)
        finding->sent.size = RECORD_EVIDENCE_BYTES_MAX;
}

void finding_fail(struct finding *finding, const char *format, ...)
{
    if (finding->problem.text[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding->problem.text, sizeof finding->problem.text, format, arguments);
    va_end(arguments);
}

void finding_skip(struct finding *finding, const struct detail *why)
{
    finding->skipped = true;
    finding->problem = *why;
}

bool finding_as_stated(const struct finding *finding)
{
    return !finding->skipped && finding->problem.text[0] == '\0';
}

/* ---- records ---- */

/* As many bytes as there is room for. */
static size_t bytes_copy(struct slice bytes, void *ret_bytes, size_t room)
{
    size_t size = bytes.size < room ? bytes.size : room;
    if (size > 0)
        memcpy(ret_bytes, bytes.data, size);
    return size;
}

static void text_copy(struct slice text, char *ret_text, size_t room)
{
    ret_text[bytes_copy(text, ret_text, room - 1)] = '\0';
}

static void record_copy(const struct rejection *rejection, struct found_record *ret_record)
{
    *ret_record = (struct found_record){
        .rejection_id = rejection->rejection_id,
        .sequence = rejection->sequence,
        .count = rejection->count,
        .retry_after_ns = rejection->retry_after_ns,
        .reason = rejection->reason,
        .has_sequence = rejection->has_sequence,
        .names_source = rejection->source.size > 0,
    };
    ret_record->key_size = bytes_copy(rejection->key, ret_record->key, sizeof ret_record->key);
    ret_record->evidence_size =
        bytes_copy(rejection->evidence, ret_record->evidence, sizeof ret_record->evidence);
    text_copy(rejection->detail, ret_record->detail, sizeof ret_record->detail);
    text_copy(rejection->policy, ret_record->policy, sizeof ret_record->policy);
}

/* How many refusals the kind's records must add up to; of a burst, as many as the acks say. */
static uint64_t records_wanted(const struct finding *finding)
{
    switch (finding->kind->answer) {
    case ANSWER_RECORD:
        return finding->kind->refused > 0 ? finding->kind->refused : 1;
    case ANSWER_LIMIT:
        return finding->refused;
    default:
        return 0;
    }
}

/* A record with nothing in it but a reason and a count: a summary, or about a frame of no bytes. */
static bool is_anonymous(const struct rejection *rejection)
{
    return rejection->source.size == 0 && !rejection->has_sequence && rejection->evidence.size == 0;
}

static bool is_own(const struct finding *finding, const struct rejection *rejection)
{
    if (rejection->source.size > 0)
        return slice_equal(rejection->source, finding->place.source);
    if (finding->kind->answer != ANSWER_RECORD)
        return false;
    if (finding->sent.size == 0)
        return is_anonymous(rejection) && rejection->count == 1 && finding->recorded == 0 &&
               rejection->reason == finding->kind->reason;
    return slice_equal(rejection->evidence, finding->sent);
}

static bool sequence_within(const struct finding *finding, uint64_t sequence, uint64_t count)
{
    uint64_t first = finding->place.first_sequence;
    return sequence >= first && sequence - first < count;
}

/* Good events may meet a limit, or a policy that cannot charge them; and shadow policies report. */
static bool is_of_a_policy(const struct finding *finding, const struct rejection *rejection)
{
    if (rejection->reason == REASON_SHADOW)
        return true;
    bool possible = rejection->reason == REASON_RATE_LIMITED ||
                    rejection->reason == REASON_INVALID || rejection->reason == REASON_UNAVAILABLE;
    bool summary = !rejection->has_sequence && rejection->evidence.size == 0;
    return possible && finding->kind->good > 0 && !finding->resent &&
           (summary || sequence_within(finding, rejection->sequence, finding->kind->good));
}

/* Named, with our name, and about what was decided before: an earlier injection's. */
static bool is_late(const struct finding *finding, const struct rejection *rejection)
{
    return rejection->has_sequence && rejection->sequence > 0 &&
           rejection->sequence < finding->place.first_sequence;
}

static bool place_is_right(const struct finding *finding, const struct rejection *rejection)
{
    const struct kind *kind = finding->kind;
    bool summary =
        !rejection->has_sequence && rejection->source.size > 0 && rejection->evidence.size == 0;
    if (summary)
        return true;
    if (kind->answer == ANSWER_LIMIT)
        return rejection->has_sequence &&
               sequence_within(finding, rejection->sequence, finding->sequences);
    if ((rejection->source.size == 0) != kind->nameless)
        return false;
    if (kind->unsequenced)
        return rejection->has_sequence && rejection->sequence == 0 && rejection->count == 1;
    if (kind->refused == 0)
        return !rejection->has_sequence && rejection->count == 1;
    return rejection->has_sequence && rejection->count == kind->refused &&
           rejection->sequence == finding->place.first_sequence + kind->good;
}

void finding_record(struct finding *finding, const struct rejection *rejection)
{
    const struct kind *kind = finding->kind;
    if (!is_own(finding, rejection)) {
        if (is_anonymous(rejection) && rejection->reason == kind->reason)
            finding->anonymous += rejection->count;
        return;
    }
    bool recorded = kind->answer == ANSWER_RECORD || kind->answer == ANSWER_LIMIT;
    bool expected =
        recorded && rejection->reason == kind->reason && place_is_right(finding, rejection);
    if (!expected && (is_of_a_policy(finding, rejection) || is_late(finding, rejection)))
        return;
    if (!finding->has_record)
        record_copy(rejection, &finding->record);
    finding->has_record = true;
    finding->recorded += rejection->count;
    if (!expected)
        finding_fail(finding, "rejection %" PRIu64 " is another than it should be",
                     rejection->rejection_id);
    else if (kind->answer == ANSWER_RECORD && finding->recorded > records_wanted(finding))
        finding_fail(finding, "rejection %" PRIu64 " is one too many", rejection->rejection_id);
    else if (kind->answer == ANSWER_LIMIT && rejection->policy.size == 0)
        finding_fail(finding, "rejection %" PRIu64 " names no policy", rejection->rejection_id);
}

/* ---- acks ---- */

static void redirect_check(struct finding *finding, enum ack_status wanted)
{
    const struct found_ack *ack = &finding->ack;
    uint64_t last = finding->place.first_sequence - 1;
    if (ack->status != wanted)
        finding_fail(finding, "the ack says '%s'", ack_status_text(ack->status));
    else if (ack->epoch != finding->place.epoch)
        finding_fail(finding, "the ack tells epoch %" PRIu64 ", not %" PRIu64, ack->epoch,
                     finding->place.epoch);
    else if (ack->first_sequence != last + 1 || ack->last_sequence != last)
        finding_fail(finding,
                     "the ack tells sequences %" PRIu64 " to %" PRIu64 ", not none behind %" PRIu64,
                     ack->first_sequence, ack->last_sequence, last);
}

/* One refused sequence. A good event may have been refused too, by a policy, and a resend's answer
 * need not say why. */
static void refusal_check(struct finding *finding, const struct refusal *refusal)
{
    const struct kind *kind = finding->kind;
    uint64_t offset = refusal->sequence - finding->place.first_sequence;
    bool good = offset < kind->good;
    if (offset >= finding->sequences)
        finding_fail(finding, "the ack refuses sequence %" PRIu64 ", which was not used",
                     refusal->sequence);
    else if (!good && (!refusal->has_reason || refusal->reason != kind->reason))
        finding_fail(finding, "the ack refuses sequence %" PRIu64 " as '%s'", refusal->sequence,
                     refusal->has_reason ? reason_text(refusal->reason) : "nil");
    if (!good || kind->answer == ANSWER_RESEND)
        finding->refused++;
}

static void verdicts_check(struct finding *finding, const struct ack *ack)
{
    uint64_t next = finding->place.first_sequence + finding->decided;
    if (ack->status != ACK_OK) {
        finding_fail(finding, "the ack says '%s'", ack_status_text(ack->status));
        return;
    }
    if (ack->last_sequence < next)
        return; /* an earlier injection's */
    if (ack->first_sequence > next) {
        finding_fail(finding, "the ack begins with sequence %" PRIu64 ", not %" PRIu64,
                     ack->first_sequence, next);
        return;
    }
    struct mp_reader reader = mp_reader_of(ack->refusals);
    for (uint32_t i = 0; i < ack->refusal_count; i++) {
        struct refusal refusal = {0};
        if (refusal_read(&reader, &refusal) != STATUS_OK) {
            finding_fail(finding, "the ack holds what is no refusal");
            return;
        }
        if (refusal.sequence >= next)
            refusal_check(finding, &refusal);
    }
    finding->decided = ack->last_sequence + 1 - finding->place.first_sequence;
    if (finding->decided > finding->sequences)
        finding_fail(finding, "the ack tells sequence %" PRIu64 ", which was not used",
                     ack->last_sequence);
}

void finding_ack(struct finding *finding, const struct ack *ack)
{
    if (!slice_equal(ack->source, finding->place.source))
        return;
    finding->has_ack = true;
    finding->ack = (struct found_ack){.epoch = ack->epoch,
                                      .first_sequence = ack->first_sequence,
                                      .last_sequence = ack->last_sequence,
                                      .status = ack->status};
    if (finding->kind->answer == ANSWER_GAP)
        redirect_check(finding, ACK_GAP);
    else if (finding->kind->answer == ANSWER_FENCED)
        redirect_check(finding, ACK_FENCED);
    else
        verdicts_check(finding, ack);
}

/* ---- the end ---- */

static bool acks_complete(const struct finding *finding)
{
    if (finding->kind->answer == ANSWER_GAP || finding->kind->answer == ANSWER_FENCED)
        return finding->has_ack;
    return finding->decided >= finding->sequences;
}

bool finding_complete(const struct finding *finding)
{
    if (finding->problem.text[0] != '\0')
        return true;
    return acks_complete(finding) && finding->recorded >= records_wanted(finding);
}

bool finding_summarised(const struct finding *finding)
{
    return acks_complete(finding) &&
           finding->recorded + finding->anonymous >= records_wanted(finding);
}

void finding_resend(struct finding *finding)
{
    finding->resent = true;
    finding->refused_first_time = finding->refused;
    finding->refused = 0;
    finding->decided = 0;
    finding->has_ack = false;
}

/* Exactly what fits is accepted: never more while the window has not moved, and no fewer where
 * nothing was spent before. */
static void burst_check(struct finding *finding, uint64_t elapsed_ns)
{
    uint64_t accepted = finding->sequences - finding->refused;
    uint64_t fits = finding->burst->fits;
    if (finding->refused == 0)
        finding_fail(finding, "all %" PRIu64 " were accepted; %" PRIu64 " fit", accepted, fits);
    else if (accepted > fits && elapsed_ns < finding->burst->window_ns)
        finding_fail(finding, "%" PRIu64 " were accepted; %" PRIu64 " fit", accepted, fits);
    else if (accepted < fits && finding->nothing_spent &&
             strcmp(finding->record.policy, finding->burst->policy) == 0)
        finding_fail(finding, "only %" PRIu64 " were accepted; %" PRIu64 " fit", accepted, fits);
}

void finding_close(struct finding *finding, uint64_t last_sequence, uint64_t elapsed_ns)
{
    const struct kind *kind = finding->kind;
    uint64_t used = last_sequence + 1 - finding->place.first_sequence;
    if (used != finding->sequences)
        finding_fail(finding, "%" PRIu64 " sequences were used, not %" PRIu64, used,
                     finding->sequences);
    else if (kind->answer == ANSWER_LIMIT)
        burst_check(finding, elapsed_ns);
    else if (kind->answer == ANSWER_RESEND && finding->refused != finding->refused_first_time)
        finding_fail(finding, "the second time %" PRIu64 " were refused, the first time %" PRIu64,
                     finding->refused, finding->refused_first_time);
    else if (kind->answer == ANSWER_RECORD && finding->refused != kind->refused)
        finding_fail(finding, "%" PRIu64 " sequences were refused, not %" PRIu32, finding->refused,
                     kind->refused);
}
